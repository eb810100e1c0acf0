"""Names and places of files and folders as people have them."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from albench.data import Dataset, find_problems, load_dataset, verify_cases, write_nnunet_raw
from albench.data.locate import cache_folder
from albench.errors import InputError
from albench.study.request import RunRequest
from tests.support.msd_fixtures import make_msd, make_tar


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def raw(root: Path, **changes: object) -> Path:
    """A sound nnU-Net raw data set."""
    make_msd(root)
    for path in list((root / "imagesTr").iterdir()):
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    content = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "a": 1, "b": 2},
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(content | changes))
    return root


def test_hidden_files_are_no_cases(tmp_path: Path) -> None:
    root = raw(tmp_path / "own")
    for part, name in (("imagesTr", "._case_00_0000.nii.gz"), ("labelsTr", "._case_00.nii.gz"), ("labelsTr", ".x")):
        (root / part / name).write_bytes(bytes(100))
    dataset = load(root)
    assert dataset.case_names == ("case_00", "case_01", "case_02")
    assert find_problems(dataset, n_workers=1) == []


def test_a_list_left_from_version_1_does_not_count(tmp_path: Path) -> None:
    root = raw(tmp_path / "own", training=[{"image": "./imagesTr/gone.nii.gz", "label": "./labelsTr/gone.nii.gz"}])
    assert load(root).case_names == ("case_00", "case_01", "case_02")


def test_version_1_with_numbered_channels_gets_a_hint(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own")
    for path in list((root / "imagesTr").iterdir()):
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    with pytest.raises(InputError, match=r"found none; case_00_0000\.nii\.gz is there"):
        verify_cases(load(root), n_workers=1)


def test_the_entry_dataset_says_where_files_are(tmp_path: Path) -> None:
    root = raw(tmp_path / "own")
    archive = tmp_path / "archive"
    archive.mkdir()
    entry = {}
    for number in range(3):
        for part, old, new in (("imagesTr", f"case_0{number}_0000", "mr"), ("labelsTr", f"case_0{number}", "seg")):
            (archive / f"p{number}").mkdir(exist_ok=True)
            (root / part / f"{old}.nii.gz").rename(archive / f"p{number}" / f"{new}.nii.gz")
        entry[f"p{number}"] = {
            "images": [f"../archive/p{number}/mr.nii.gz"],
            "label": str(archive / f"p{number}" / "seg.nii.gz"),
        }
    content = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(content | {"dataset": entry}))
    dataset = load(root)
    assert dataset.case_names == ("p0", "p1", "p2")
    assert find_problems(dataset, n_workers=1) == []
    made = write_nnunet_raw(dataset, ["p1"], tmp_path / "raw", 1, "Own")
    assert (made / "imagesTr" / "p1_0000.nii.gz").resolve() == archive / "p1" / "mr.nii.gz"
    with pytest.raises(InputError, match="expected files inside the archive"):
        load(make_tar(root, tmp_path / "packed.tar"))
    for wrong in ({}, [], {"p0": {}}, {"p0": {"images": [], "label": 1}}, {"p0": {"images": ["a.png"], "label": "b"}}):
        (root / "dataset.json").write_text(json.dumps(content | {"dataset": wrong}))
        with pytest.raises(InputError, match=r"dataset\.json: expected"):
            load(root)


@pytest.mark.parametrize("name", ["t2*_0", "a[1]", "what?", "{x}"])
def test_names_with_signs_of_patterns(name: str, tmp_path: Path) -> None:
    root = raw(tmp_path / "own")
    (root / "imagesTr" / "case_00_0000.nii.gz").rename(root / "imagesTr" / f"{name}_0000.nii.gz")
    (root / "labelsTr" / "case_00.nii.gz").rename(root / "labelsTr" / f"{name}.nii.gz")
    dataset = load(root)
    assert name in dataset.case_names
    assert find_problems(dataset, n_workers=1) == []


def test_composed_and_decomposed_letters_are_the_same(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    described = raw(tmp_path / "described")
    (described / "imagesTr" / "case_00_0000.nii.gz").rename(described / "imagesTr" / f"{composed}_0000.nii.gz")
    (described / "labelsTr" / "case_00.nii.gz").rename(described / "labelsTr" / f"{decomposed}.nii.gz")
    plain = tmp_path / "plain"
    shutil.copytree(described / "labelsTr", plain / "labels")
    shutil.copytree(described / "imagesTr", plain / "images")
    listed = make_msd(tmp_path / "listed")
    content = json.loads((listed / "dataset.json").read_text())
    content["training"] += [{"image": f"./imagesTr/{composed}.nii.gz", "label": f"./labelsTr/{composed}.nii.gz"}]
    content["training"] = [pair for pair in content["training"] if "case_00" not in pair["image"]]
    (listed / "dataset.json").write_text(json.dumps(content))
    for part in ("imagesTr", "labelsTr"):
        (listed / part / "case_00.nii.gz").rename(listed / part / f"{decomposed}.nii.gz")
    for root in (described, plain, listed):
        dataset = load(root)
        assert len(dataset.cases) == 3
        assert find_problems(dataset, n_workers=1) == []


def test_a_link_is_called_by_its_own_name(tmp_path: Path) -> None:
    root = raw(tmp_path / "store" / "v17")
    (tmp_path / "prostate").symlink_to(root)
    dataset = load(tmp_path / "prostate")
    assert (dataset.name, dataset.root) == ("prostate", root)


def test_a_comma_in_a_path_splits_nothing(tmp_path: Path) -> None:
    root = raw(tmp_path / "T1, T2")
    assert RunRequest(str(root)).dataset == (str(root),)
    assert RunRequest(f"{root}x,phantom").dataset == (str(tmp_path / "T1"), "T2x", "phantom")


def test_no_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ALBENCH_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", nowhere)
    with pytest.raises(InputError, match="--cache: expected a folder, found none"):
        cache_folder(None)


def test_a_folder_for_each_case_names_it(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own")
    pairs = []
    for number in range(3):
        folder = root / f"case_{number:05d}"
        folder.mkdir()
        for part, name in (("imagesTr", "imaging"), ("labelsTr", "segmentation")):
            (root / part / f"case_0{number}.nii.gz").rename(folder / f"{name}.nii.gz")
        pairs.append({"image": f"{folder.name}/imaging.nii.gz", "label": f"{folder.name}/segmentation.nii.gz"})
    content = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(content | {"training": pairs}))
    dataset = load(root)
    assert dataset.case_names == ("case_00000", "case_00001", "case_00002")
    assert find_problems(dataset, n_workers=1) == []
    (root / "dataset.json").write_text(json.dumps(content | {"training": [pairs[0], pairs[0]]}))
    with pytest.raises(InputError, match="expected every case once"):
        load(root)
