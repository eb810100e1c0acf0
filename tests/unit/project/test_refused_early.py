"""What a command cannot end with is refused before any image is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from albench.errors import InputError
from albench.machine.files import write_json
from albench.progress import SILENT
from albench.project import workplace
from albench.project.query import make_query
from albench.project.request import QueryRequest, TrainRequest
from albench.project.train import train_project
from tests.support.given_model import given_folder
from tests.support.hostile import DESCRIPTION


@pytest.fixture(autouse=True)
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("images are read")

    monkeypatch.setattr(workplace, "load_project", read)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "Dataset012_Clinic"
    write_json(folder / "dataset.json", dict(DESCRIPTION))
    return folder


@pytest.mark.parametrize("start", [False, True])
def test_a_model_that_is_there_already(tmp_path: Path, raw: Path, start: bool) -> None:
    out = tmp_path / "models"
    there = out / "Dataset012_Clinic" / "nnUNetTrainer__nnUNetPlans__2d"
    there.mkdir(parents=True)
    request = TrainRequest(raw, out, start=given_folder(tmp_path / "given") if start else None, device="cpu")
    with pytest.raises(InputError, match=f"--out {out}: expected no model yet, found {there}"):
        train_project(request, SILENT)
    there.rmdir()
    with pytest.raises(AssertionError, match="images are read"):
        train_project(request, SILENT)


def test_a_place_that_cannot_be_written_to(tmp_path: Path, raw: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(InputError, match=r"--out .*: expected a folder to write to, found a file"):
            train_project(TrainRequest(raw, out, device="cpu"), SILENT)
    with pytest.raises(InputError, match=r"--out .*: expected a folder to write to, found a file"):
        make_query(QueryRequest(tmp_path, tmp_path / "file" / "inside", 4, dataset=raw, device="cpu"), SILENT)


def test_a_case_that_is_not_there(tmp_path: Path, raw: Path) -> None:
    images = tmp_path / "images"
    for path in (images / "patient_1_0000.nii.gz", raw / "imagesTr" / "patient_2_0000.nii.gz"):
        path.parent.mkdir()
        path.write_text("no image: whoever reads it stumbles")
    for options in ({"dataset": raw}, {"dataset": raw, "model": given_folder(tmp_path / "model")}):
        request = QueryRequest(images, tmp_path / "out", 4, exclude=("patient_3",), device="cpu", **options)
        with pytest.raises(InputError, match=r"--exclude patient_3: expected .* or one of 2 cases, found none such"):
            make_query(request, SILENT)
    request = QueryRequest(images, tmp_path / "out", 4, exclude=("patient_2",), dataset=raw, device="cpu")
    with pytest.raises(AssertionError, match="images are read"):
        make_query(request, SILENT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "nobody"}, "nobody"),
        ({"strategy": "full"}, "--strategy full: expected one that looks at images and the model alone"),
        ({"exclude": ("x.csv",)}, "x.csv"),
        ({"patch_size": (4, 4, 4)}, "--patch-size: expected none, since the units are slices"),
        ({"protocol": "none such"}, "none such"),
    ],
)
def test_what_cannot_be_asked_of_a_model(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    (tmp_path / "x.csv").write_text("case,where\na,3\n")
    if "exclude" in options:
        options = {"exclude": (str(tmp_path / "x.csv"),)}
    request = QueryRequest(tmp_path, tmp_path / "out", 4, model=given_folder(tmp_path), device="cpu", **options)
    with pytest.raises(InputError, match=message):
        make_query(request, SILENT)
