from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from albench.scoring.request import Need
from albench.strategies.stb import StochasticBatches
from tests.support.strategies_reference import assert_frequencies, uncertainty_of, view_of

QUANTITIES = {
    "entropy": lambda view: view.scores.entropy,
    "variance": lambda view: [sum(classes) / 3 for classes in view.scores.variance],
    "weighted-variance": uncertainty_of,
}


@pytest.mark.parametrize("uncertainty", QUANTITIES)
@pytest.mark.parametrize(("n", "budget"), [(12, 3), (13, 4), (10, 1), (10, 10), (11, 6)])
def test_the_group_with_the_largest_sum_is_taken(n: int, budget: int, uncertainty: Any) -> None:
    rng = np.random.default_rng(n)
    view = view_of(n, variance=rng.random((n, 3)), entropy=rng.random(n))
    values = QUANTITIES[uncertainty](view)
    for seed in range(10):
        found = StochasticBatches(uncertainty=uncertainty).select(view, budget, np.random.default_rng(seed))
        shuffled = np.random.default_rng(seed).permutation(n)
        groups = [shuffled[i * budget : (i + 1) * budget] for i in range(n // budget)]  # what is left forms no group
        best = max(groups, key=lambda group: sum(values[i] for i in group))
        assert found.indices.tolist() == best.tolist()
        np.testing.assert_allclose(found.scores, np.asarray(values)[best])


def test_pairs_are_taken_as_often_as_they_win() -> None:
    """Six units cut into three pairs: 15 equally likely cuts."""
    values = np.array([1.0, 2, 4, 8, 16, 32])
    view = view_of(6, entropy=values)
    cuts = {frozenset(frozenset(order[i : i + 2]) for i in (0, 2, 4)) for order in itertools.permutations(range(6))}
    assert len(cuts) == 15
    winners = [max(cut, key=lambda pair: sum(values[i] for i in pair)) for cut in cuts]
    pairs = [frozenset(pair) for pair in itertools.combinations(range(6), 2)]
    rng = np.random.default_rng(0)
    drawn = [frozenset(StochasticBatches().select(view, 2, rng).indices.tolist()) for _ in range(3000)]
    counts = np.array([drawn.count(pair) for pair in pairs])
    assert_frequencies(counts, np.array([winners.count(pair) / 15 for pair in pairs]))


@pytest.mark.parametrize(
    ("uncertainty", "need"),
    [("entropy", Need.ENTROPY), ("variance", Need.VARIANCE), ("weighted-variance", Need.VARIANCE)],
)
def test_only_what_is_summed_is_computed(uncertainty: Any, need: Need) -> None:
    assert StochasticBatches(uncertainty=uncertainty).needs == need
