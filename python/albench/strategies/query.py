"""The query set: units that a selection has to be informative about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
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
    """Position of the knee of `values` sorted from high to low, or None where there is none.

    Kneedle (Satopää et al., ICDCS workshops 2011) of a convex, decreasing curve with sensitivity S = 10: the first
    local maximum of the scaled curve's distance below the diagonal from which it falls by S steps before a minimum.
    """
    if values.size < 3 or np.ptp(values) == 0:
        return None
    y = np.sort(values.astype(np.float64))[::-1]
    y = (y - y.min()) / (y.max() - y.min())
    x = np.arange(y.size) / (y.size - 1)
    distance = (y.max() - y) - x
    before, after = np.pad(distance, (1, 0), mode="edge")[:-1], np.pad(distance, (0, 1), mode="edge")[1:]
    is_maximum = (distance >= before) & (distance >= after)
    is_minimum = (distance <= before) & (distance <= after)
    threshold = distance - _KNEE_SENSITIVITY * np.diff(x).mean()
    peak, falling = 0, False
    for i in range(y.size - 1):
        peak = i if is_maximum[i] else peak
        falling = (falling or bool(is_maximum[i])) and not is_minimum[i]
        if falling and distance[i + 1] < threshold[peak]:
            return peak
    return None


def query_size(uncertainty: NDArray[np.float64], budget: int) -> int:
    """|Q| = min(n, max(knee, 5 budget)), draws counted as often as they happen."""
    return min(uncertainty.size, max(knee(uncertainty) or 0, _MIN_QUERY_BUDGETS * budget))


def draw_query(uncertainty: NDArray[np.float64], budget: int, rng: np.random.Generator) -> QuerySet:
    """Draw |Q| units with replacement, in proportion to uncertainty; all-zero uncertainty draws uniformly."""
    return drawn(uncertainty, query_size(uncertainty, budget), rng)


def drawn(uncertainty: NDArray[np.float64], size: int, rng: np.random.Generator) -> QuerySet:
    """As `draw_query`, with a given size."""
    total = uncertainty.sum()
    rows = rng.choice(uncertainty.size, size, replace=True, p=uncertainty / total if total > 0 else None)
    indices, counts = np.unique(rows, return_counts=True)
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
