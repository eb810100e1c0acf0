"""The query set: units that a selection has to be informative about."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from kneed import KneeLocator
from numpy.typing import NDArray

QueryKind = Literal["sampled", "expected"]
QUERY_KINDS: tuple[str, ...] = get_args(QueryKind)

_KNEE_SENSITIVITY = 10.0
_MIN_QUERY_BUDGETS = 5


@dataclass(frozen=True, eq=False)
class QuerySet:
    """Units with their weights.

    Attributes
    ----------
    indices
        int64 (q,): different units, ascending.
    weights
        float64 (q,): how often each was drawn, or is expected to be.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.float64]


def knee(values: NDArray[np.float64]) -> int | None:
    """Position of the knee of `values` sorted from high to low (Kneedle, S = 10), or None where there is none."""
    if values.size < 3 or np.ptp(values) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kneed warns where it finds no knee; None says so already
        position = KneeLocator(
            np.arange(values.size),
            np.sort(values)[::-1],
            S=_KNEE_SENSITIVITY,
            curve="convex",
            direction="decreasing",
        ).knee
    return None if position is None else int(position)


def query_size(uncertainty: NDArray[np.float64], budget: int) -> int:
    """|Q| = min(n, max(knee, 5 budget)), draws counted as often as they happen."""
    return min(uncertainty.size, max(knee(uncertainty) or 0, _MIN_QUERY_BUDGETS * budget))


def draw_query(uncertainty: NDArray[np.float64], budget: int, rng: np.random.Generator) -> QuerySet:
    """Draw |Q| units with replacement, in proportion to uncertainty; all-zero uncertainty draws uniformly."""
    size, total = query_size(uncertainty, budget), uncertainty.sum()
    drawn = rng.choice(uncertainty.size, size, replace=True, p=uncertainty / total if total > 0 else None)
    indices, counts = np.unique(drawn, return_counts=True)
    return QuerySet(indices.astype(np.int64), counts.astype(np.float64))


def expected_query(uncertainty: NDArray[np.float64], budget: int) -> QuerySet:
    """Return the expectation of `draw_query`: every unit that could be drawn, weighing |Q| u_i / sum u."""
    size, total = query_size(uncertainty, budget), uncertainty.sum()
    share = uncertainty / total if total > 0 else np.full(uncertainty.size, 1.0 / uncertainty.size)
    indices = np.flatnonzero(share > 0)
    return QuerySet(indices.astype(np.int64), size * share[indices])


def make_query(kind: str, uncertainty: NDArray[np.float64], budget: int, rng: np.random.Generator) -> QuerySet:
    """Draw the query set, or take its expectation."""
    return expected_query(uncertainty, budget) if kind == "expected" else draw_query(uncertainty, budget, rng)
