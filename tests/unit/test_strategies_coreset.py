from __future__ import annotations

import numpy as np
import pytest
from strategies_reference import assert_frequencies, view_of

from albench.scoring.request import Features
from albench.strategies.coreset import CoreSet, KMeansBald


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


def bald_view(features: np.ndarray, scores: np.ndarray) -> object:
    return view_of(len(scores), mutual_information=scores, features=Features(features, features[:2]))


def test_kmeans_bald_chooses_among_the_highest_twice_the_budget() -> None:
    rng = np.random.default_rng(0)
    features, scores = rng.normal(size=(30, 3)).astype(np.float32), rng.random(30)
    candidates = set(np.argsort(-scores)[:8].tolist())
    seen = set()
    for seed in range(60):
        found = KMeansBald().select(bald_view(features, scores), 4, np.random.default_rng(seed))
        assert set(found.indices.tolist()) <= candidates
        np.testing.assert_array_equal(found.scores, scores[found.indices])
        seen |= set(found.indices.tolist())
    assert seen == candidates


def test_kmeans_bald_begins_farthest_from_the_mean_and_draws_by_squared_distance() -> None:
    features = np.array([[100.0, 100], [0, 0], [1, 0], [0, 3], [9, 9]], dtype=np.float32)
    scores = np.array([0.0, 5, 4, 3, 2])  # the four candidates are those behind the first
    view, rng = bald_view(features, scores), np.random.default_rng(0)
    found = np.stack([KMeansBald().select(view, 2, rng).indices for _ in range(3000)])
    candidates = features[1:].astype(np.float64)
    first = 1 + int(np.argmax(np.linalg.norm(candidates - candidates.mean(axis=0), axis=1)))
    assert (found[:, 0] == first).all()
    squared = np.array([0.0, *((candidates - features[first]) ** 2).sum(axis=1)])
    assert_frequencies(np.bincount(found[:, 1], minlength=5), squared / squared.sum())


@pytest.mark.parametrize("strategy", [CoreSet(), KMeansBald()])
def test_features_have_to_be_asked_for(strategy: CoreSet) -> None:
    with pytest.raises(ValueError, match="scores: features were not asked for"):
        strategy.select(view_of(4, mutual_information=np.ones(4)), 2, np.random.default_rng(0))
