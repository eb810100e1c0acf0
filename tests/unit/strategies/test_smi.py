"""The other members of the family, against their definitions and against every batch of a tiny pool."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from albench.strategies import kernels, make_strategy
from albench.strategies.query import query_size
from albench.strategies.smi import ConcaveOverModular, FacilityLocationMi, GraphCutMi, LogDeterminantMi
from albench.strategies.usim import UsimF
from tests.support.core_reference import concave, graph_cut, log_determinant, mutual_information
from tests.support.strategies_reference import (
    assert_greedy,
    drawn_query,
    fisher_similarity,
    gradients_view,
    uncertainty_of,
)

N, D = 12, 5
Value = Callable[[list[int]], float]


def measure(name: str, K: np.ndarray, query: np.ndarray, weights: np.ndarray, eta: float) -> Value:
    """f of a batch, by its formula; `K` are the similarities of all units."""
    S = K[:, query]
    formulas: dict[str, Value] = {
        "flvmi": lambda A: mutual_information(S, K, A, np.ones(len(K)), eta),
        "gcmi": lambda A: 2 * float((S[A] * weights).sum()),  # negative similarities as they are
        "logdetmi": lambda A: log_determinant(S, K, K[np.ix_(query, query)], A),
        "com": lambda A: concave(S, A, weights, eta),
    }
    return formulas[name]


@pytest.mark.parametrize("name", ["flvmi", "gcmi", "logdetmi", "com"])
@pytest.mark.parametrize(("seed", "budget"), [(0, 1), (1, 2), (2, 5), (3, N)])
def test_choices_are_greedy_on_the_measure(name: str, seed: int, budget: int) -> None:
    view = gradients_view(seed, N, D)
    found = make_strategy(name).select(view, budget, np.random.default_rng(seed))
    uncertainty = uncertainty_of(view)
    query, counts = drawn_query(uncertainty, query_size(uncertainty, budget), seed)
    value = measure(name, fisher_similarity(view), query, counts.astype(np.float64), 1.0)
    assert_greedy(value, N, found.indices, found.gains, tolerance=1e-3)
    assert value(found.indices.tolist()) == pytest.approx(found.gains.sum(), rel=1e-4)
    np.testing.assert_allclose(found.scores, uncertainty[found.indices])


@pytest.mark.parametrize(("name", "bound"), [("flvmi", 1 - 1 / np.e), ("gcmi", 1.0), ("com", 1 - 1 / np.e)])
@pytest.mark.parametrize("seed", range(3))
def test_no_batch_is_much_better(name: str, bound: float, seed: int) -> None:
    view = gradients_view(seed, N, D)
    found = make_strategy(name).select(view, 3, np.random.default_rng(seed))
    uncertainty = uncertainty_of(view)
    query, counts = drawn_query(uncertainty, query_size(uncertainty, 3), seed)
    value = measure(name, fisher_similarity(view), query, counts.astype(np.float64), 1.0)
    best = max(value(list(batch)) for batch in itertools.combinations(range(N), 3))
    assert value(found.indices.tolist()) >= bound * best * (1 - 1e-6)


@pytest.mark.parametrize(("name", "eta"), [("flvmi", 0.0), ("flvmi", 0.4), ("com", 0.0), ("com", 2.5)])
def test_eta_weighs_what_it_says(name: str, eta: float) -> None:
    view = gradients_view(0, N, D)
    found = make_strategy(f"{name}+eta={eta}").select(view, 4, np.random.default_rng(0))
    uncertainty = uncertainty_of(view)
    query, counts = drawn_query(uncertainty, query_size(uncertainty, 4), 0)
    value = measure(name, fisher_similarity(view), query, counts.astype(np.float64), eta)
    assert_greedy(value, N, found.indices, found.gains, tolerance=1e-3)


@pytest.mark.parametrize("name", ["gcmi", "com"])
def test_the_expected_query_weighs_every_unit_by_its_uncertainty(name: str) -> None:
    view = gradients_view(1, N, D)
    found = make_strategy(f"{name}+query=expected").select(view, 4, np.random.default_rng(0))
    uncertainty = uncertainty_of(view)
    weights = query_size(uncertainty, 4) * uncertainty / uncertainty.sum()
    value = measure(name, fisher_similarity(view), np.arange(N), weights, 1.0)
    assert_greedy(value, N, found.indices, found.gains, tolerance=1e-3)


@pytest.mark.parametrize("name", ["flvmi", "com"])
def test_a_kernel_too_large_to_hold_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    view = gradients_view(3, N, D)
    held = make_strategy(name).select(view, 5, np.random.default_rng(0))
    monkeypatch.setattr(kernels, "MAX_KERNEL_BYTES", 0)
    computed = make_strategy(name).select(view, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(held.indices, computed.indices)
    np.testing.assert_array_equal(held.gains, computed.gains)


def test_how_often_a_unit_was_drawn_matters_to_those_with_weights_alone() -> None:
    """A measure that ignores multiplicities has no expectation over draws, and no such parameter."""
    assert hasattr(GraphCutMi(), "query")
    assert hasattr(ConcaveOverModular(), "query")
    assert not hasattr(FacilityLocationMi(), "query")
    assert not hasattr(LogDeterminantMi(), "query")


@pytest.mark.parametrize("name", ["flvmi", "gcmi", "logdetmi", "com"])
def test_the_gradients_are_those_of_usim(name: str) -> None:
    made = make_strategy(f"{name}+layers=encoder+heads=weighted+norm=0.5")
    assert (made.gradients.layers, made.gradients.heads, made.norm) == ("encoder", "weighted", 0.5)
    view = gradients_view(0, N, D)
    np.testing.assert_array_equal(made.embedding(view).rows, UsimF(norm=0.5).embedding(view).rows)


def test_the_graph_cut_may_clip_negative_similarities() -> None:
    view = gradients_view(0, N, D)
    uncertainty = uncertainty_of(view)
    query, counts = drawn_query(uncertainty, query_size(uncertainty, 4), 0)
    S = fisher_similarity(view)[:, query]
    assert (S < 0).any()
    found = make_strategy("gcmi+negative=clip").select(view, 4, np.random.default_rng(0))
    assert_greedy(lambda A: graph_cut(S, A, counts.astype(np.float64)), N, found.indices, found.gains, tolerance=1e-3)
