from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from albench import core
from albench.errors import InputError
from albench.scoring.request import GradientSettings, Need, Scores
from albench.strategies import PoolView, kernels, make_strategy
from albench.strategies.query import QuerySet, draw_query, query_size
from albench.strategies.usim import Usim, UsimC, UsimF, facility_location
from tests.support.strategies_reference import (
    WEIGHTS,
    assert_greedy,
    cosine_similarity,
    drawn_query,
    fisher_similarity,
    gradients_view,
    uncertainty_of,
    units,
)

N = 40


def objective(S: np.ndarray, weights: np.ndarray, eta: float) -> Callable[[list[int]], float]:
    """sum_q w_q max_a s(a, q) + eta sum_a max_q s(a, q), negative similarities counting as 0."""
    positive = np.maximum(S, 0)
    return lambda A: float((weights * positive[A].max(axis=0)).sum() + eta * positive[A].max(axis=1).sum())


@pytest.mark.parametrize(("strategy", "similarity"), [(UsimF, fisher_similarity), (UsimC, cosine_similarity)])
@pytest.mark.parametrize(("seed", "budget", "eta"), [(0, 1, 1.0), (1, 4, 1.0), (2, 6, 0.0), (3, 5, 3.0), (4, N, 1.0)])
def test_usim_is_greedy_on_the_objective(
    strategy: Callable[..., Usim], similarity: Callable[[PoolView], np.ndarray], seed: int, budget: int, eta: float
) -> None:
    view = gradients_view(seed)
    found = strategy(eta=eta).select(view, budget, np.random.default_rng(seed))
    uncertainty = uncertainty_of(view)
    query, counts = drawn_query(uncertainty, query_size(uncertainty, budget), seed)
    assert_greedy(objective(similarity(view)[:, query], counts, eta), N, found.indices, found.gains)
    assert len(set(found.indices.tolist())) == budget
    np.testing.assert_allclose(found.scores, uncertainty[found.indices])


@pytest.mark.parametrize(("strategy", "similarity"), [(UsimF, fisher_similarity), (UsimC, cosine_similarity)])
def test_the_expected_query_weighs_every_unit_by_its_uncertainty(
    strategy: Callable[..., Usim], similarity: Callable[[PoolView], np.ndarray]
) -> None:
    view = gradients_view(5)
    found = strategy(query="expected").select(view, 6, np.random.default_rng(0))
    uncertainty = uncertainty_of(view)
    weights = query_size(uncertainty, 6) * uncertainty / uncertainty.sum()
    assert_greedy(objective(similarity(view), weights, 1.0), N, found.indices, found.gains)
    again = strategy(query="expected").select(view, 6, np.random.default_rng(99))
    np.testing.assert_array_equal(again.indices, found.indices)


