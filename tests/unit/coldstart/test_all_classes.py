"""A starting set with every class in it, by the labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from albench.coldstart.all_classes import all_classes
from albench.errors import InputError
from albench.units.pool import Pool, Unit

N_CASES, N_SLICES, N_LABELS = 8, 20, 4


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Class 1 in every case, class 2 in three, class 3 in a single slice of two."""
    units = tuple(Unit(f"case{case}", index) for case in range(N_CASES) for index in range(N_SLICES))
    counts = np.zeros((len(units), N_LABELS), dtype=np.int64)
    counts[:, 0] = 1000
    for row, unit in enumerate(units):
        case = int(unit.case[4:])
        counts[row, 1] = 50 if 5 <= unit.index < 10 else 0
        counts[row, 2] = 30 if case in (1, 2, 6) and 8 <= unit.index < 12 else 0
        counts[row, 3] = 5 if (case, unit.index) in ((1, 17), (4, 3)) else 0
    starts = np.array([[unit.index, 0, 0] for unit in units])
    stops = starts + np.array([1, 50, 50])
    axes = {f"case{case}": 0 for case in range(N_CASES)}
    return Pool(units, axes, counts, counts // 5, starts, stops)


def test_every_class_is_in_two_cases(pool: Pool) -> None:
    for seed in range(20):
        rows = all_classes(pool, 2 * N_LABELS, np.random.default_rng(seed))
        assert rows.dtype == np.int64
        assert len(set(rows.tolist())) == 2 * N_LABELS
        # the rarest first: both slices that have class 3, then two of class 2 elsewhere
        assert {pool.units[row] for row in rows[:2]} == {Unit("case1", 17), Unit("case4", 3)}
        assert {pool.units[row].case for row in rows[2:4]} == {"case2", "case6"}
        assert (pool.voxel_counts[rows[2:4], 2] > 0).all()
        assert len({pool.units[row].case for row in rows}) == 2 * N_LABELS


def test_the_rest_goes_round_the_cases_and_is_mostly_drawn_anywhere(pool: Pool) -> None:
    n = 2 * N_LABELS + 5 * N_CASES
    foreground = []
    for seed in range(40):
        rows = all_classes(pool, n, np.random.default_rng(seed))[2 * N_LABELS :]
        # a case is passed over where its last slice with the rare class that was drawn is taken
        assert set(Counter(pool.units[row].case for row in rows).values()) <= {2, 3, 4, 5, 6, 7}
        assert len({pool.units[row].case for row in rows[:N_CASES]}) >= N_CASES - 2
        foreground += (pool.voxel_counts[rows, 1:].any(axis=1)).tolist()
    anywhere = pool.voxel_counts[:, 1:].any(axis=1).mean()
    # a third is drawn around foreground, as far as it lasts
    assert anywhere + 0.1 < np.mean(foreground) < 1 / 3 + 2 / 3 * anywhere + 0.05


def test_classes_that_no_case_has_want_nothing(pool: Pool) -> None:
    counts = pool.voxel_counts.copy()
    counts[:, 2] = 0
    without = Pool(pool.units, pool.axes, counts, counts // 5, pool.starts, pool.stops)
    assert len(all_classes(without, 6, np.random.default_rng(0))) == 6


def test_a_set_too_small_for_the_classes_is_refused(pool: Pool) -> None:
    with pytest.raises(InputError, match=r"pool.start: expected at least 8 units, 2 for each of the 4 classes, got 7"):
        all_classes(pool, 7, np.random.default_rng(0))


def test_more_than_there_are_are_refused(pool: Pool) -> None:
    with pytest.raises(InputError, match=r"pool.start: expected room for 161 units, found it for 160"):
        all_classes(pool, len(pool) + 1, np.random.default_rng(0))
