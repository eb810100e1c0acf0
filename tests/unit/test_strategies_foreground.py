from __future__ import annotations

import numpy as np
import pytest
from strategies_reference import WEIGHTS, assert_frequencies, units

from albench.scoring.request import Scores
from albench.strategies import Oracle, PoolView, Strategy, get_strategy
from albench.strategies.foreground import RandomFg33, RandomFg66

N = 8
# Voxels and border voxels of background and two classes: class 2 is in two units alone.
VOXELS = np.array([[9, 1, 0], [9, 3, 0], [9, 0, 5], [9, 0, 15], [9, 0, 0], [9, 0, 0], [9, 6, 0], [9, 0, 0]])
BORDERS = np.array([[4, 1, 0], [4, 1, 0], [4, 0, 4], [4, 0, 1], [4, 0, 0], [4, 0, 0], [4, 2, 0], [4, 0, 0]])


def oracle_view(voxels: np.ndarray = VOXELS, borders: np.ndarray = BORDERS) -> PoolView:
    return PoolView(units(len(voxels)), Scores(), WEIGHTS, oracle=Oracle(voxels, borders))


def around(counts: np.ndarray) -> np.ndarray:
    """Probability of each unit: a class at random, then one of its voxels."""
    by_class = counts[:, 1:] / counts[:, 1:].sum(axis=0)
    return by_class.mean(axis=1)


@pytest.mark.parametrize(("strategy", "uniform", "voxel", "border"), [(RandomFg66(), 1 / 3, 1 / 3, 1 / 3),
                                                                     (RandomFg33(), 4 / 6, 1 / 6, 1 / 6)])  # fmt: skip
def test_a_unit_is_drawn_uniformly_or_by_a_voxel_or_by_a_border(
    strategy: Strategy, uniform: float, voxel: float, border: float
) -> None:
    view, rng = oracle_view(), np.random.default_rng(0)
    first = [strategy.select(view, 1, rng).indices[0] for _ in range(6000)]
    expected = uniform / N + voxel * around(VOXELS) + border * around(BORDERS)
    assert expected.sum() == pytest.approx(1)
    assert_frequencies(np.bincount(first, minlength=N), expected)


@pytest.mark.parametrize("strategy", [RandomFg66(), RandomFg33()])
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


@pytest.mark.parametrize("strategy", [RandomFg66(), RandomFg33()])
def test_without_any_foreground_the_draw_is_uniform(strategy: Strategy) -> None:
    nothing = np.zeros((5, 3), dtype=np.int64)
    view, rng = oracle_view(nothing, nothing), np.random.default_rng(0)
    first = [strategy.select(view, 1, rng).indices[0] for _ in range(3000)]
    assert_frequencies(np.bincount(first, minlength=5), np.full(5, 0.2))
    assert sorted(strategy.select(view, 5, rng).indices.tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["random-fg66", "random-fg33"])
def test_without_ground_truth_there_is_no_choice(name: str) -> None:
    assert get_strategy(name).oracle_aided
    view = PoolView(units(4), Scores(), WEIGHTS)
    with pytest.raises(ValueError, match="oracle: expected ground truth of the units, got None"):
        get_strategy(name)().select(view, 2, np.random.default_rng(0))
