from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from albench.scoring.request import Features
from albench.strategies import PoolView
from albench.strategies.coreset import CoreSet, KMeansBald, standardised
from albench.units.pool import Unit
from tests.support.strategies_reference import view_of


def k_centre(rows: np.ndarray, labelled: np.ndarray, budget: int) -> list[int]:
    """Farthest-first traversal, every distance computed again in every step."""
    chosen: list[int] = []
    for _ in range(budget):
        centres = np.concatenate([labelled, rows[chosen]])
        nearest = [
            -1.0 if i in chosen else min((np.linalg.norm(row - c) for c in centres), default=np.inf)
            for i, row in enumerate(rows)
        ]
        chosen.append(int(np.argmax(nearest)))
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n_labelled", "budget"), [(1, 1), (5, 6), (3, 25), (0, 7)])
def test_coreset_takes_the_farthest_from_all_annotated_and_chosen(seed: int, n_labelled: int, budget: int) -> None:
    rng = np.random.default_rng(seed)
    rows, labelled = rng.normal(size=(25, 4)).astype(np.float32), rng.normal(size=(n_labelled, 4)).astype(np.float32)
    found = CoreSet().select(view_of(25, features=Features(rows, labelled)), budget, np.random.default_rng(0)).indices
    assert found.tolist() == k_centre(rows.astype(np.float64), labelled.astype(np.float64), budget)


def test_coreset_leaves_what_is_like_the_annotated_to_the_last() -> None:
    rows = np.array([[0.0], [10.0], [0.1], [5.0]], dtype=np.float32)
    view = view_of(4, features=Features(rows, np.array([[0.0]], dtype=np.float32)))
    assert CoreSet().select(view, 4, np.random.default_rng(0)).indices.tolist() == [1, 3, 2, 0]


def bald_view(features: np.ndarray, scores: np.ndarray, cases: str = "") -> PoolView:
    """Units of the cases named by letters, all of one case by default."""
    view = view_of(len(scores), mutual_information=scores, stage_features=features)
    units = tuple(Unit(case, i) for i, case in enumerate(cases or "a" * len(scores)))
    return replace(view, units=units)


def published_choice(features: np.ndarray, budget: int) -> list[int]:
    """Divide by the standard deviation; the largest first, then again and again the farthest from all taken."""
    rows = features.astype(np.float64) / (np.std(features.astype(np.float64), axis=0, ddof=1) + 1e-6)
    chosen = [int(np.argmax([np.linalg.norm(row) for row in rows]))]
    while len(chosen) < budget:
        nearest = [min(np.linalg.norm(row - rows[c]) for c in chosen) for row in rows]
        chosen.append(int(np.argmax(nearest)))
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [1, 2, 7])
def test_kmeans_bald_goes_from_the_largest_to_the_farthest_candidate(seed: int, budget: int) -> None:
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(30, 3)) * [1, 20, 0.1] + [0, 5, 0]).astype(np.float32)
    scores = rng.random(30)
    for per_case, n_candidates in ((40, 30), (12, 12), (0, 2 * budget)):
        found = KMeansBald(per_case=per_case).select(bald_view(features, scores), budget, np.random.default_rng(0))
        candidates = np.argsort(-scores)[:n_candidates]
        assert found.indices.tolist() == candidates[published_choice(features[candidates], budget)].tolist()
        np.testing.assert_array_equal(found.scores, scores[found.indices])


def test_kmeans_bald_has_the_best_of_every_case_as_candidates() -> None:
    cases = "aaaaaabbbbcc"
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.39, 0.38, 0.37, 0.36, 0.2, 0.1])
    features = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    strategy = KMeansBald(per_case=2)
    found = strategy.select(bald_view(features, scores, cases), 6, np.random.default_rng(0)).indices
    assert sorted(found.tolist()) == [0, 1, 6, 7, 10, 11]
    more = strategy.select(bald_view(features, scores, cases), 8, np.random.default_rng(0)).indices
    assert sorted(more.tolist()) == [0, 1, 2, 3, 6, 7, 10, 11]  # too few: filled up with the highest of the others


def test_standardised_columns_vary_alike_and_keep_their_mean() -> None:
    rows = np.random.default_rng(0).normal(3, [1, 50, 0], size=(20, 3)).astype(np.float32)
    found = standardised(rows)
    np.testing.assert_allclose(found[:, :2].std(axis=0, ddof=1), 1, rtol=1e-5)
    assert (found[:, :2].mean(axis=0) != 0).all()
    assert np.ptp(found[:, 2]) == 0  # a feature that is the same for all tells nothing apart
    np.testing.assert_allclose(standardised(rows[:1]), rows[:1] * 1e6, rtol=1e-6)


def test_a_negative_number_of_candidates_is_refused() -> None:
    with pytest.raises(ValueError, match="parameter per_case: expected a number of at least 0, got -1"):
        KMeansBald(per_case=-1)


@pytest.mark.parametrize(("strategy", "name"), [(CoreSet(), "features"), (KMeansBald(), "stage_features")])
def test_features_have_to_be_asked_for(strategy: CoreSet, name: str) -> None:
    with pytest.raises(ValueError, match=f"scores: {name} were not asked for"):
        strategy.select(view_of(4, mutual_information=np.ones(4)), 2, np.random.default_rng(0))
