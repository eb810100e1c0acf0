from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from albench.scoring.request import Scores
from albench.strategies import PoolView, choose
from albench.strategies.equidistant import Equidistant
from albench.units.pool import Unit
from tests.support.strategies_reference import WEIGHTS, assert_frequencies


def view_of(annotated: tuple[Unit, ...] = (), first: int = 0, **sizes: int) -> PoolView:
    """Slices `first`, `first` + 1, ... of several cases, but for those annotated, in no order."""
    units = [Unit(case, first + i) for case, size in sizes.items() for i in range(size)]
    units = [unit for unit in units if unit not in annotated]
    order = np.random.default_rng(9).permutation(len(units))
    return PoolView(tuple(units[i] for i in order), Scores(), WEIGHTS, annotated=annotated)


def chosen(view: PoolView, budget: int, seed: int = 0) -> dict[str, list[int]]:
    """Indices of the chosen slices by case, in order of choice."""
    found: dict[str, list[int]] = {}
    for row in Equidistant().select(view, budget, np.random.default_rng(seed)).indices:
        found.setdefault(view.units[row].case, []).append(view.units[row].index)
    return found


@pytest.mark.parametrize("budget", [1, 3, 5, 7, 12])
def test_no_case_has_two_more_than_another(budget: int) -> None:
    view = view_of(a=20, b=8, c=20, d=20, e=9)
    for seed in range(10):
        counts = Counter(dict.fromkeys("abcde", 0)) + Counter(
            {case: len(found) for case, found in chosen(view, budget, seed).items()}
        )
        assert sum(counts.values()) == budget
        assert max(counts.values()) - (min(counts.values()) if len(counts) == 5 else 0) <= 1


def test_a_small_case_gives_what_it_has() -> None:
    assert {case: len(found) for case, found in chosen(view_of(a=9, b=2), 9).items()} == {"a": 7, "b": 2}


def test_cases_with_fewer_annotated_come_first_and_equals_by_chance() -> None:
    view = view_of(annotated=(Unit("a", 3), Unit("b", 4), Unit("b", 9)), a=20, b=20, c=20, d=20)
    for seed in range(10):
        assert {case: len(found) for case, found in chosen(view, 5, seed).items()} == {"a": 1, "c": 2, "d": 2}
    first = [next(iter(chosen(view, 1, seed))) for seed in range(400)]
    assert_frequencies(np.array([first.count(case) for case in "abcd"]), np.array([0, 0, 0.5, 0.5]))


@pytest.mark.parametrize(("size", "budget", "step"), [(12, 3, 4), (12, 1, 12), (10, 5, 2), (7, 7, 1)])
def test_places_lie_equally_far_apart_from_every_beginning_as_often(size: int, budget: int, step: int) -> None:
    view = view_of(a=size, first=30)
    begins = []
    for seed in range(60 * step):
        found = chosen(view, budget, seed)["a"]
        assert np.diff(found).tolist() == [step] * (budget - 1)
        begins.append(found[0] - 30)
    assert_frequencies(np.bincount(begins, minlength=step), np.full(step, 1 / step))


def test_a_distance_that_is_no_whole_number_is_rounded_down_from_the_beginning() -> None:
    assert {tuple(chosen(view_of(a=11), 3, seed)["a"]) for seed in range(40)} == {
        (0, 3, 7), (1, 4, 8), (2, 5, 9), (3, 6, 10)
    }  # fmt: skip


def test_what_is_chosen_later_keeps_far_from_what_is_annotated() -> None:
    one = view_of(annotated=(Unit("a", 2),), a=12)
    assert {tuple(chosen(one, 1, seed)["a"]) for seed in range(20)} == {(8,)}  # the ends are neighbours
    assert {tuple(chosen(one, 2, seed)["a"]) for seed in range(20)} == {(5, 11)}  # 3 away; from 0 to 4 it is nearer
    ends = view_of(annotated=(Unit("a", 0), Unit("a", 12)), a=13)
    assert {tuple(chosen(ends, 1, seed)["a"]) for seed in range(20)} == {(6,)}


def test_a_place_that_is_taken_moves_to_the_nearest_that_is_free() -> None:
    """Of six slices those at 0, 2 and 4 are annotated: three places have to be 1, 3 and 5."""
    view = view_of(annotated=tuple(Unit("a", i) for i in (0, 2, 4)), a=6)
    for seed in range(10):
        assert chosen(view, 3, seed)["a"] == [1, 3, 5]


def test_within_a_bound_units_chosen_before_count_as_annotated() -> None:
    """Case b has one unit, so that a is asked for four, of which two may stay: the others have to be of c."""
    view = view_of(annotated=(Unit("c", 0), Unit("c", 1), Unit("c", 2), Unit("c", 3)), a=20, b=1, c=20)
    found = choose(Equidistant(), view, 5, np.random.default_rng(0), max_per_case=2)
    assert Counter(view.units[row].case for row in found.indices) == {"a": 2, "b": 1, "c": 2}
