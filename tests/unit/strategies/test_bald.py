from __future__ import annotations

import numpy as np
import pytest

from albench.strategies import make_strategy
from albench.strategies.bald import Bald, PowerBald, PowerPe, PredictiveEntropy, SoftrankBald, logarithm
from tests.support.strategies_reference import assert_frequencies, by_power, view_of

SCORES = np.array([0.3, 0.9, 0.1, 0.5])
QUANTITY = {"bald": "mutual_information", "predictive-entropy": "predictive_entropy"}
POWERS = [(PowerBald, "mutual_information"), (PowerPe, "predictive_entropy")]


@pytest.mark.parametrize(
    ("strategy", "quantity"), [(Bald(), "mutual_information"), (PredictiveEntropy(), "predictive_entropy")]
)
def test_the_highest_come_first(strategy: Bald, quantity: str) -> None:
    selection = strategy.select(view_of(4, **{quantity: SCORES}), 3, np.random.default_rng(0))
    assert selection.indices.tolist() == [1, 3, 0]
    assert selection.scores.tolist() == [0.9, 0.5, 0.3]
    assert np.isnan(selection.gains).all()


@pytest.mark.parametrize(("strategy", "quantity"), POWERS)
@pytest.mark.parametrize("beta", [1.0, 5.0, 40.0])
def test_power_ranks_the_logarithm_plus_noise(strategy: type[PowerBald], quantity: str, beta: float) -> None:
    scores = np.random.default_rng(1).uniform(0.01, 1, 30)
    selection = strategy(beta=beta).select(view_of(30, **{quantity: scores}), 8, np.random.default_rng(2))
    noisy = np.log(scores) + np.random.default_rng(2).gumbel(0, 1 / beta, 30)
    assert selection.indices.tolist() == np.argsort(-noisy)[:8].tolist()
    np.testing.assert_array_equal(selection.scores, scores[selection.indices])


@pytest.mark.parametrize(("strategy", "quantity"), POWERS)
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_power_draws_by_the_power_of_the_score(strategy: type[PowerBald], quantity: str, beta: float) -> None:
    view, rng = view_of(4, **{quantity: SCORES}), np.random.default_rng(0)
    first = [strategy(beta=beta).select(view, 1, rng).indices[0] for _ in range(4000)]
    assert_frequencies(np.bincount(first, minlength=4), by_power(SCORES, beta))


@pytest.mark.parametrize(("strategy", "quantity"), POWERS)
def test_a_large_beta_ranks_and_a_small_one_draws(strategy: type[PowerBald], quantity: str) -> None:
    view = view_of(4, **{quantity: SCORES})
    for seed in range(20):
        assert strategy(beta=1e4).select(view, 4, np.random.default_rng(seed)).indices.tolist() == [1, 3, 0, 2]
    rng = np.random.default_rng(0)
    first = [strategy(beta=1e-4).select(view, 1, rng).indices[0] for _ in range(2000)]
    assert_frequencies(np.bincount(first, minlength=4), np.full(4, 0.25))


def test_softrank_ranks_all_by_the_logarithm_of_the_rank_plus_noise() -> None:
    scores = np.random.default_rng(1).random(30)
    found = SoftrankBald().select(view_of(30, mutual_information=scores), 5, np.random.default_rng(7))
    noisy = -np.log(np.arange(1, 31)) + np.random.default_rng(7).gumbel(0, 1, 30)
    assert found.indices.tolist() == np.argsort(-scores)[np.argsort(-noisy)[:5]].tolist()
    np.testing.assert_array_equal(found.scores, scores[found.indices])


def test_softrank_draws_by_the_inverse_of_the_rank() -> None:
    view, rng = view_of(4, mutual_information=SCORES), np.random.default_rng(0)
    first = [SoftrankBald().select(view, 1, rng).indices[0] for _ in range(4000)]
    rank = np.array([3, 1, 4, 2])  # of the scores; their values play no other part
    assert_frequencies(np.bincount(first, minlength=4), by_power(1 / rank, 1.0))


def test_half_of_a_softrank_batch_lies_beyond_twice_the_budget() -> None:
    """Of 1,000 units 20 are drawn, as often as in successive draws in proportion to 1 / rank."""
    n, budget, view = 1000, 20, view_of(1000, mutual_information=np.linspace(1, 0, 1000))
    beyond = [
        np.mean(SoftrankBald().select(view, budget, np.random.default_rng(seed)).indices >= 2 * budget)
        for seed in range(200)
    ]
    weights, rng = 1 / np.arange(1, n + 1), np.random.default_rng(0)
    weights /= weights.sum()
    expected = [np.mean(rng.choice(n, budget, replace=False, p=weights) >= 2 * budget) for _ in range(200)]
    assert np.mean(expected) > 0.4
    assert abs(np.mean(beyond) - np.mean(expected)) < 4 * np.sqrt(np.var(beyond) / 200 + np.var(expected) / 200)


def test_the_logarithm_of_zero_is_minus_infinity_without_a_warning() -> None:
    np.testing.assert_array_equal(logarithm(np.array([0.0, 1.0, -1e-12, np.e])), [-np.inf, 0, -np.inf, 1])


@pytest.mark.parametrize("name", ["power-bald", "power-pe"])
def test_beta_is_a_parameter(name: str) -> None:
    assert make_strategy(f"{name}+beta=20").beta == 20.0  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=f"strategy '{name}', parameter beta: expected a positive number, got 0.0"):
        make_strategy(f"{name}+beta=0")
