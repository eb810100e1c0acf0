"""Segments are told by name, whatever their numbers and layers; headers of others are not believed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from albench.annotation.segments import Segment, Segmentation, SegmentError, read_segmentation
from albench.errors import InputError
from tests.support.annotation_project import make_project

VALUES = {"background": 0, "organ": 1, "tumour": 2, "ignore": 3}


@given(st.lists(st.sampled_from(["organ", "tumour", "ignore"]), min_size=1, max_size=3, unique=True), st.data())
def test_any_layers_and_numbers_give_the_same(names: list[str], data: st.DataObject) -> None:
    labels = np.random.default_rng(0).choice([0, *(VALUES[name] for name in names)], (2, 3, 4))
    layer_of = [data.draw(st.integers(0, 2)) for _ in names]
    value_of = data.draw(st.permutations(range(1, 9)))
    layers = np.zeros((3, *labels.shape), dtype=np.uint8)
    for name, layer, value in zip(names, layer_of, value_of, strict=False):
        layers[layer][labels == VALUES[name]] = value
    segments = tuple(map(Segment, names, value_of, layer_of, [False] * len(names)))
    read = Segmentation(Path("a.seg.nrrd"), segments, layers, None)
    assert (read.merged(VALUES) == labels).all()
    assert read.has_ignore == ("ignore" in names)


def test_background_may_be_a_segment() -> None:
    layers = np.array([[[[1, 2, 0]]]], dtype=np.uint8)
    segments = (Segment("background", 1, 0, False), Segment("organ", 2, 0, False))
    assert Segmentation(Path("a"), segments, layers, None).merged(VALUES).tolist() == [[[0, 1, 0]]]


def test_overlap_and_unknown_names() -> None:
    layers = np.array([[[[1, 1, 0]]], [[[0, 1, 1]]]], dtype=np.uint8)
    segments = (Segment("organ", 1, 0, False), Segment("tumour", 1, 1, False))
    with pytest.raises(SegmentError, match="found 1 in 'tumour' and 'organ'"):
        Segmentation(Path("a"), segments, layers, None).merged(VALUES)
    with pytest.raises(SegmentError, match="found 'tumour' with 2 voxels; rename or remove it"):
        Segmentation(Path("a"), segments[1:], layers, None).merged({"organ": 1})


def write(path: Path, **texts: str) -> Path:
    made = SimpleITK.GetImageFromArray(np.ones((2, 3, 4), dtype=np.uint8))
    for key, text in texts.items():
        made.SetMetaData(key.replace("__", "."), text)
    SimpleITK.WriteImage(made, str(path))
    return path


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"Segment0_Name": "organ", "Segment0_Layer": "1"},
        {"Segment0_Name": "organ", "Segment0_LabelValue": "-1"},
        {"Segment0_Name": "organ", "Segment0_LabelValue": "9" * 5000},
        {"Segment0_Name": ""},
        {"Segment0_LabelValue": "1"},
    ],
)
def test_headers_that_are_none(texts: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.seg\.nrrd"):
        read_segmentation(write(tmp_path / "a.seg.nrrd", **texts))


def test_old_files_have_no_layers(tmp_path: Path) -> None:
    read = read_segmentation(write(tmp_path / "a.seg.nrrd", Segment0_Name="organ"))
    assert read.segments == (Segment("organ", 1, 0, False),)
    assert (read.merged(VALUES) == 1).all()


def groups(*labels: object) -> dict[str, str]:
    return {"org__mitk__multilabel__segmentation__labelgroups": json.dumps([{"labels": labels}])}


def test_mitk(tmp_path: Path) -> None:
    """MITK keeps Slicer's keys as they were in the file that it was given."""
    stale = {"Segment0_Name": "tumour", "Segment0_LabelValue": "1"}
    read = read_segmentation(write(tmp_path / "a.mitk.nrrd", **stale, **groups({"name": "organ", "value": 1})))
    assert (read.merged(VALUES) == VALUES["organ"]).all()


@pytest.mark.parametrize(
    "texts",
    [
        {},
        groups(),
        groups(3),
        groups({"name": "organ"}),
        groups({"name": "organ", "value": "x"}),
        {"org__mitk__multilabel__segmentation__labelgroups": "[" * 10_000},
        {"org__mitk__multilabel__segmentation__labelgroups": '[{"labels": []}, {"labels": [{"name":"a","value":1}]}]'},
    ],
)
def test_mitk_headers_that_are_none(texts: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a segmentation of MITK, found no labels in its header"):
        read_segmentation(write(tmp_path / "a.mitk.nrrd", **texts))


def test_what_mitk_saves_is_taken(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]})
    given_file = project.labels / "a.seg.nrrd"
    made = SimpleITK.ReadImage(str(given_file))
    saved = SimpleITK.GetImageFromArray(project.answer("a").astype(np.uint16))
    saved.CopyInformation(made)
    for key in made.GetMetaDataKeys():
        saved.SetMetaData(key, made.GetMetaData(key))
    SimpleITK.WriteImage(saved, str(project.labels / "a.mitk.nrrd"), useCompression=True)
    assert project.take().backup
    assert (project.imported("a") == project.answer("a")).all()
