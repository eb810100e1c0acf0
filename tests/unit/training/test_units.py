"""Slices and patches of whole cases, with the labels they hold."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from albench.coldstart.descriptors import describe_patches, describe_slices
from albench.data import Dataset
from albench.training.scan import CaseScan, scan_case
from albench.training.units import default_patch_size, patch_pool, slice_pool

SIZE = (7, 9, 30)


@pytest.fixture(scope="module")
def scans(phantom: Dataset) -> dict[str, CaseScan]:
    return {case.name: scan_case(case, phantom.n_labels, 0) for case in phantom.cases[:2]}


def label(dataset: Dataset, case: str) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(dataset.case(case).label)))


def plain_border(labels: np.ndarray) -> np.ndarray:
    """Voxels with one of their six neighbours of another label: shifted copies, edges repeated."""
    padded = np.pad(labels, 1, mode="edge")
    result = np.zeros(labels.shape, dtype=bool)
    for axis in range(3):
        for shift in (-1, 1):
            result |= np.roll(padded, shift, axis)[1:-1, 1:-1, 1:-1] != labels
    return result


def test_patches_count_the_labels_and_borders_in_their_boxes(phantom: Dataset, scans: dict[str, CaseScan]) -> None:
    pool = patch_pool(phantom.cases[:2], scans, SIZE, phantom.n_labels).pool
    assert pool.axes == {}
    assert pool.cases == phantom.case_names[:2]
    for row, unit in enumerate(pool.units):
        labels = label(phantom, unit.case)
        box = tuple(map(slice, pool.starts[row], pool.stops[row]))
        assert labels[box].size == pool.n_voxels[row]
        at_border = plain_border(labels)[box]
        for value in range(phantom.n_labels):
            assert pool.voxel_counts[row, value] == (labels[box] == value).sum()
            assert pool.border_counts[row, value] == ((labels[box] == value) & at_border).sum()
    assert (pool.border_counts[:, 1:].sum(axis=0) > 0).all()


def test_patches_cover_the_crop_and_are_numbered_in_it(phantom: Dataset, scans: dict[str, CaseScan]) -> None:
    pool = patch_pool(phantom.cases[:2], scans, SIZE, phantom.n_labels).pool
    for case, scan in scans.items():
        rows = [row for row, unit in enumerate(pool.units) if unit.case == case]
        assert [pool.units[row].index for row in rows] == list(range(len(rows)))
        covered = np.zeros(scan.shape, dtype=int)
        for row in rows:
            covered[tuple(map(slice, pool.starts[row], pool.stops[row]))] += 1
        expected = np.zeros_like(covered)
        expected[tuple(slice(*bounds) for bounds in scan.box)] = 1
        np.testing.assert_array_equal(covered, expected)


@pytest.mark.parametrize("axis", range(3))
def test_slices_are_those_of_the_crop(axis: int, phantom: Dataset, scans: dict[str, CaseScan]) -> None:
    pool = slice_pool(scans, axis).pool
    assert pool.axes == dict.fromkeys(scans, axis)
    for row, unit in enumerate(pool.units):
        low, high = scans[unit.case].box[axis]
        assert low <= unit.index < high
        plane = np.take(label(phantom, unit.case), unit.index, axis)
        assert pool.n_voxels[row] == plane.size
        np.testing.assert_array_equal(pool.voxel_counts[row], np.bincount(plane.ravel(), minlength=phantom.n_labels))
        assert (pool.starts[row][axis], pool.stops[row][axis]) == (unit.index, unit.index + 1)
    assert len(pool) == sum(scan.box[axis][1] - scan.box[axis][0] for scan in scans.values())


def scan_of(*edges: int) -> CaseScan:
    return CaseScan(edges, (1.0, 1.0, 1.0), tuple((0, edge) for edge in edges))


def test_the_default_patch_is_a_third_of_the_median_crop() -> None:
    scans = {"a": scan_of(30, 10, 1), "b": scan_of(36, 10, 2), "c": scan_of(90, 11, 2)}
    assert default_patch_size(scans) == (12, 4, 1)


def test_a_patch_looks_like_the_mean_of_its_slices(phantom: Dataset) -> None:
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(phantom.cases[0].images[0]))).astype(np.float32)
    box = [(0, edge) for edge in image.shape]
    starts, stops = (
        np.array([[0, 0, 0], [5, 0, 0]]),
        np.array([[5, *image.shape[1:]], [image.shape[0], *image.shape[1:]]]),
    )
    found = describe_patches(image[None], box, starts, stops)
    slices = describe_slices(image[None], box, 0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [slices[:5].mean(axis=0), slices[5:].mean(axis=0)], rtol=1e-5, atol=1e-6)


def test_patches_are_described_where_asked(phantom: Dataset, scans: dict[str, CaseScan]) -> None:
    described = patch_pool(phantom.cases[:2], scans, SIZE, phantom.n_labels, describe=True)
    assert described.descriptors is not None
    assert described.descriptors.shape == (len(described.pool), 433)
    assert ((described.descriptors >= 0) & (described.descriptors <= 1)).all()
    assert patch_pool(phantom.cases[:2], scans, SIZE, phantom.n_labels).descriptors is None
