"""Windows of a training lie around annotated voxels: in their middle as nnU-Net has it, or anywhere as nnActive has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

from albench.seeding import seeded
from albench.training.sampling import OffsetLoader

KEY = (-1, 0, 1)
SHAPE = (40, 50, 60)
VOXEL = np.array([[0, 20, 25, 30]], dtype=np.int32)


def loader(kind: type[nnUNetDataLoader], patch_size: tuple[int, ...]) -> Any:
    labels = SimpleNamespace(all_labels=[0, 1], has_ignore_label=True)
    return kind(SimpleNamespace(identifiers=["case"]), 2, patch_size, patch_size, labels, 0.33)


def windows(made: Any, force_fg: bool, locations: dict[Any, np.ndarray], n: int = 400) -> np.ndarray:
    with seeded("windows"):
        return np.array([made.get_bbox(SHAPE, force_fg, locations)[0] for _ in range(n)])


def test_an_annotated_voxel_may_be_anywhere_in_a_window() -> None:
    patch = (10, 12, 16)
    locations = {1: VOXEL, KEY: VOXEL}
    in_the_middle = VOXEL[0, 1:] - np.array(patch) // 2
    assert (windows(loader(nnUNetDataLoader, patch), False, locations) == in_the_middle).all()
    found = windows(loader(OffsetLoader, patch), False, locations)
    for axis, edge in enumerate(patch):
        starts, counts = np.unique(found[:, axis], return_counts=True)
        # the middle moves by -edge / 2 to edge / 2 - 1: the window always holds the voxel, each start alike
        np.testing.assert_array_equal(starts, in_the_middle[axis] + np.arange(-edge // 2, edge // 2))
        assert (starts <= VOXEL[0, 1 + axis]).all()
        assert (starts + edge >= VOXEL[0, 1 + axis]).all()
        assert counts.max() < 3 * counts.min()


def test_windows_around_foreground_stay_nnunets() -> None:
    locations = {1: np.stack([VOXEL[0], VOXEL[0] + 1]), KEY: VOXEL}
    patch = (10, 12, 16)
    np.testing.assert_array_equal(
        windows(loader(OffsetLoader, patch), True, locations), windows(loader(nnUNetDataLoader, patch), True, locations)
    )


def test_the_middle_of_a_window_stays_in_the_image() -> None:
    patch = (10, 12, 16)
    voxel = np.array([[0, 39, 49, 59]], dtype=np.int32)  # the last one
    middles = windows(loader(OffsetLoader, patch), False, {KEY: voxel}) + np.array(patch) // 2
    assert (middles.min(axis=0) == np.array(SHAPE) - 1 - np.array(patch) // 2).all()
    assert (middles.max(axis=0) == np.array(SHAPE) - 1).all()
    first = np.zeros((1, 4), dtype=np.int32)
    # nnU-Net's loader keeps windows inside the image at this end
    assert (windows(loader(OffsetLoader, patch), False, {KEY: first}) == 0).all()


def test_slices_stay_the_annotated_ones_and_locations_what_they_were() -> None:
    locations = {KEY: VOXEL.copy()}
    found = windows(loader(OffsetLoader, (12, 16)), False, locations)
    assert set(found[:, 0]) == {20}
    assert len(set(found[:, 1])) == 12
    np.testing.assert_array_equal(locations[KEY], VOXEL)


def test_a_case_without_annotated_voxels_is_cut_anywhere() -> None:
    empty = {KEY: np.empty((0, 4), dtype=np.int32)}
    with pytest.warns(UserWarning, match="No annotated pixels"):
        assert len(np.unique(windows(loader(OffsetLoader, (10, 12, 16)), False, empty, 50), axis=0)) > 20
