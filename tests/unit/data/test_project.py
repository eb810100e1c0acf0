"""A pool of images with few labels: what is there is listed, what does not fit is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import verify_cases
from albench.data.project import Description, load_project, read_raw_description
from albench.errors import InputError
from albench.progress import SILENT

DESCRIPTION = Description(("MRI",), {0: "background", 1: "organ"}, ".nii.gz")


def write(path: Path, value: float, shape: tuple[int, int, int] = (4, 5, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = np.uint8 if "labels" in path.parent.name else np.float32
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full(shape, value, dtype=kind)), str(path))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six images without labels."""
    for number in range(6):
        write(tmp_path / "scans" / f"c{number}_0000.nii.gz", number)
    (tmp_path / "scans" / "._c9_0000.nii.gz").write_bytes(b"x")
    return tmp_path / "scans"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A raw data set with a description alone."""
    folder = tmp_path / "Dataset003_Raw"
    folder.mkdir()
    content = {
        "channel_names": {"0": "MRI"}, "labels": {"background": 0, "organ": 1, "ignore": 2}, "numTraining": 0,
        "file_ending": ".nii.gz",
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def load(images: Path, raw: Path | None, tmp_path: Path, description: Description = DESCRIPTION):  # type: ignore[no-untyped-def]
    return load_project(images, raw, description, name="p", cache_dir=tmp_path / "cache", reporter=SILENT)


def test_images_without_labels_are_seen_and_said(images: Path, raw: Path, tmp_path: Path) -> None:
    shutil.copytree(images, raw / "imagesTr", ignore=lambda *_: [f"c{n}_0000.nii.gz" for n in range(1, 6)])
    write(raw / "labelsTr" / "c0.nii.gz", 1)
    dataset = load(images, raw, tmp_path)
    assert dataset.case_names == tuple(f"c{n}" for n in range(6))
    assert [case.label is None for case in dataset.cases] == [False] + [True] * 5
    assert dataset.notes == ("6 cases, 1 of them with labels, complete or in part",)
    assert dataset.annotation == {"c0": "complete"} | {f"c{n}": "none" for n in range(1, 6)}


def test_a_raw_data_set_as_pool(images: Path, tmp_path: Path) -> None:
    for number, part in enumerate(("imagesTr", "imagesTs")):
        write(tmp_path / "set" / part / f"x{number}_0000.nii.gz", number)
    assert load(tmp_path / "set", None, tmp_path).case_names == ("x0", "x1")


def test_one_name_for_two_images(images: Path, raw: Path, tmp_path: Path) -> None:
    write(raw / "imagesTr" / "c1_0000.nii.gz", 77)
    with pytest.raises(InputError, match="case c1: expected one image of that name, found two that differ"):
        load(images, raw, tmp_path)


def test_links_to_images_that_have_moved(images: Path, raw: Path, tmp_path: Path) -> None:
    (raw / "imagesTr").mkdir()
    (raw / "imagesTr/c1_0000.nii.gz").symlink_to(tmp_path / "gone/c1_0000.nii.gz")
    assert load(images, raw, tmp_path).case("c1").images == (images / "c1_0000.nii.gz",)
    with pytest.raises(
        InputError, match=f"expected a file, found a link that leads nowhere, to {tmp_path}/gone/c1_0000"
    ):
        verify_cases(load(raw, raw, tmp_path), n_workers=1)


def test_a_label_without_image(images: Path, raw: Path, tmp_path: Path) -> None:
    write(raw / "labelsTr" / "lost.nii.gz", 1)
    with pytest.raises(InputError, match=r"lost\.nii\.gz: expected an image lost_0000\.nii\.gz, found none"):
        load(images, raw, tmp_path)


def test_channels_that_are_missing(images: Path, tmp_path: Path) -> None:
    description = Description(("T1", "T2", "FLAIR"), DESCRIPTION.labels, ".nii.gz")
    write(images / "c0_0001.nii.gz", 1)
    with pytest.raises(InputError, match=r"case c0: expected 3 images .* \(T1, T2, FLAIR\), found 2"):
        load(images, None, tmp_path, description)


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        with pytest.raises(InputError, match="--images"):
            load(tmp_path / folder, None, tmp_path)


def test_what_a_description_has_to_say(raw: Path, tmp_path: Path) -> None:
    assert read_raw_description(raw) == DESCRIPTION
    with pytest.raises(InputError, match=r'expected dataset\.json, found none; write one such as \{"channel_names"'):
        read_raw_description(tmp_path)
