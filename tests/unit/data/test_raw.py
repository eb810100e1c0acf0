"""nnU-Net takes what we write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from nnunetv2.experiment_planning.verify_dataset_integrity import check_cases, verify_labels
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from albench.data import Dataset, load_dataset, write_nnunet_raw
from albench.errors import InputError
from tests.support.msd_fixtures import SHAPE, make_msd


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def require_nnunet_accepts(folder: Path) -> None:
    """What nnU-Net's verify_dataset_integrity does, in this process instead of a pool of spawned ones."""
    description = json.loads((folder / "dataset.json").read_text())
    files = get_filenames_of_train_images_and_targets(str(folder), description)
    assert len(files) == description["numTraining"]
    manager = LabelManager(description["labels"], regions_class_order=None)
    for case in files.values():
        assert verify_labels(case["label"], SimpleITKIO, [*manager.all_labels, manager.ignore_label])
        n_channels = len(description["channel_names"])
        assert check_cases(case["images"], case["label"], n_channels, SimpleITKIO)


def test_nnunet_accepts_the_folder(tmp_path: Path) -> None:
    dataset = load(make_msd(tmp_path / "own"))
    folder = write_nnunet_raw(dataset, ["case_02", "case_00"], tmp_path / "raw", 7, "Tiny_Set")
    assert folder == tmp_path / "raw" / "Dataset007_Tiny_Set"
    require_nnunet_accepts(folder)
    description = json.loads((folder / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "Anterior": 1, "Posterior": 2, "ignore": 3}
    assert description["channel_names"] == {"0": "MRI"}
    assert (description["numTraining"], description["file_ending"]) == (2, ".nii.gz")
    image = folder / "imagesTr" / "case_00_0000.nii.gz"
    assert image.is_symlink()
    assert image.readlink() == dataset.cases[0].images[0]
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == [
        "case_00.nii.gz",
        "case_02.nii.gz",
    ]


@pytest.mark.slow
def test_nnunets_own_check_accepts_the_folder(tmp_path: Path) -> None:
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    folder = write_nnunet_raw(load(make_msd(tmp_path / "own")), ["case_00"], tmp_path / "raw", 7, "Tiny")
    verify_dataset_integrity(str(folder), num_processes=1)


def test_channels_of_a_4d_image_are_split(tmp_path: Path) -> None:
    dataset = load(make_msd(tmp_path / "own", modality={"0": "CT", "1": "ADC"}, n_channels=2))
    folder = write_nnunet_raw(dataset, dataset.case_names, tmp_path / "raw", 1, "Two")
    require_nnunet_accepts(folder)
    both = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(dataset.cases[1].images[0])))
    for index in (0, 1):
        path = folder / "imagesTr" / f"case_01_{index:04d}.nii.gz"
        channel = SimpleITK.ReadImage(str(path))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(channel), both[index])
        assert channel.GetSpacing() == pytest.approx((1.0, 1.5, 2.0))
        assert channel.GetSize() == SHAPE[::-1]
    assert json.loads((folder / "dataset.json").read_text())["channel_names"] == {"0": "CT", "1": "ADC"}


def test_wrong_number_of_channels_leaves_no_folder(tmp_path: Path) -> None:
    dataset = load(make_msd(tmp_path / "own", modality={"0": "CT", "1": "A", "2": "B"}, n_channels=2))
    with pytest.raises(InputError, match=r"case_00\.nii\.gz: expected 3 channels, found 2"):
        write_nnunet_raw(dataset, ["case_00"], tmp_path / "raw", 1, "Two")
    assert not [path for path in (tmp_path / "raw").iterdir() if path.is_dir()]


def test_copies_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    dataset = load(make_msd(tmp_path / "own"))
    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = write_nnunet_raw(dataset, ["case_00"], tmp_path / "raw", 1, "Copy")
    image = folder / "imagesTr" / "case_00_0000.nii.gz"
    assert not image.is_symlink()
    assert image.read_bytes() == dataset.cases[0].images[0].read_bytes()


def test_second_call_leaves_the_folder_alone(tmp_path: Path) -> None:
    dataset = load(make_msd(tmp_path / "own"))
    folder = write_nnunet_raw(dataset, ["case_00", "case_01"], tmp_path / "raw", 1, "Same")
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    assert write_nnunet_raw(dataset, ["case_01", "case_00"], tmp_path / "raw", 1, "Same") == folder
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def test_folder_of_other_content_is_refused(tmp_path: Path) -> None:
    dataset = load(make_msd(tmp_path / "own"))
    folder = write_nnunet_raw(dataset, ["case_00"], tmp_path / "raw", 1, "Same")
    before = (folder / "dataset.json").read_text()
    with pytest.raises(InputError, match=r"Dataset001_Same/dataset\.json: .* found another cases, numTraining"):
        write_nnunet_raw(dataset, ["case_00", "case_01"], tmp_path / "raw", 1, "Same")
    assert (folder / "dataset.json").read_text() == before
    (folder / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"Dataset001_Same/dataset\.json: expected the nnU-Net raw data set"):
        write_nnunet_raw(dataset, ["case_00"], tmp_path / "raw", 1, "Same")


def test_missing_image_leaves_no_folder(tmp_path: Path) -> None:
    dataset = load(make_msd(tmp_path / "own"))
    dataset.cases[0].label.unlink()
    with pytest.raises(InputError, match=r"labelsTr/case_00\.nii\.gz: expected a file, found none"):
        write_nnunet_raw(dataset, ["case_00"], tmp_path / "raw", 1, "Gone")
    assert not (tmp_path / "raw" / "Dataset001_Gone").exists()


@pytest.mark.parametrize(
    ("cases", "dataset_id", "name", "expected"),
    [
        (["case_00"], 0, "A", "dataset_id: expected 1 to 999, found 0"),
        (["case_00"], 1000, "A", "dataset_id: expected 1 to 999, found 1000"),
        (["case_00"], 1, "a/b", "dataset_name: expected letters"),
        (["case_00"], 1, "", "dataset_name: expected letters"),
        ([], 1, "A", "expected at least one case"),
        (["case_00", "case_00"], 1, "A", "each once"),
        (["case_09"], 1, "A", "unknown case of own 'case_09'; did you mean case_0"),
    ],
)
def test_bad_arguments(tmp_path: Path, cases: list[str], dataset_id: int, name: str, expected: str) -> None:
    dataset = load(make_msd(tmp_path / "own"))
    with pytest.raises(InputError) as caught:
        write_nnunet_raw(dataset, cases, tmp_path / "raw", dataset_id, name)
    assert expected in str(caught.value)
