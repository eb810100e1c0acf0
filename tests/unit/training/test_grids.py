"""Where units of the original grid lie on the preprocessed one."""

from __future__ import annotations

import numpy as np
import pytest
from batchgenerators.augmentations.utils import resize_segmentation
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.errors import InputError
from albench.training.grids import CaseGrid, require_voxels
from albench.units.pool import patch_grid, slice_boxes

AXIS = st.tuples(st.integers(0, 5), st.integers(1, 25), st.integers(0, 5), st.integers(1, 40), st.integers(1, 12))


def boxes(grid: CaseGrid, starts: np.ndarray, stops: np.ndarray) -> list[tuple[slice, ...]]:
    return [grid.box(start, stop) for start, stop in zip(starts, stops, strict=True)]


@settings(deadline=None)
@given(axes=st.tuples(AXIS, AXIS, AXIS), transpose=st.permutations([0, 1, 2]))
def test_a_tiling_stays_one(axes: tuple[tuple[int, ...], ...], transpose: list[int]) -> None:
    """Whatever crop, transposition and resampling: every preprocessed voxel is in one patch."""
    crop = [(low, low + length) for low, length, *_ in axes]
    grid = CaseGrid(tuple(transpose), tuple(crop[a] for a in transpose), tuple(axes[a][3] for a in transpose))
    starts, stops = patch_grid(crop, [size for *_, size in axes])
    covered = np.zeros(grid.shape, dtype=int)
    for box in boxes(grid, starts, stops):
        covered[box] += 1
    assert (covered == 1).all()


@settings(deadline=None)
@given(axes=st.tuples(AXIS, AXIS, AXIS), axis=st.integers(0, 2), data=st.data())
def test_a_slice_keeps_its_row_and_covers_it(axes: tuple[tuple[int, ...], ...], axis: int, data: st.DataObject) -> None:
    """Slices are not resampled along their axis; in the plane they cover all that was kept."""
    transpose = (axis, *(a for a in range(3) if a != axis))
    crop = [(low, low + length) for low, length, *_ in axes]
    shape = [length + low + rest for low, length, rest, *_ in axes]
    new = (axes[axis][1], *(axes[a][3] for a in transpose[1:]))
    grid = CaseGrid(transpose, tuple(crop[a] for a in transpose), new)
    low, high = crop[axis]
    index = data.draw(st.integers(low, high - 1))
    (box,) = boxes(grid, *slice_boxes(shape, axis, index, index + 1))
    assert box == (slice(index - low, index - low + 1), slice(0, new[1]), slice(0, new[2]))


def test_bounds_go_to_the_nearest_voxel_border() -> None:
    grid = CaseGrid((1, 0, 2), ((2, 12), (0, 4), (1, 8)), (5, 8, 7))
    # y: 10 voxels become 5; z: 4 become 8; x: 7 stay
    found = grid.box(np.array([1, 5, 0]), np.array([3, 9, 4]))
    # y 5..9 is 3..7 in the crop, at half the scale 1.5..3.5, halves up
    assert found == (slice(2, 4), slice(2, 6), slice(0, 3))


def test_what_lies_outside_the_crop_is_cut_off() -> None:
    grid = CaseGrid((0, 1, 2), ((3, 6), (0, 4), (2, 4)), (3, 4, 2))
    assert grid.box(np.array([0, 0, 0]), np.array([99, 99, 99])) == (slice(0, 3), slice(0, 4), slice(0, 2))


def test_it_reads_nnunets_properties() -> None:
    properties = {"bbox_used_for_cropping": [[np.int64(1), np.int64(5)], [0, 6], [0, 7]]}
    grid = CaseGrid.read([2, 0, 1], properties, (4, 3, 7))
    assert grid == CaseGrid((2, 0, 1), ((1, 5), (0, 6), (0, 7)), (4, 3, 7))


def test_patches_that_vanish_are_refused_by_the_case() -> None:
    grid = CaseGrid((0, 1, 2), ((0, 10), (0, 10), (0, 10)), (2, 10, 10))
    fine, vanishing = (grid.box(np.zeros(3, int), np.array([z, 5, 5])) for z in (5, 2))
    require_voxels("case_7", [fine], grid)
    with pytest.raises(InputError, match=r"pool.patch_size: .* case_7 goes from \(10, 10, 10\) to \(2, 10, 10\)"):
        require_voxels("case_7", [fine, vanishing], grid)


@settings(deadline=None, max_examples=60)
@given(axes=st.tuples(AXIS, AXIS, AXIS), transpose=st.permutations([0, 1, 2]), seed=st.integers(0, 9))
def test_what_lies_beyond_a_box_reaches_no_voxel_that_counts_as_inside(
    axes: tuple[tuple[int, ...], ...], transpose: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    crop = [(low, low + length) for low, length, *_ in axes]
    grid = CaseGrid(tuple(transpose), tuple(crop[a] for a in transpose), tuple(axes[a][3] for a in transpose))
    starts, stops = patch_grid(crop, [size for *_, size in axes])
    row = rng.integers(len(starts))
    start, stop = starts[row], stops[row]
    part = tuple(slice(start[a] - crop[a][0], stop[a] - crop[a][0]) for a in transpose)
    labels = rng.integers(0, 3, [high - low for low, high in grid.crop])
    other = rng.integers(0, 3, labels.shape)
    other[part] = labels[part]
    box, sources = grid.box(start, stop), grid.sources(start, stop)
    inside = np.ix_(*(np.flatnonzero(axis.inside) for axis in sources))
    first, second = (resize_segmentation(values, grid.shape, order=1)[box][inside] for values in (labels, other))
    np.testing.assert_array_equal(first, second)
    for axis, bounds, edge in zip(sources, part, box, strict=True):
        assert axis.nearest.shape == axis.inside.shape == (edge.stop - edge.start,)
        assert ((axis.nearest >= bounds.start) & (axis.nearest < bounds.stop)).all()
        assert (np.diff(axis.nearest) >= 0).all()
