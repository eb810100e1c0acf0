"""Label counts of every slice along every axis, and of the borders in it."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from albench.data import Dataset
from albench.training.scan import border, scan_case


def plain_border(image: np.ndarray) -> np.ndarray:
    """Pixels of a 2D label map with one of their four neighbours of another label."""
    result = np.zeros(image.shape, dtype=bool)
    for (row, column), label in np.ndenumerate(image):
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < image.shape[0] and 0 <= c < image.shape[1]:
                result[row, column] |= image[r, c] != label
    return result


def others(axis: int) -> list[int]:
    return [a for a in range(3) if a != axis]


@pytest.mark.parametrize("axis", range(3))
def test_a_border_voxel_has_a_neighbour_of_another_label_in_its_slice(axis: int) -> None:
    labels = np.random.default_rng(axis).choice([0, 0, 0, 1, 2], (5, 6, 7)).astype(np.uint8)
    expected = np.stack([plain_border(slice_) for slice_ in np.moveaxis(labels, axis, 0)], axis=axis)
    np.testing.assert_array_equal(border(labels, others(axis)), expected)


def test_the_edge_of_the_image_is_no_border() -> None:
    assert not border(np.ones((3, 4, 5), dtype=np.uint8), range(3)).any()
    assert border(np.array([[[255, 0]]], dtype=np.uint8), [2]).all()  # a difference that does not fit a byte


def test_a_scan_counts_voxels_and_borders_of_each_label_in_each_slice(phantom: Dataset) -> None:
    case = phantom.cases[0]
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(case.label)))
    scan = scan_case(case, phantom.n_labels)
    for axis in range(3):
        slices = np.moveaxis(labels, axis, 0)
        at_border = np.moveaxis(border(labels, others(axis)), axis, 0)
        assert scan.voxel_counts[axis].shape == scan.border_counts[axis].shape == (len(slices), phantom.n_labels)
        for index in range(0, len(slices), 5):
            for label in range(phantom.n_labels):
                assert scan.voxel_counts[axis][index, label] == (slices[index] == label).sum()
                assert scan.border_counts[axis][index, label] == ((slices[index] == label) & at_border[index]).sum()
        assert scan.border_counts[axis][:, 1:].any()
