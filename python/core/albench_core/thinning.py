"""Members of a set that others of it make up for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GONE = -1.0


def thinned(
    S: NDArray[np.float32],
    covered: NDArray[np.float64] | None,
    weights: NDArray[np.float64] | None,
    eta: float,
    budget: int,
) -> NDArray[np.int64]:
    """Take rows away, each time the one without which facility location loses least, until `budget` are left.

    Greedy that goes further than its budget and back (Feldman, Lehrer, Ray, Management Science 1966, who only go back):
    what it chose early is often made up for by what it chose later. Ties go to the last row.

    Parameters
    ----------
    S
        (n, q) similarities, n >= `budget`.
    covered, weights, eta
        As of `FacilityLocationVariantMI`, of S; `covered` >= 0.

    Returns
    -------
    (budget,) rows of S, ascending.
    """
    n, q = S.shape
    own = eta * np.maximum(S, 0.0).max(axis=1).astype(np.float64)
    # What each adds to each query, a query a row: the losses of a column are looked up together.
    start = np.zeros(q) if covered is None else covered
    added = np.maximum(S.T.astype(np.float64) - start[:, None], 0.0)
    if weights is not None:
        added *= weights[:, None]
    first, second, gap = _two_best(added)
    left = np.ones(n, bool)
    for _ in range(n - budget):
        loss = np.where(left, own + np.bincount(first, gap, n), np.inf)
        out = n - 1 - int(np.argmin(loss[::-1]))
        left[out] = False
        added[:, out] = _GONE
        changed = np.flatnonzero((first == out) | (second == out))
        first[changed], second[changed], gap[changed] = _two_best(added[changed])
    return np.flatnonzero(left)


def _two_best(added: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Where each query finds most, and second most, and what it would lose without the first."""
    each = np.arange(added.shape[0])
    first = added.argmax(axis=1)
    others = added.copy()
    others[each, first] = _GONE
    second = others.argmax(axis=1)
    return first, second, added[each, first] - np.maximum(others[each, second], 0.0)
