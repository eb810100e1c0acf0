"""Data sets in nnU-Net's own raw layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from albench.data import Dataset, find_problems, load_dataset, write_nnunet_raw
from albench.errors import InputError
from tests.support.msd_fixtures import make_msd, make_tar

DESCRIPTION: dict[str, Any] = {
    "channel_names": {"0": "T1", "1": "ct"},
    "labels": {"background": 0, "tumour": 2, "organ": 1},
    "numTraining": 2,
    "file_ending": ".nrrd",
}


def make(root: Path, **changes: Any) -> Path:
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for case in ("b_01", "a_0000"):  # a name may end as a channel does
        for channel in range(2):
            image = SimpleITK.GetImageFromArray(rng.normal(size=(3, 4, 5)).astype(np.float32))
            SimpleITK.WriteImage(image, str(root / "imagesTr" / f"{case}_{channel:04d}.nrrd"))
        label = SimpleITK.GetImageFromArray(rng.integers(0, 3, (3, 4, 5)).astype(np.uint8))
        SimpleITK.WriteImage(label, str(root / "labelsTr" / f"{case}.nrrd"))
    (root / "dataset.json").write_text(json.dumps(DESCRIPTION | changes))
    return root


def load(path: Path) -> Dataset:
    return load_dataset(str(path), data_dir=None, cache_dir=path.parent / "cache")


@pytest.mark.parametrize("packed", [False, True])
def test_cases_channels_and_labels_are_found(packed: bool, tmp_path: Path) -> None:
    root = make(tmp_path / "Dataset001_Own")
    dataset = load(make_tar(root, tmp_path / "own.tar") if packed else root)
    assert dataset.case_names == ("a_0000", "b_01")
    assert dataset.channel_names == ("T1", "CT")
    assert dataset.labels == {0: "background", 1: "organ", 2: "tumour"}
    assert dataset.file_ending == ".nrrd"
    case = dataset.cases[0]
    assert [path.name for path in case.images] == ["a_0000_0000.nrrd", "a_0000_0001.nrrd"]
    assert case.label.name == "a_0000.nrrd"
    assert find_problems(dataset, n_workers=1) == []


def test_what_we_write_we_read(tmp_path: Path) -> None:
    source = load(make_msd(tmp_path / "msd"))
    folder = write_nnunet_raw(source, source.case_names, tmp_path / "raw", 5, "Own")
    description = json.loads((folder / "dataset.json").read_text())
    del description["labels"]["ignore"]
    (folder / "dataset.json").write_text(json.dumps(description))
    found = load(folder)
    assert found.case_names == source.case_names
    assert found.labels == source.labels
    assert [case.label.resolve() for case in found.cases] == [case.label for case in source.cases]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_ending": "nrrd"}, "expected \"file_ending\" with its dot, found 'nrrd'"),
        ({"file_ending": ".mha"}, "labelsTr: expected label files ending in .mha, found none"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, 'expected "labels" as {name: value, ...} without regions'),
        ({"labels": {"background": 0, "organ": 2}}, 'expected "labels" numbered from 0 without gaps, found [0, 2]'),
        (
            {"labels": DESCRIPTION["labels"] | {"ignore": 255}},
            'expected "ignore" to be the highest label, 3, found 255',
        ),
        ({"labels": {"background": 0}}, 'expected "labels" as {name: value, ...}'),
        ({"channel_names": {"0": "T1"} | {str(i): "x" for i in range(1, 3)}}, "a_0000.nrrd: expected 3 images"),
        ({"channel_names": {"1": "T1"}}, 'expected "channel_names" numbered from 0'),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(make(tmp_path / "own", **changes))
    assert message in str(caught.value)


def test_a_photograph_whose_label_is_of_another_size_is_named(tmp_path: Path) -> None:
    root = make(tmp_path / "own", channel_names={"0": "grey"}, file_ending=".png")
    picture = np.eye(4, 5, dtype=np.uint8)
    picture[0, 1] = 2
    for part, name in (("imagesTr", "p_0000.png"), ("labelsTr", "p.png")):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(picture), str(root / part / name))
    assert find_problems(load(root), n_workers=1) == []
    smaller = SimpleITK.GetImageFromArray(picture[:3])
    SimpleITK.WriteImage(smaller, str(root / "labelsTr" / "p.png"))
    (problem,) = find_problems(load(root), n_workers=1)
    assert "expected the image's shape (4, 5)" in problem.message
