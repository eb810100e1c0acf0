"""The file of a query that goes to annotators: what is written is read, and what does not fit together is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from albench.errors import InputError
from albench.results.handed_out import AskingModel, QueriedCase
from albench.results.query import QueriedUnit, Query

CASE = QueriedCase(
    images=("../images/c1_0000.nii.gz",),
    sha256=("a" * 64,),
    shape_ijk=(4, 5, 6),
    affine_ras=((-1, 0, 0, 2.5), (0, -1, 0, 0.1), (0, 0, 3, -7), (0, 0, 0, 1)),
    orientation="LPS",
    task="case-001",
)
SLICE = QueriedUnit(
    case="c1",
    index=2,
    axis=0,
    score=0.5,
    rank=1,
    role="strategy",
    file_axis="k",
    file_index=2,
    plane="axial",
    centre_ras_mm=(1.0, -1.9, -1.0),
    corners_ras_mm=((2.5, 0.1, -1.0),) * 4,
    uncertainty={"liver": 0.25},
    annotator="anna",
    file="tasks/anna/case-001.nii.gz",
    prefill="prediction",
)
PATCH = QueriedUnit(
    case="c1",
    index=0,
    start=(0, 1, 2),
    stop=(3, 4, 4),
    rank=2,
    role="audit",
    file_start=(2, 1, 0),
    file_stop=(4, 4, 3),
    file="tasks/case-001.nii.gz",
    prefill="none",
)
HANDED_OUT: dict[str, Any] = {
    "dataset": "d",
    "strategy": "usim-f",
    "seed": 0,
    "round": 1,
    "version": 1,
    "id": "20261129-141502-usim-f-1a2b",
    "created": "2026-11-29T14:15:02Z",
    "albench": "0.1.0",
    "model": AskingModel(
        folder="../m", configuration="2d", folds=(0, "all"), sha256=("b" * 64,), uncertainty="dropout"
    ),
    "labels": {"background": 0, "liver": 1},
    "ignore": 2,
    "channel_names": ("CT",),
    "file_ending": ".nii.gz",
    "cases": {"c1": CASE},
    "n_candidates": 9,
    "trust_image_geometry": True,
    "units": (SLICE, PATCH),
}


@pytest.mark.parametrize("model", [HANDED_OUT["model"], None])
def test_what_is_written_is_read(tmp_path: Path, model: AskingModel | None) -> None:
    query = Query(**HANDED_OUT | {"model": model})
    query.write(tmp_path / "q.json")
    assert Query.read(tmp_path / "q.json") == query
    stored = json.loads((tmp_path / "q.json").read_text())
    assert list(stored) == ["format", "dataset", "strategy", "parameters", *list(HANDED_OUT)[2:], "digest"]
    assert "file_start" not in stored["units"][0]
    assert stored["units"][1]["file_start"] == [2, 1, 0]
    assert "file_axis" not in stored["units"][1]


def test_a_unit_has_a_box_in_its_file() -> None:
    assert SLICE.box_ijk((4, 5, 6)) == ((0, 0, 2), (4, 5, 3))
    assert PATCH.box_ijk((4, 5, 6)) == ((2, 1, 0), (4, 4, 3))
    with pytest.raises(ValueError, match="expected a place in a file, found none"):
        QueriedUnit(case="c1", index=0, axis=0).box_ijk((4, 5, 6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {}, "ignore": None}, "expected labels, ignore in a query of version 1, found none"),
        ({"version": 2}, "version"),
        ({"id": "../q"}, "expected a name that a file can have"),
        ({"created": "2026-11-29T14:15:02"}, "expected a time in UTC"),
        ({"cases": {"c2": CASE}}, "expected the case of units.0 among the cases, found 'c1'"),
        ({"cases": {"c1": CASE.model_copy(update={"shape_ijk": (4, 5, 2)})}}, "expected a place in a file of"),
        ({"units": (SLICE.model_copy(update={"rank": None}),)}, "expected rank, file and prefill of units.0"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Query(**HANDED_OUT | changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "/etc/passwd"),
        ("file", "../c1.nii.gz"),
        ("file", "tasks/\x1b[2J"),
        ("annotator", "a/b"),
        ("centre_ras_mm", [0.0, "nan", 1.0]),
        ("file_start", [0, 0, 0]),
        ("role", "other"),
    ],
)
def test_units_that_lead_elsewhere_are_refused_when_read(tmp_path: Path, key: str, value: object) -> None:
    Query(**HANDED_OUT).write(tmp_path / "q.json")
    stored = json.loads((tmp_path / "q.json").read_text())
    stored["units"][0][key] = value
    del stored["digest"], stored["format"]
    (tmp_path / "q.json").write_text(json.dumps(stored))
    with pytest.raises(InputError, match=r"expected the units of a query, found units\.0"):
        Query.read(tmp_path / "q.json")


def test_images_have_relative_paths() -> None:
    with pytest.raises(ValidationError, match="expected a relative path"):
        QueriedCase(**CASE.model_dump() | {"images": ("/data/c1.nii.gz",)})
