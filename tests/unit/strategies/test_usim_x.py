from __future__ import annotations

import numpy as np
import pytest

from albench.errors import InputError
from albench.scoring.request import Features, Scores
from albench.strategies import PoolView, make_strategy
from albench.strategies.query import query_size
from albench.strategies.usim_x import UsimX
from tests.support.strategies_reference import assert_greedy, drawn_query, units

N, M, D = 30, 6, 5
CLASS_WEIGHTS = np.array([0.0, 0.3, 0.7])


def view_of(seed: int, n_labelled: int = M) -> PoolView:
    rng = np.random.default_rng(seed)
    features = rng.normal(1, 2, (N + n_labelled, D)).astype(np.float32)
    features[:, 0] = 3.0  # a dead channel
    return PoolView(
        units=units(N),
        scores=Scores(
            variance=rng.gamma(0.5, 0.02, (N, 3)) * [1.0, 1.0, 0.01], features=Features(features[:N], features[N:])
        ),
        class_weights=CLASS_WEIGHTS,
    )


def correlations(view: PoolView) -> np.ndarray:
    """Rows: pool, then annotated units; columns: pool."""
    features = view.scores.features
    assert features is not None
    rows = np.concatenate([features.unlabelled, features.labelled]).astype(np.float64)[:, 1:]
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.maximum(rows @ rows[:N].T, 0)


def mass_of(view: PoolView, strata: str, beta: float) -> np.ndarray:
    variance = view.score("variance")
    if strata == "none":
        return (variance @ CLASS_WEIGHTS) ** beta
    return sum(variance[:, c] ** beta / (variance[:, c] ** beta).sum() for c in (1, 2))


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("query", ["expected", "sampled"])
@pytest.mark.parametrize(("strata", "beta", "budget"), [("class", 1.0, 5), ("none", 0.5, 7), ("class", 0.0, N)])
def test_it_is_greedy_on_what_is_not_covered(
    strata: str, beta: float, budget: int, query: str, condition: bool
) -> None:
    view = view_of(budget)
    strategy = UsimX(query=query, strata=strata, beta=beta, condition=condition)  # type: ignore[arg-type]
    found = strategy.select(view, budget, np.random.default_rng(3))
    mass = mass_of(view, strata, beta)
    if query == "expected":
        at, weights = np.arange(N), query_size(mass, budget) * mass / mass.sum()
    else:
        at, weights = drawn_query(mass, query_size(mass, budget), 3)
    s = correlations(view)[:, at]
    covered = s[N:].max(axis=0) if condition else np.zeros(at.size)

    def value(chosen: list[int]) -> float:
        return float((weights * np.maximum(s[chosen].max(axis=0) - covered, 0)).sum()) if chosen else 0.0

    assert_greedy(value, N, found.indices, found.gains)
    np.testing.assert_allclose(found.scores, mass[found.indices])


def test_what_looks_like_an_annotated_unit_is_worth_nothing() -> None:
    view = view_of(0)
    features = view.scores.features
    assert features is not None
    twin = int(np.argmax(mass_of(view, "class", 1.0)))
    features.labelled[0] = features.unlabelled[twin]
    found = UsimX().select(view, N, np.random.default_rng(0))
    assert found.gains[found.indices == twin] == pytest.approx(0, abs=1e-6)


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    mass = UsimX().uncertainty_mass(view_of(1))
    variance = view_of(1).score("variance")
    np.testing.assert_allclose(mass.sum(), 2)
    rare = np.argmax(variance[:, 2] / variance[:, 2].sum() - variance[:, 1] / variance[:, 1].sum())
    assert mass[rare] > UsimX(strata="none").uncertainty_mass(view_of(1))[rare]


def test_nothing_annotated_and_no_uncertainty_choose_all_the_same() -> None:
    view = view_of(2, n_labelled=0)
    assert view.scores.variance is not None
    view.scores.variance[:] = 0
    found = UsimX().select(view, 4, np.random.default_rng(0))
    assert len(set(found.indices.tolist())) == 4


def test_a_negative_power_is_refused() -> None:
    with pytest.raises(InputError, match="beta: expected a number of at least 0, got -1"):
        make_strategy("usim-x+beta=-1")
