from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.errors import InputError
from albench.units.pool import (
    Pool,
    Split,
    Unit,
    cut_points,
    fold_units,
    patch_grid,
    slice_boxes,
)
from albench.units.split import assign_folds, split_cases

UNITS = (Unit("a", 2), Unit("a", 10), Unit("b", 0))
BOXES = np.zeros((3, 3), np.int64), np.ones((3, 3), np.int64)


def pool(n_labels: int = 3) -> Pool:
    counts = np.arange(3 * n_labels, dtype=np.int64).reshape(3, n_labels)
    starts = np.array([[0, 2, 0], [0, 10, 0], [0, 0, 0]])
    return Pool(
        UNITS, {"a": 1, "b": 2}, counts, counts // 2, starts, starts + np.array([[4, 1, 6], [4, 1, 6], [5, 3, 1]])
    )


def patch_pool() -> Pool:
    counts = np.arange(6, dtype=np.int64).reshape(3, 2)
    starts = np.array([[1, 2, 0], [1, 2, 3], [0, 0, 0]])
    return Pool(UNITS, {}, counts, counts, starts, starts + np.array([[2, 2, 3], [2, 2, 4], [1, 1, 1]]))


# columns n_voxels_10 and n_voxels_11 sort before n_voxels_2
@pytest.mark.parametrize("before", [pool(2), pool(12), patch_pool()], ids=["2 labels", "12 labels", "patches"])
def test_a_saved_pool_comes_back(tmp_path: Path, before: Pool) -> None:
    before.save(tmp_path / "pool.parquet")
    after = Pool.load(tmp_path / "pool.parquet")
    assert after.units == before.units
    assert after.axes == before.axes
    assert after.cases == ("a", "b")
    assert {type(unit.index) for unit in after.units} | {type(axis) for axis in after.axes.values()} == {int}
    for name in ("voxel_counts", "n_voxels", "border_counts", "starts", "stops"):
        assert getattr(after, name).dtype == np.int64
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert list(tmp_path.iterdir()) == [tmp_path / "pool.parquet"]


def test_rows_follow_the_order_asked_for() -> None:
    rows = pool().rows([Unit("b", 0), Unit("a", 2), Unit("b", 0)])
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, [2, 0, 2])
    assert pool().rows([]).dtype == np.int64
    assert pool().rows([]).shape == (0,)


def test_rows_of_an_unknown_unit_are_an_input_error() -> None:
    with pytest.raises(InputError, match=r"unit Unit\(case='b', index=1\) is not in the pool of 3 units"):
        pool().rows([Unit("a", 2), Unit("b", 1)])


@pytest.mark.parametrize("units", [UNITS[::-1], (UNITS[0], UNITS[0], UNITS[1])])
def test_units_are_sorted_and_unique(units: tuple[Unit, ...]) -> None:
    with pytest.raises(ValueError, match="units: expected unique units sorted"):
        Pool(units, {"a": 0, "b": 0}, *(np.zeros((3, 2), np.int64) for _ in range(2)), *BOXES)


@pytest.mark.parametrize(
    ("counts", "borders", "boxes", "message"),
    [
        ((2, 2), (3, 2), (3, 3), r"voxel_counts: expected shape \(3, 2\), got \(2, 2\)"),
        ((3, 2), (3, 3), (3, 3), r"border_counts: expected shape \(3, 2\), got \(3, 3\)"),
        ((3, 2), (3, 2), (2, 3), r"starts: expected shape \(3, 3\), got \(2, 3\)"),
        ((3, 2), (3, 2), (3, 2), r"starts: expected shape \(3, 3\), got \(3, 2\)"),
    ],
)
def test_arrays_have_a_row_for_each_unit(
    counts: tuple[int, ...], borders: tuple[int, ...], boxes: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Pool(UNITS, {"a": 0, "b": 0}, *(np.zeros(shape, np.int64) for shape in (counts, borders, boxes, boxes)))


def test_an_empty_box_is_refused() -> None:
    zeros = np.zeros((3, 2), np.int64)
    with pytest.raises(ValueError, match="stops: expected boxes of at least one voxel"):
        Pool(UNITS, {}, zeros, zeros, BOXES[0], BOXES[1] * [1, 0, 1])


def test_units_have_as_many_voxels_as_their_boxes() -> None:
    np.testing.assert_array_equal(pool().n_voxels, [24, 24, 15])
    np.testing.assert_array_equal(patch_pool().n_voxels, [12, 16, 1])


def test_a_slice_lies_along_an_axis_and_a_patch_in_a_box() -> None:
    assert pool().place(UNITS[2]) == {"axis": 2}
    assert patch_pool().place(UNITS[1]) == {"start": [1, 2, 3], "stop": [3, 4, 7]}
    starts, stops = patch_pool().boxes([UNITS[2], UNITS[0]])
    np.testing.assert_array_equal(starts, [[0, 0, 0], [1, 2, 0]])
    np.testing.assert_array_equal(stops, [[1, 1, 1], [3, 4, 3]])


@settings(deadline=None)
@given(low=st.integers(0, 50), length=st.integers(1, 200), size=st.integers(1, 60))
def test_cuts_are_the_fewest_of_nearly_equal_length(low: int, length: int, size: int) -> None:
    cuts = cut_points(low, low + length, size)
    lengths = np.diff(cuts)
    assert (cuts[0], cuts[-1]) == (low, low + length)
    assert lengths.max() <= size
    assert lengths.min() >= max(1, lengths.max() - 1)
    assert len(lengths) == -(-length // size)


EDGE = st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 6))


