from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from albench.strategies import PoolView
from albench.strategies.stratified import (
    ClaspPe,
    ClassPe33,
    ClassPe66,
    ClassPowerPe33,
    ClassPowerPe66,
    places_per_class,
)
from tests.support.strategies_reference import assert_frequencies, by_power, view_of


def stratified_view(n: int = 60, n_labels: int = 4, *, query: int = 0, n_queries: int = 5, seed: int = 0) -> PoolView:
    rng = np.random.default_rng(seed)
    by_class = rng.uniform(0.01, 1, (n, n_labels))
    return view_of(n, class_entropy=by_class, predictive_entropy=by_class.sum(axis=1), query=query, n_queries=n_queries)


@pytest.mark.parametrize("n_places", range(8))
def test_places_are_shared_out_evenly_and_the_rest_at_random(n_places: int) -> None:
    found = np.stack([places_per_class(n_places, 3, np.random.default_rng(seed)) for seed in range(200)])
    assert (found.sum(axis=1) == n_places).all()
    assert set(np.unique(found)) <= {n_places // 3, n_places // 3 + 1}
    assert_frequencies((found - n_places // 3).sum(axis=0) if n_places % 3 else np.ones(3), np.full(3, 1 / 3))


@pytest.mark.parametrize(("strategy", "share"), [(ClassPe66(), Fraction(66, 100)), (ClassPe33(), Fraction(33, 100))])
@pytest.mark.parametrize("budget", [1, 2, 9, 20, 50, 60])
def test_places_are_filled_from_each_class_then_from_all(strategy: ClassPe66, share: Fraction, budget: int) -> None:
    view = stratified_view()
    by_class, overall = view.score("class_entropy"), view.score("predictive_entropy")
    found = strategy.select(view, budget, np.random.default_rng(5))
    places = places_per_class(int(share * budget), 3, np.random.default_rng(5))
    taken: list[int] = []
    for column, wanted in zip((by_class[:, 1], by_class[:, 2], by_class[:, 3]), places, strict=True):
        best = [i for i in sorted(range(60), key=lambda i: -column[i]) if i not in taken][:wanted]
        np.testing.assert_array_equal(found.scores[len(taken) : len(taken) + wanted], column[best])
        taken += best
    rest = [i for i in sorted(range(60), key=lambda i: -overall[i]) if i not in taken][: budget - len(taken)]
    np.testing.assert_array_equal(found.scores[len(taken) :], overall[rest])
    assert found.indices.tolist() == taken + rest
    assert len(rest) == budget - int(share * budget)


def test_background_has_no_list_of_its_own() -> None:
    by_class = np.zeros((20, 3))
    by_class[:5, 0] = 9.0  # background alone
    by_class[5:12, 1], by_class[12:, 2] = 1.0, 1.0
    view = view_of(20, class_entropy=by_class, predictive_entropy=np.arange(20.0))
    found = ClassPe66().select(view, 9, np.random.default_rng(0)).indices  # floor(5.94) = 5 places for two classes
    assert sorted(np.bincount(np.searchsorted([5, 12, 20], found[:5], side="right"), minlength=3).tolist()) == [0, 2, 3]
    assert not (found[:5] < 5).any()


@pytest.mark.parametrize("n_queries", [2, 3, 5, 10])
@pytest.mark.parametrize("beta_end", [100.0, 7.0, 1.0])
def test_claspe_cools_from_one_to_its_last_value(n_queries: int, beta_end: float) -> None:
    betas = [ClaspPe(beta_end=beta_end).beta(stratified_view(query=t, n_queries=n_queries)) for t in range(n_queries)]
    np.testing.assert_allclose(betas, [beta_end ** (t / (n_queries - 1)) for t in range(n_queries)])
    assert betas[0] == 1.0
    assert betas[-1] == pytest.approx(beta_end)


def test_claspe_ends_at_a_hundred_also_where_there_is_one_query() -> None:
    assert ClaspPe().beta(stratified_view(query=0, n_queries=1)) == 100.0
    assert ClaspPe().beta(stratified_view(query=3, n_queries=4)) == pytest.approx(100.0)


def published_sigmoid(n_steps: int, temperature: float) -> np.ndarray:
    """A sigmoid over -6..6 in equal steps, scaled to 1..100."""
    values = 1 / (1 + np.exp(-np.linspace(-6, 6, n_steps) / temperature))
    return 1 + 99 * (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("n_queries", [2, 4, 9])
@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ("exponential", lambda n: 100 ** np.linspace(0, 1, n)),
        ("smooth-sigmoid", lambda n: published_sigmoid(n, 2.0)),
        ("sharp-sigmoid", lambda n: published_sigmoid(n, 0.5)),
    ],
)
def test_schedules_are_cut_into_queries_or_as_published_into_trainings(
    schedule: Any, values: Callable[[int], np.ndarray], n_queries: int
) -> None:
    views = [stratified_view(query=t, n_queries=n_queries) for t in range(n_queries)]
    corrected = [ClaspPe(schedule=schedule).beta(view) for view in views]
    published = [ClaspPe(schedule=schedule, variant="published").beta(view) for view in views]
    np.testing.assert_allclose(corrected, values(n_queries), rtol=1e-9)
    np.testing.assert_allclose(published, values(n_queries + 1)[:-1], rtol=1e-9)


def test_the_published_betas_of_a_chain_of_four_queries() -> None:
    found = [ClaspPe(variant="published").beta(stratified_view(query=t, n_queries=4)) for t in range(4)]
    np.testing.assert_allclose(found, [1, 3.2, 10, 31.6], rtol=0.02)
    assert ClaspPe(variant="published").beta(stratified_view(query=0, n_queries=1)) == 1.0


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_beyond_the_whole_is_refused(percent: int) -> None:
    with pytest.raises(ValueError, match=rf"parameter percent: expected a number in 0\.\.100, got {percent}"):
        ClaspPe(percent=percent)


@pytest.mark.parametrize(("strategy", "percent"), [(ClassPowerPe66, 66), (ClassPowerPe33, 33)])
@pytest.mark.parametrize("beta", [1.0, 7.0])
def test_class_power_is_claspe_without_a_schedule(strategy: type[ClassPowerPe66], percent: int, beta: float) -> None:
    """At its end, that is at the only query of a chain, claspe has the given beta."""
    view = stratified_view(n_queries=1)
    found = strategy(beta=beta).select(view, 20, np.random.default_rng(3))
    expected = ClaspPe(beta_end=beta, percent=percent).select(view, 20, np.random.default_rng(3))
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize(("query", "beta"), [(0, 1.0), (2, 10.0), (4, 100.0)])
def test_claspe_puts_noise_on_every_list(query: int, beta: float) -> None:
    view = stratified_view(query=query)
    by_class, overall = view.score("class_entropy"), view.score("predictive_entropy")
    found = ClaspPe().select(view, 20, np.random.default_rng(3)).indices.tolist()
    rng = np.random.default_rng(3)
    places = places_per_class(13, 3, rng)
    taken: list[int] = []
    for column, wanted in [*zip(by_class[:, 1:].T, places, strict=True), (overall, 7)]:
        noisy = np.log(column) + rng.gumbel(0, 1 / beta, 60)
        taken += [i for i in np.argsort(-noisy).tolist() if i not in taken][:wanted]
    assert found == taken


def test_claspe_draws_by_the_power_of_the_score() -> None:
    scores = np.array([0.2, 0.5, 1.0, 0.3])
    by_class = np.stack([np.ones(4), scores], axis=1)
    view = view_of(4, class_entropy=by_class, predictive_entropy=np.ones(4), query=1, n_queries=3)
    rng = np.random.default_rng(0)
    # budget 2: floor(1.32) = 1 place for the only class, at beta = sqrt(4) = 2
    first = [ClaspPe(beta_end=4.0).select(view, 2, rng).indices[0] for _ in range(3000)]
    assert_frequencies(np.bincount(first, minlength=4), by_power(scores, 2.0))


def test_at_its_end_claspe_is_nearly_class_stratified_entropy() -> None:
    by_class = np.exp(np.random.default_rng(0).permuted(np.tile(np.arange(40.0), (4, 1)), axis=1).T)
    view = view_of(40, class_entropy=by_class, predictive_entropy=by_class[:, 0], query=4, n_queries=5)
    for seed in range(10):
        noisy = ClaspPe().select(view, 12, np.random.default_rng(seed)).indices
        # the same places: they are drawn before any noise
        assert noisy.tolist() == ClassPe66().select(view, 12, np.random.default_rng(seed)).indices.tolist()
