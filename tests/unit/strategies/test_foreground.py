from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from albench.scoring.request import Scores
from albench.strategies import Oracle, PoolView, Strategy, get_strategy
from albench.strategies.foreground import RandomFg33, RandomFg66
from albench.units.pool import Unit
from tests.support.strategies_reference import WEIGHTS, assert_frequencies, units

N = 8
# Voxels and border voxels of background and two classes: class 2 is in two units alone.
VOXELS = np.array([[9, 1, 0], [9, 3, 0], [9, 0, 5], [9, 0, 15], [9, 0, 0], [9, 0, 0], [9, 6, 0], [9, 0, 0]])
BORDERS = np.array([[4, 1, 0], [4, 1, 0], [4, 0, 4], [4, 0, 1], [4, 0, 0], [4, 0, 0], [4, 2, 0], [4, 0, 0]])


def oracle_view(voxels: np.ndarray = VOXELS, borders: np.ndarray = BORDERS) -> PoolView:
    return PoolView(units(len(voxels)), Scores(), WEIGHTS, oracle=Oracle(voxels, borders))


STRATEGIES = [RandomFg66(), RandomFg33(), RandomFg66(per="pool"), RandomFg33(per="pool")]
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: f"{s.name}-{s.per}")


def around(counts: np.ndarray) -> np.ndarray:
    """Probability of each unit: a class at random, then one of its voxels."""
    by_class = counts[:, 1:] / counts[:, 1:].sum(axis=0)
    return by_class.mean(axis=1)


@each_strategy
def test_a_unit_is_drawn_uniformly_or_by_a_voxel_or_by_a_border(strategy: Strategy) -> None:
    """All units are of one case, so that taking turns changes nothing."""
    uniform, voxel, border = (1 / 3, 1 / 3, 1 / 3) if strategy.name == "random-fg66" else (4 / 6, 1 / 6, 1 / 6)
    view, rng = oracle_view(), np.random.default_rng(0)
    first = [strategy.select(view, 1, rng).indices[0] for _ in range(6000)]
    expected = uniform / N + voxel * around(VOXELS) + border * around(BORDERS)
    assert expected.sum() == pytest.approx(1)
    assert_frequencies(np.bincount(first, minlength=N), expected)


@each_strategy
def test_the_second_unit_is_drawn_from_what_is_left(strategy: Strategy) -> None:
    """Two units with all the foreground: the second is drawn by the voxels that the first does not hold."""
    voxels = np.array([[0, 30], [0, 10], [0, 0], [0, 0]])
    view, rng = oracle_view(voxels, voxels), np.random.default_rng(0)
    counts = np.zeros(4)
    while counts.sum() < 2000:
        first, second = strategy.select(view, 2, rng).indices
        if first == 0:
            counts[second] += 1
    share = strategy.foreground_share  # type: ignore[attr-defined]
    expected = (1 - share) * np.array([0, 1, 1, 1]) / 3 + share * np.array([0, 1.0, 0, 0])
    assert_frequencies(counts, expected)


@each_strategy
def test_without_any_foreground_the_draw_is_uniform(strategy: Strategy) -> None:
    nothing = np.zeros((5, 3), dtype=np.int64)
    view, rng = oracle_view(nothing, nothing), np.random.default_rng(0)
    first = [strategy.select(view, 1, rng).indices[0] for _ in range(3000)]
    assert_frequencies(np.bincount(first, minlength=5), np.full(5, 0.2))
    assert sorted(strategy.select(view, 5, rng).indices.tolist()) == [0, 1, 2, 3, 4]


def two_cases(strategy: RandomFg66, voxels: np.ndarray, n_draws: int, budget: int = 1) -> np.ndarray:
    """Batches of units of two cases of two units each; int64 (n_draws, budget)."""
    view, rng = oracle_view(voxels, voxels), np.random.default_rng(0)
    view = replace(view, units=(Unit("a", 0), Unit("b", 0), Unit("a", 1), Unit("b", 1)))
    return np.stack([strategy.select(view, budget, rng).indices for _ in range(n_draws)])


def test_cases_take_turns_whatever_their_share_of_the_foreground() -> None:
    voxels = np.array([[0, 90], [0, 1], [0, 10], [0, 0]])
    found = two_cases(RandomFg66(), voxels, 2000, budget=2)
    assert (found % 2).sum(axis=1).tolist() == [1] * 2000  # even places are those of case a
    of_a, of_b = found[found % 2 == 0], found[found % 2 == 1]
    assert_frequencies(np.bincount(of_a, minlength=4)[[0, 2]], 1 / 3 / 2 + 2 / 3 * np.array([0.9, 0.1]))
    assert_frequencies(np.bincount(of_b, minlength=4)[[1, 3]], 1 / 3 / 2 + 2 / 3 * np.array([1.0, 0.0]))


def test_a_case_without_what_is_wanted_passes_on_to_the_next() -> None:
    """Case b has no foreground: asked first, it gives a unit in a third of the draws, else a is asked anew."""
    voxels = np.array([[0, 90], [0, 0], [0, 10], [0, 0]])
    first = two_cases(RandomFg66(), voxels, 4000)[:, 0]
    from_b = 1 / 2 * 1 / 3
    expected = np.array([5 / 6 * (1 / 6 + 2 / 3 * 0.9), from_b / 2, 5 / 6 * (1 / 6 + 2 / 3 * 0.1), from_b / 2])
    assert_frequencies(np.bincount(first, minlength=4), expected)


def test_of_the_pool_foreground_decides_which_case() -> None:
    voxels = np.array([[0, 90], [0, 0], [0, 10], [0, 0]])
    first = two_cases(RandomFg66(per="pool"), voxels, 4000)[:, 0]
    assert_frequencies(np.bincount(first, minlength=4), 1 / 12 + 2 / 3 * np.array([0.9, 0, 0.1, 0]))


@pytest.mark.parametrize("name", ["random-fg66", "random-fg33"])
def test_without_ground_truth_there_is_no_choice(name: str) -> None:
    assert get_strategy(name).oracle_aided
    view = PoolView(units(4), Scores(), WEIGHTS)
    with pytest.raises(ValueError, match="oracle: expected ground truth of the units, got None"):
        get_strategy(name)().select(view, 2, np.random.default_rng(0))
