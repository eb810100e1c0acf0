from __future__ import annotations

import numpy as np
import pytest

from albench.strategies.badge import Badge
from tests.support.strategies_reference import assert_frequencies, view_of

GRADIENTS = np.array([[0.0, 1], [3, 0], [2, 2.5], [0.1, 0.1], [-2, 0]], dtype=np.float32)


def squared_distances(rows: np.ndarray, centres: list[int]) -> np.ndarray:
    return np.min([((rows - rows[c]) ** 2).sum(axis=1) for c in centres], axis=0)


def test_centres_are_drawn_as_by_k_means_plus_plus() -> None:
    """First the largest, then by squared distance to the nearest centre, by the formula of every step."""
    rows, rng = GRADIENTS.astype(np.float64), np.random.default_rng(0)
    found = np.stack([Badge().select(view_of(5, last_layer=GRADIENTS), 3, rng).indices for _ in range(5000)])
    first = int(np.argmax(np.linalg.norm(rows, axis=1)))
    assert (found[:, 0] == first).all()
    second = squared_distances(rows, [first])
    assert_frequencies(np.bincount(found[:, 1], minlength=5), second / second.sum())
    for centre in set(found[:, 1].tolist()):
        third = squared_distances(rows, [first, centre])
        drawn = found[found[:, 1] == centre, 2]
        assert_frequencies(np.bincount(drawn, minlength=5), third / third.sum())


def test_scores_are_the_sizes_of_the_gradients() -> None:
    found = Badge().select(view_of(5, last_layer=GRADIENTS), 5, np.random.default_rng(1))
    np.testing.assert_allclose(found.scores, [np.sqrt((GRADIENTS[i] ** 2).sum()) for i in found.indices], rtol=1e-6)
    assert sorted(found.indices.tolist()) == [0, 1, 2, 3, 4]


def test_a_unit_like_a_chosen_one_is_left_to_the_last() -> None:
    gradients = np.array([[5.0, 0], [5, 0], [0, 1], [1, 1]], dtype=np.float32)
    for seed in range(30):
        found = Badge().select(view_of(4, last_layer=gradients), 4, np.random.default_rng(seed)).indices
        assert found[0] == 0
        assert found[3] == 1


def test_gradients_have_to_be_asked_for() -> None:
    with pytest.raises(ValueError, match="scores: last_layer was not asked for"):
        Badge().select(view_of(4), 2, np.random.default_rng(0))
