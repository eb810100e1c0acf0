"""Folders of images and labels without a description."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import Dataset, find_problems, load_dataset, write_nnunet_raw
from albench.errors import InputError
from tests.support.msd_fixtures import make_msd, make_tar, write_nifti


def load(path: Path) -> Dataset:
    return load_dataset(str(path), data_dir=None, cache_dir=path.parent / "cache")


def make(root: Path, *, values: Sequence[int] = (0, 1, 2), pair: tuple[str, str] = ("images", "labels")) -> Path:
    """Three cases of one NIfTI image each, whose labels hold all of `values`."""
    make_msd(root)
    (root / "dataset.json").unlink()
    for number, path in enumerate(sorted((root / "labelsTr").iterdir())):
        label = np.random.default_rng(number).choice(values, (4, 5, 6))
        label.ravel()[: len(values)] = values
        write_nifti(path, label.astype(np.uint8))
    for old, new in zip(("imagesTr", "labelsTr"), pair, strict=True):
        (root / old).rename(root / new)
    return root


def write_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=array.ndim == 3), str(path))


@pytest.mark.parametrize("pair", [("images", "labels"), ("imagesTr", "labelsTr"), ("imgs", "masks")])
def test_pairs_and_labels_are_found(pair: tuple[str, str], tmp_path: Path) -> None:
    root = make(tmp_path / "own", pair=pair)
    dataset = load(root)
    assert (dataset.name, dataset.file_ending, dataset.channel_names) == ("own", ".nii.gz", ("image",))
    assert dataset.labels == {0: "background", 1: "class-1", 2: "class-2"}
    assert dataset.case_names == ("case_00", "case_01", "case_02")
    assert dataset.cases[1].images == (root / pair[0] / "case_01.nii.gz",)
    assert dataset.notes == (
        f"no dataset.json: 3 cases with 1 channel and the label values 0, 1, 2 found in {pair[0]} and {pair[1]}",
    )
    assert find_problems(dataset, n_workers=1) == []
    assert write_nnunet_raw(dataset, dataset.case_names, tmp_path / "raw", 1, "Own").is_dir()


def test_a_tar_of_a_plain_folder_is_the_same(tmp_path: Path) -> None:
    root = make(tmp_path / "own")
    assert load(make_tar(root, tmp_path / "packed.tar")).checksum == load(root).checksum


def test_values_with_gaps_become_consecutive_in_copies(tmp_path: Path) -> None:
    root = make(tmp_path / "own", values=(0, 4, 255))
    before = {path: path.read_bytes() for path in (root / "labels").iterdir()}
    dataset = load(root)
    assert dataset.labels == {0: "background", 1: "class-1", 2: "class-2"}
    assert "4 is class-1, 255 is class-2" in dataset.notes[1]
    for case in dataset.cases:
        old = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(root / "labels" / case.label.name)))
        new = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(case.label)))
        np.testing.assert_array_equal(new, np.select([old == 4, old == 255], [1, 2]))
    assert find_problems(dataset, n_workers=1) == []
    assert before == {path: path.read_bytes() for path in (root / "labels").iterdir()}
    assert load(root) == dataset
    changed = sorted(before)[0]
    write_nifti(changed, np.full((4, 5, 6), 4, np.uint8))
    assert load(root).checksum != dataset.checksum


def test_channels_are_files_named_as_nnunet_does(tmp_path: Path) -> None:
    root = make(tmp_path / "own")
    for path in list((root / "images").iterdir()):
        stem = path.name.removesuffix(".nii.gz")
        for channel in (0, 1):
            (path.parent / f"{stem}_{channel:04d}.nii.gz").write_bytes(path.read_bytes())
        path.unlink()
    dataset = load(root)
    assert dataset.channel_names == ("channel-0", "channel-1")
    assert [path.name for path in dataset.cases[0].images] == ["case_00_0000.nii.gz", "case_00_0001.nii.gz"]


def test_channels_in_one_4d_file(tmp_path: Path) -> None:
    root = make(tmp_path / "own")
    for path in (root / "images").iterdir():
        write_nifti(path, np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32))
    assert load(root).channel_names == ("channel-0", "channel-1")


@pytest.mark.parametrize("colours", [False, True])
def test_photographs(colours: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "unlabelled"):
        write_png(
            tmp_path / "own" / "images" / f"{name}.png",
            rng.integers(0, 255, (8, 9, 3) if colours else (8, 9), np.uint8),
        )
        if name != "unlabelled":
            write_png(tmp_path / "own" / "masks" / f"{name}.png", (255 * np.eye(8, 9)).astype(np.uint8))
    dataset = load(tmp_path / "own")
    assert dataset.channel_names == (("R", "G", "B") if colours else ("image",))
    assert dataset.labels == {0: "background", 1: "class-1"}
    assert dataset.case_names == ("a", "b")
    assert dataset.notes[1] == "1 image without a label left out"
    assert find_problems(dataset, n_workers=1) == []


def _label_without_image(root: Path) -> None:
    (root / "images" / "case_01.nii.gz").unlink()


def _image_for_label(root: Path) -> None:
    write_nifti(root / "labels" / "case_01.nii.gz", np.arange(120, dtype=np.uint8).reshape(4, 5, 6))


def _fractions(root: Path) -> None:
    write_nifti(root / "labels" / "case_01.nii.gz", np.full((4, 5, 6), 0.5, np.float32))


def _background_alone(root: Path) -> None:
    for path in (root / "labels").iterdir():
        write_nifti(path, np.zeros((4, 5, 6), np.uint8))


def _other_format(root: Path) -> None:
    write_png(root / "images" / "p.png", np.zeros((4, 5), np.uint8))


def _uneven(root: Path) -> None:
    path = root / "images" / "case_01.nii.gz"
    for channel in (0, 1):
        (path.parent / f"case_01_{channel:04d}.nii.gz").write_bytes(path.read_bytes())
    path.unlink()


def _no_labels(root: Path) -> None:
    for path in (root / "labels").iterdir():
        path.unlink()


def _twice(root: Path) -> None:
    (root / "images" / "case_01.nii").write_bytes(b"")


def _no_folders(root: Path) -> None:
    (root / "images").rename(root / "pictures")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_label_without_image, "case_01.nii.gz: expected an image called case_01, or with _0000 and on behind, in "),
        (_image_for_label, "case_01.nii.gz: expected a label map of a few whole numbers from 0 up, found 120 values"),
        (_fractions, "case_01.nii.gz: expected a label map of a few whole numbers from 0 up, found 0.5"),
        (_background_alone, "labels: expected labels with foreground, found the value 0 alone"),
        (_other_format, "expected images and labels of one format, as nnU-Net does, found 6 .nii.gz, 1 .png"),
        (_uneven, "expected as many images in every case, found [1, 2]"),
        (_no_labels, "labels: expected label files ending in one of"),
        (_twice, "images: expected one file a name, found case_01.nii and case_01.nii.gz"),
        (_no_folders, "expected one data set (dataset.json in it or in one folder, or images and labels), found none"),
        (_no_folders, "images in one of images, imagesTr, image, imgs, volume, volumes, labels in one of labels, "),
    ],
)
def test_what_is_wrong_is_named(spoil: object, message: str, tmp_path: Path) -> None:
    root = make(tmp_path / "own")
    spoil(root)  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        load(root)
    assert message in str(caught.value)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize(("images", "labels"), [("volume", "segmentation"), ("volumes", "segmentations")])
def test_folders_may_be_called(images: str, labels: str, tmp_path: Path) -> None:
    root = make(tmp_path / "own")
    (root / "images").rename(root / images)
    (root / "labels").rename(root / labels)
    assert len(load(root).cases) == 3


def test_a_truncated_label_is_left_to_verification(tmp_path: Path) -> None:
    root = make(tmp_path / "own")
    path = root / "labels" / "case_01.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    (problem,) = find_problems(load(root), n_workers=1)
    assert problem.kind == "unreadable"
