"""Choosing the starting set: at random, spread out, or typical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from albench import core
from albench.coldstart.embedding import embed
from albench.coldstart.typiclust import typiclust
from albench.config import StartMethod


def choose_start(
    method: StartMethod, n: int, descriptors: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose the units to annotate first from what they look like.

    Rows are brought into an order that depends on their content alone before anything is drawn or summed, and BLAS and
    k-means run on one thread: neither the order of the units nor the number of cores is in the result.

    Parameters
    ----------
    method
        ``"k-centre"`` (greedy, Euclidean: `core.kcenter_greedy`, from a first unit drawn at random) or ``"typical"``
        (`typiclust`).
    n
        1 .. number of units.
    descriptors
        (n_units, d) as `describe_slices` makes them.

    Returns
    -------
    ndarray
        int64 (n,) distinct rows of `descriptors`, in order of choice.

    Raises
    ------
    ValueError
        Another method, `n` out of range, or descriptors that are not finite.
    """
    if method not in ("k-centre", "typical"):
        raise ValueError(f"method: expected k-centre or typical, got {method!r}")
    if not 1 <= n <= len(descriptors):
        raise ValueError(f"n: expected 1 to {len(descriptors)}, the number of units, got {n}")
    if not np.isfinite(descriptors).all():
        raise ValueError("descriptors: expected finite values, found NaN or infinity")
    order = _content_order(descriptors)
    with threadpool_limits(1):
        X = embed(descriptors[order])
        if method == "typical":
            chosen = typiclust(X, n, int(rng.integers(2**31)))
        else:
            chosen = _spread(X, n, int(rng.integers(len(X))))
    return np.asarray(order[chosen])


def _spread(X: NDArray[np.float64], n: int, first: int) -> NDArray[np.int64]:
    """k-centre greedy from a given first row."""
    if n == 1:
        return np.array([first], dtype=np.int64)
    rest = core.kcenter_greedy(X, n - 1, labelled=[first], n_threads=1)
    return np.concatenate([np.array([first], dtype=np.int64), rest])


def _content_order(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Sort rows by content, equal ones by index. Big-endian bytes of numbers >= 0 sort as the numbers do."""
    keys = [row.tobytes() for row in rows.astype(">f4")]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
