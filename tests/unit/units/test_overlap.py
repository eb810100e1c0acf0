"""Patches that overlap: full size, each voxel counted once, and no two of one voxel annotated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.data import Dataset
from albench.scoring.request import Scores
from albench.strategies import PoolView, choose, make_strategy
from albench.study.setup import start_units
from albench.training.reading import read_label
from albench.training.scan import scan_case
from albench.training.units import patch_pool
from albench.units.cost import annotation_cost
from albench.units.pool import Pool, Unit, patch_grid, patch_spans
from albench.units.room import Room

SIZE = (7, 9, 30)


@pytest.fixture(scope="module")
def pool(phantom: Dataset) -> Pool:
    cases = phantom.cases[:3]
    scans = {case.name: scan_case(case, phantom.n_labels) for case in cases}
    return patch_pool(cases, scans, SIZE, phantom.n_labels, kind="overlapping").pool


@settings(deadline=None)
@given(low=st.integers(0, 50), length=st.integers(1, 200), size=st.integers(1, 60))
def test_spans_are_of_full_size_and_half_a_patch_apart(low: int, length: int, size: int) -> None:
    spans = patch_spans(low, low + length, size, "overlapping")
    assert spans.dtype == np.int64
    assert set(spans[:, 1] - spans[:, 0]) == {min(size, length)}
    assert (spans[0, 0], spans[-1, 1]) == (low, low + length)
    steps = np.diff(spans[:, 0])
    assert (steps >= 1).all()
    assert (steps <= max(1, size // 2)).all()
    assert len(spans) == 1 or len(spans) - 1 == -(-(length - size) // max(1, size // 2))


def test_an_overlapping_grid_is_that_of_its_spans() -> None:
    starts, stops = patch_grid([(0, 36), (0, 50), (0, 35)], (20, 20, 20), "overlapping")
    assert len(starts) == 3 * 4 * 3
    assert (stops - starts == 20).all()
    assert sorted(set(starts[:, 0])) == [0, 8, 16]
    assert sorted(set(starts[:, 1])) == [0, 10, 20, 30]


def label_map(dataset: Dataset, case: str) -> np.ndarray:
    return np.asarray(read_label(dataset.case(case).label), dtype=np.int64)


def test_patches_count_their_labels_and_all_together_each_voxel_once(phantom: Dataset, pool: Pool) -> None:
    assert pool.overlaps
    totals = np.zeros(phantom.n_labels, dtype=np.int64)
    for case in pool.cases:
        labels = label_map(phantom, case)
        covered = np.zeros(labels.shape, dtype=bool)
        for row in [row for row, unit in enumerate(pool.units) if unit.case == case]:
            box = tuple(map(slice, pool.starts[row], pool.stops[row]))
            np.testing.assert_array_equal(
                pool.voxel_counts[row], np.bincount(labels[box].ravel(), minlength=phantom.n_labels)
            )
            assert pool.own_counts is not None
            assert pool.own_counts[row].sum() == (~covered[box]).sum()
            covered[box] = True
        totals += np.bincount(labels[covered], minlength=phantom.n_labels)
    np.testing.assert_array_equal(pool.total_counts, totals)
    assert (pool.voxel_counts.sum(axis=0) > totals).all()


def test_annotating_everything_costs_each_voxel_once(phantom: Dataset, pool: Pool) -> None:
    cases = phantom.cases[:3]
    scans = {case.name: scan_case(case, phantom.n_labels) for case in cases}
    tiling = patch_pool(cases, scans, SIZE, phantom.n_labels).pool
    everything, tiled = annotation_cost(pool, pool.units), annotation_cost(tiling, tiling.units)
    assert (everything.n_voxels, everything.n_fg_voxels) == (tiled.n_voxels, tiled.n_fg_voxels)
    assert everything.n_border_voxels == tiled.n_border_voxels
    assert everything.n_units == len(pool)
    some = annotation_cost(pool, pool.units[:1])
    assert some.n_voxels == pool.n_voxels[0]


def test_a_saved_pool_comes_back_with_what_is_its_own(pool: Pool, tmp_path: Path) -> None:
    pool.save(tmp_path / "pool.parquet")
    after = Pool.load(tmp_path / "pool.parquet")
    for name in ("voxel_counts", "border_counts", "own_counts", "own_border_counts"):
        np.testing.assert_array_equal(getattr(after, name), getattr(pool, name))


def disjoint(pool: Pool, units: list[Unit] | tuple[Unit, ...]) -> bool:
    for case in {unit.case for unit in units}:
        starts, stops = pool.boxes([unit for unit in units if unit.case == case])
        taken = np.zeros(stops.max(axis=0), dtype=int)
        for start, stop in zip(starts, stops, strict=True):
            taken[tuple(map(slice, start, stop))] += 1
        if taken.max() > 1:
            return False
    return True


@pytest.mark.parametrize("method", ["random", "all-classes"])
def test_starting_sets_are_disjoint(method: str, pool: Pool) -> None:
    n = 9
    sets = [start_units(pool, n, np.random.default_rng(seed), method) for seed in range(5)]
    assert all(len(set(units)) == n and disjoint(pool, units) for units in sets)
    assert len(set(sets)) == 5


def test_what_overlaps_an_annotated_patch_is_no_candidate(pool: Pool) -> None:
    labelled = start_units(pool, 5, np.random.default_rng(0))
    free = pool.unlabelled(labelled)
    assert list(free) == sorted(free)
    assert set(free) == {unit for unit in pool.units if unit not in labelled and disjoint(pool, (*labelled, unit))} - {
        unit for unit in pool.units if not all(disjoint(pool, (unit, other)) for other in labelled)
    }
    assert 0 < len(free) < len(pool) - 5


def test_no_more_than_so_many_find_room(pool: Pool) -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        units: tuple[Unit, ...] = ()
        while free := pool.unlabelled(units):
            units += (free[int(rng.integers(len(free)))],)
        assert disjoint(pool, units)
        found.append(len(units))
    assert max(found) <= pool.n_disjoint < len(pool)
    packed: list[Unit] = []  # from one corner on, patch by patch
    for unit in pool.units:
        if all(disjoint(pool, (unit, other)) for other in packed):
            packed.append(unit)
    assert len(packed) == pool.n_disjoint


def test_disjoint_pools_are_as_they_were(phantom: Dataset) -> None:
    cases = phantom.cases[:2]
    scans = {case.name: scan_case(case, phantom.n_labels) for case in cases}
    tiling = patch_pool(cases, scans, SIZE, phantom.n_labels).pool
    assert not tiling.overlaps
    assert tiling.n_disjoint == len(tiling)
    np.testing.assert_array_equal(tiling.total_counts, tiling.voxel_counts.sum(axis=0))
    known = tiling.units[3:6]
    assert tiling.unlabelled(known) == (*tiling.units[:3], *tiling.units[6:])
    rows = np.random.default_rng(4).choice(len(tiling), 7, replace=False)
    assert start_units(tiling, 7, np.random.default_rng(4)) == tuple(tiling.units[row] for row in rows)


@pytest.mark.parametrize("max_per_case", [None, 2])
def test_a_batch_is_the_best_without_overlap(max_per_case: int | None, pool: Pool) -> None:
    """Brute force: walk down the ranking and pass over what overlaps."""
    values = np.random.default_rng(0).random(len(pool))
    view = PoolView(pool.units, Scores(mutual_information=values), np.array([0.0, 1.0]))
    budget = 3 * (max_per_case or 3)
    expected: list[int] = []
    for i in np.argsort(-values).tolist():
        of_case = [j for j in expected if pool.units[j].case == pool.units[i].case]
        if len(of_case) == max_per_case or len(expected) == budget:
            continue
        if disjoint(pool, [pool.units[j] for j in (*of_case, i)]):
            expected.append(i)
    found = choose(
        make_strategy("bald"),
        view,
        budget,
        np.random.default_rng(0),
        max_per_case=max_per_case,
        boxes=(pool.starts, pool.stops),
    )
    assert found.indices.tolist() == expected
    np.testing.assert_array_equal(found.scores, values[expected])


def test_a_batch_is_as_large_as_there_is_room(pool: Pool) -> None:
    view = PoolView(pool.units, Scores(), np.array([0.0, 1.0]))
    found = choose(make_strategy("random"), view, len(pool), np.random.default_rng(0), boxes=(pool.starts, pool.stops))
    chosen = [pool.units[row] for row in found.indices]
    assert len(chosen) <= pool.n_disjoint
    assert disjoint(pool, chosen)
    assert pool.unlabelled(chosen) == ()


def test_room_without_boxes_is_taken_one_by_one() -> None:
    room = Room((Unit("a", 0), Unit("a", 1), Unit("b", 0)), None)
    assert room.most == 3
    room.take(1)
    assert room.free.tolist() == [True, False, True]