@settings(deadline=None)
@given(edges=st.tuples(EDGE, EDGE, EDGE))
def test_patches_tile_the_box(edges: tuple[tuple[int, int, int], ...]) -> None:
    bounds = [(low, low + length) for low, length, _ in edges]
    starts, stops = patch_grid(bounds, [size for _, _, size in edges])
    covered = np.zeros([high for _, high in bounds], dtype=int)
    for start, stop in zip(starts, stops, strict=True):
        covered[tuple(map(slice, start, stop))] += 1
    expected = np.zeros_like(covered)
    expected[tuple(slice(*pair) for pair in bounds)] = 1
    np.testing.assert_array_equal(covered, expected)
    assert (stops - starts <= [size for _, _, size in edges]).all()
    assert starts.tolist() == sorted(starts.tolist())


@pytest.mark.parametrize("axis", range(3))
def test_slices_are_boxes_one_voxel_thick(axis: int) -> None:
    image = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    starts, stops = slice_boxes(image.shape, axis, 1, 4)
    assert len(starts) == 3
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True), start=1):
        np.testing.assert_array_equal(image[tuple(map(slice, start, stop))], np.take(image, [index], axis))


@settings(deadline=None)
@given(n_cases=st.integers(1, 30), n_folds=st.integers(1, 7), seed=st.integers(0, 5))
def test_folds_share_out_the_cases_evenly(n_cases: int, n_folds: int, seed: int) -> None:
    cases = [f"case{i:02}" for i in range(n_cases)]
    folds = assign_folds(cases, n_folds, np.random.default_rng(seed))
    assert set(folds) == set(cases)
    sizes = np.bincount(list(folds.values()), minlength=n_folds)
    assert len(sizes) == n_folds
    assert sizes.max() - sizes.min() <= 1
    assert folds == assign_folds(cases, n_folds, np.random.default_rng(seed))


def test_a_fold_learns_from_the_cases_outside_it() -> None:
    units = [Unit("a", 3), Unit("b", 1), Unit("a", 0), Unit("c", 7)]
    folds = {"a": 0, "b": 1, "c": 1}
    assert fold_units(units, folds, 0) == (Unit("b", 1), Unit("c", 7))
    assert fold_units(units, folds, 1) == (Unit("a", 3), Unit("a", 0))
    assert fold_units(units[:1], folds, 0) == ()


def test_a_pool_without_borders_is_refused_by_the_column(tmp_path: Path) -> None:
    pool().save(tmp_path / "pool.parquet")
    table = pd.read_parquet(tmp_path / "pool.parquet").drop(columns="n_border_voxels_1")
    table.to_parquet(tmp_path / "pool.parquet")
    with pytest.raises(InputError, match="expected column 'n_border_voxels_1', found none: written by an earlier"):
        Pool.load(tmp_path / "pool.parquet")


def split(
    cases: list[str], share: float = 0.2, max_test: int | None = None, max_pool: int | None = None, seed: int = 0
) -> Split:
    return split_cases(
        cases,
        test_share=share,
        max_test_cases=max_test,
        max_pool_cases=max_pool,
        test_rng=np.random.default_rng(1),
        pool_rng=np.random.default_rng(seed),
    )


LIMITS = st.one_of(st.none(), st.integers(1, 30))


@settings(deadline=None, max_examples=50)
@given(
    cases=st.lists(st.sampled_from([f"c{i}" for i in range(60)]), min_size=2, max_size=30, unique=True),
    share=st.floats(0.01, 0.99),
    max_test=LIMITS,
    max_pool=LIMITS,
    data=st.data(),
)
def test_a_split_is_two_disjoint_sorted_parts_within_their_limits(cases, share, max_test, max_pool, data) -> None:
    found = split(cases, share, max_test, max_pool)
    assert not set(found.pool) & set(found.test)
    assert set(found.pool) | set(found.test) <= set(cases)
    for part in (found.pool, found.test):
        assert len(part) >= 1
        assert list(part) == sorted(set(part))
    n_test = min(max(1, round(share * len(cases))), max_test or 30, len(cases) - 1)
    assert len(found.test) == n_test
    assert len(found.pool) == min(len(cases) - n_test, max_pool or 30)
    shuffled = data.draw(st.permutations(cases))
    assert split(shuffled, share, max_test, max_pool) == found


def test_the_pool_changes_with_its_seed_and_the_test_cases_do_not() -> None:
    cases = [f"case{i:02}" for i in range(30)]
    splits = [split(cases, max_pool=10, seed=seed) for seed in range(4)]
    assert len({s.test for s in splits}) == 1
    assert len({s.pool for s in splits}) == 4


@pytest.mark.parametrize("cases", [[], ["only"]])
def test_one_case_cannot_be_split(cases: list[str]) -> None:
    with pytest.raises(InputError, match=f"at least 2 cases .* got {len(cases)}"):
        split(cases)
