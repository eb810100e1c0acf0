from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from albench.strategies import PoolView
from albench.strategies.random import Random, shuffled_cases
from albench.units.pool import Unit
from tests.support.strategies_reference import assert_frequencies, view_of


def test_random_is_uniform() -> None:
    rng = np.random.default_rng(0)
    chosen = np.stack([Random().select(view_of(6), 2, rng).indices for _ in range(3000)])
    found = np.bincount(chosen.ravel(), minlength=6) / 3000
    assert (np.abs(found - 1 / 3) <= 4 * np.sqrt(2 / 9 / 3000)).all()
    first = np.bincount(chosen[:, 0], minlength=6) / 3000
    assert (np.abs(first - 1 / 6) <= 4 * np.sqrt(5 / 36 / 3000)).all()


def cases_view(**sizes: int) -> PoolView:
    """Units of several cases, in no order."""
    units = [Unit(case, i) for case, size in sizes.items() for i in range(size)]
    order = np.random.default_rng(9).permutation(len(units))
    return replace(view_of(len(units)), units=tuple(units[i] for i in order))


def test_cases_take_turns() -> None:
    view = cases_view(a=5, b=1, c=3)
    for seed in range(20):
        found = Random(per="case").select(view, 8, np.random.default_rng(seed)).indices
        cases = [view.units[i].case for i in found]
        assert sorted(cases[:3]) == ["a", "b", "c"]
        assert cases[3:5] == [case for case in cases[:3] if case != "b"]  # b has no second unit
        assert cases[5:7] == cases[3:5]
        assert cases[7] == "a"


def test_the_case_and_its_unit_are_drawn_uniformly() -> None:
    view, rng = cases_view(a=4, b=1), np.random.default_rng(0)
    first = [view.units[Random(per="case").select(view, 1, rng).indices[0]] for _ in range(4000)]
    counts = np.array([first.count(unit) for unit in sorted(view.units)])
    assert_frequencies(counts, np.array([1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2]))


def test_shuffled_cases_have_all_units_whatever_the_order_of_the_pool() -> None:
    view = cases_view(a=3, b=2)
    found = shuffled_cases(view.units, np.random.default_rng(0))
    again = shuffled_cases(tuple(sorted(view.units)), np.random.default_rng(0))
    in_order = sorted(view.units)
    assert [[view.units[i] for i in rows] for rows in found] == [[in_order[i] for i in rows] for rows in again]
    assert sorted(np.concatenate(found).tolist()) == list(range(5))


def test_who_draws_by_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="parameter per: expected one of pool, case, got 'slice'"):
        Random(per="slice")  # type: ignore[arg-type]
