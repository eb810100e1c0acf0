"""Views with random scores, and the plain formulas that several strategies are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from albench.scoring.request import FisherEmbedding, Scores
from albench.strategies import PoolView
from albench.units.pool import Unit

WEIGHTS = np.array([0.0, 0.7, 0.3])


def units(n: int) -> tuple[Unit, ...]:
    return tuple(Unit("case", i) for i in range(n))


def view_of(n: int, *, query: int = 0, n_queries: int = 1, **scores: Any) -> PoolView:
    return PoolView(units(n), Scores(**scores), WEIGHTS, query_number=query, n_queries=n_queries)


def gradients_view(seed: int, n: int = 40, d: int = 6) -> PoolView:
    """Random variance and gradients of every kind."""
    rng = np.random.default_rng(seed)
    return view_of(
        n,
        variance=rng.random((n, 3)) ** 3,
        fisher=FisherEmbedding(rng.normal(size=(n, d)).astype(np.float32), rng.uniform(0.01, 4, d)),
        bottleneck=(rng.normal(size=(n, d)) * rng.uniform(0.1, 10, (n, 1))).astype(np.float32),
    )


def uncertainty_of(view: PoolView) -> np.ndarray:
    assert view.scores.variance is not None
    return sum(w * v for w, v in zip(WEIGHTS, view.scores.variance.T, strict=True))


def fisher_similarity(view: PoolView) -> np.ndarray:
    assert view.scores.fisher is not None
    g = view.scores.fisher.gradients.astype(np.float64)
    return np.array([[np.mean(a * b / view.scores.fisher.fisher) for b in g] for a in g])


def cosine_similarity(view: PoolView) -> np.ndarray:
    assert view.scores.bottleneck is not None
    g = view.scores.bottleneck.astype(np.float64)
    return np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in g] for a in g])


def drawn_query(uncertainty: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The query set drawn as the text says: units and how often each."""
    drawn = np.random.default_rng(seed).choice(uncertainty.size, size, p=uncertainty / uncertainty.sum())
    return np.unique(drawn, return_counts=True)


def assert_greedy(
    value: Callable[[list[int]], float], n: int, indices: np.ndarray, gains: np.ndarray, tolerance: float = 1e-4
) -> None:
    """Each choice is the unit of the largest gain in `value` at its time, and the gain is said."""
    chosen: list[int] = []
    for index, gain in zip(indices.tolist(), gains, strict=True):
        before = value(chosen) if chosen else 0.0
        possible = {i: value([*chosen, i]) - before for i in range(n) if i not in chosen}
        best = max(possible.values())
        scale = max(abs(best), 1e-2)
        assert abs(gain - best) <= tolerance * scale
        assert abs(possible[index] - best) <= tolerance * scale
        chosen.append(index)


def by_power(scores: np.ndarray, beta: float) -> np.ndarray:
    """Probability of each unit to be drawn first."""
    weights = scores**beta
    return weights / weights.sum()


def assert_frequencies(counts: np.ndarray, expected: np.ndarray) -> None:
    """Counts of draws lie within four standard deviations (and two draws) of their expectation."""
    n = counts.sum()
    assert (np.abs(counts - n * expected) <= 4 * np.sqrt(n * expected * (1 - expected)) + 2).all()