@pytest.mark.parametrize("seed", range(4))
def test_the_expected_query_is_the_limit_of_many_sampled_ones(seed: int) -> None:
    """Merged, the draws of many queries choose as their expectation does."""
    view = gradients_view(seed)
    rng, n_queries = np.random.default_rng(seed), 4000
    total = np.zeros(N)
    for _ in range(n_queries):
        drawn = draw_query(view.uncertainty, 4, rng)
        total[drawn.indices] += drawn.weights
    present = np.flatnonzero(total)
    merged = QuerySet(present, total[present] / n_queries)
    limit = core.maximize(facility_location(UsimF().embedding(view), merged, 1.0), 4)
    expected = UsimF(query="expected").select(view, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(limit.indices, expected.indices)
    np.testing.assert_allclose(limit.gains, expected.gains, rtol=0.02)


def test_a_weight_is_a_multiplicity() -> None:
    view = gradients_view(0)
    embedding = UsimF().embedding(view)
    indices, counts = np.array([2, 7, 30], dtype=np.int64), np.array([3, 1, 2])
    weighted = core.maximize(facility_location(embedding, QuerySet(indices, counts.astype(np.float64)), 1.0), 8)
    repeated = QuerySet(np.repeat(indices, counts), np.ones(6))
    columns = core.maximize(facility_location(embedding, repeated, 1.0), 8)
    np.testing.assert_array_equal(weighted.indices, columns.indices)
    np.testing.assert_allclose(weighted.gains, columns.gains, rtol=1e-6)


@pytest.mark.parametrize("name", ["usim-f", "usim-c"])
@pytest.mark.parametrize("seed", range(3))
def test_naive_and_lazy_choose_alike_and_samplers_nearly_as_well(name: str, seed: int) -> None:
    view = gradients_view(seed)

    def selected(optimizer: str) -> tuple[list[int], float]:
        found = make_strategy(f"{name}+optimizer={optimizer}").select(view, 8, np.random.default_rng(seed))
        return found.indices.tolist(), float(found.gains.sum())

    lazy, naive, stochastic, lazier = (selected(optimizer) for optimizer in core.OPTIMIZERS)
    assert lazy == naive
    assert stochastic == lazier
    assert 0.8 * lazy[1] <= stochastic[1] <= lazy[1] * (1 + 1e-9)


def test_the_stochastic_optimizer_follows_its_generator() -> None:
    view = gradients_view(0, n=300)
    strategy = UsimF(query="expected", optimizer="stochastic")
    first, again, other = (strategy.select(view, 30, np.random.default_rng(seed)).indices for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_kernel_too_large_to_hold_changes_nothing(monkeypatch: pytest.MonkeyPatch, eta: float) -> None:
    view = gradients_view(3)
    held = UsimF(eta=eta).select(view, 10, np.random.default_rng(0))
    monkeypatch.setattr(kernels, "MAX_KERNEL_BYTES", 0)
    computed = UsimF(eta=eta).select(view, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(held.indices, computed.indices)
    np.testing.assert_array_equal(held.gains, computed.gains)


def test_without_eta_a_batch_that_covers_the_query_set_earns_no_more() -> None:
    view = gradients_view(0)
    found = UsimF(eta=0.0).select(view, N, np.random.default_rng(0))
    assert found.gains[0] > 0
    np.testing.assert_allclose(found.gains[-1], 0, atol=1e-9)
    assert (UsimF(eta=1.0).select(view, N, np.random.default_rng(0)).gains[:-1] > 0).all()


def test_parameters_say_what_the_gradients_are_asked_of() -> None:
    assert UsimF().gradients == GradientSettings()
    made = make_strategy("usim-f+layers=all+heads=published+pseudo_labels=own+fisher=one")
    assert made.gradients == GradientSettings("all", "published", "own", "one")
    assert make_strategy("usim-c+heads=weighted+pseudo_labels=own").gradients == GradientSettings(
        heads="weighted", pseudo_labels="own"
    )
    with pytest.raises(InputError, match=r"usim-f', parameter norm: expected a number from 0 to 1, got 1\.5"):
        make_strategy("usim-f+norm=1.5")


@pytest.mark.parametrize("norm", [0.0, 0.25, 0.5, 1.0])
def test_similarities_are_divided_by_a_power_of_the_norms(norm: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_BLOCK_BYTES", 200)  # rows in several blocks
    view = gradients_view(0)
    assert view.scores.fisher is not None
    view.scores.fisher.gradients[5] = 0  # similar to nothing, not NaN
    before = view.scores.fisher.gradients.copy()
    K = fisher_similarity(view)
    norms = np.sqrt(np.diag(K))
    norms[5] = 1.0
    made = UsimF(norm=norm).embedding(view)
    found = core.similarity(made.rows, made.rows, metric=made.metric, scale=made.scale)
    np.testing.assert_allclose(found, K / np.outer(norms, norms) ** norm, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(view.scores.fisher.gradients, before)


def test_the_size_of_a_gradient_does_not_matter_to_the_cosine() -> None:
    view = gradients_view(0)
    assert view.scores.bottleneck is not None
    factors = np.random.default_rng(1).uniform(0.1, 10, (N, 1)).astype(np.float32)
    scaled = PoolView(
        view.units, Scores(variance=view.scores.variance, bottleneck=view.scores.bottleneck * factors), WEIGHTS
    )
    first, second = (UsimC().select(v, 10, np.random.default_rng(0)) for v in (view, scaled))
    np.testing.assert_array_equal(first.indices, second.indices)


def test_the_cosine_is_of_the_layer_that_is_asked_for() -> None:
    view = gradients_view(0)
    assert UsimC(layer="last").needs == Need.VARIANCE | Need.LAST_LAYER
    assert UsimC().needs == UsimC.needs == Need.VARIANCE | Need.BOTTLENECK
    moved = Scores(variance=view.scores.variance, last_layer=view.scores.bottleneck)
    last, deepest = (
        strategy.select(PoolView(view.units, scores, WEIGHTS), 10, np.random.default_rng(0))
        for strategy, scores in ((UsimC(layer="last"), moved), (UsimC(), view.scores))
    )
    np.testing.assert_array_equal(last.indices, deepest.indices)
    np.testing.assert_array_equal(last.gains, deepest.gains)


def test_units_without_any_gradient_are_chosen_last() -> None:
    view = gradients_view(0)
    assert view.scores.bottleneck is not None
    gradients = np.abs(view.scores.bottleneck)
    gradients[[0, 5]] = 0
    selection = UsimC().select(
        PoolView(units(N), Scores(variance=view.scores.variance, bottleneck=gradients), WEIGHTS),
        N,
        np.random.default_rng(0),
    )
    assert selection.indices[-2:].tolist() == [0, 5]
    np.testing.assert_allclose(selection.gains[-2:], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("strategy", "missing"), [(UsimF(), "fisher"), (UsimC(), "bottleneck"), (UsimC(layer="last"), "last_layer")]
)
def test_an_embedding_has_to_be_asked_for(strategy: Usim, missing: str) -> None:
    view = PoolView(units(4), Scores(variance=np.ones((4, 3))), WEIGHTS)
    with pytest.raises(ValueError, match=f"scores: {missing} was not asked for"):
        strategy.select(view, 2, np.random.default_rng(0))
