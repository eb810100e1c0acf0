"""TypiClust: one typical unit of every cluster."""

from __future__ import annotations

import warnings
from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

MAX_CLUSTERS = 500
MIN_CLUSTER_SIZE = 6
N_NEIGHBOURS = 20
_N_INITS = 4
_CHUNK = 1024


def typicality(X: NDArray[np.float64], n_neighbours: int = N_NEIGHBOURS) -> NDArray[np.float64]:
    """Inverse of the mean Euclidean distance to the nearest neighbours (Hacohen et al., ICML 2022).

    Parameters
    ----------
    X
        (n, d).
    n_neighbours
        K; fewer where there are fewer others. A row is no neighbour of itself.

    Returns
    -------
    ndarray
        float64 (n,), > 0; infinite where all K neighbours coincide with the row, or there is no other row.
    """
    k = min(n_neighbours, len(X) - 1)
    if k == 0:
        return np.full(len(X), np.inf)
    sums = np.empty(len(X))
    for start in range(0, len(X), _CHUNK):
        distances = cdist(X[start : start + _CHUNK], X)
        # The row itself is among the k + 1 nearest, at distance 0; sorted, so that the order of rows is not in the sum.
        nearest = np.sort(np.partition(distances, k, axis=1)[:, : k + 1], axis=1)
        sums[start : start + _CHUNK] = nearest.sum(axis=1)
    with np.errstate(divide="ignore"):
        return k / sums


def typiclust(X: NDArray[np.float64], n: int, seed: int) -> NDArray[np.int64]:
    """Choose typical units of different clusters: TypiClust with no unit labelled yet.

    Hacohen, Dekel and Weinshall, *Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets*, ICML
    2022 (PMLR 162:8175-8195): k-means with as many clusters as units are wanted, at most 500; then over and over, of
    the clusters with the fewest chosen units the largest gives its most typical unit that is left. Typicality looks at
    K = min(20, cluster size) neighbours in the cluster's units that are left. The cap, and that clusters of at most 5
    units are passed over, are the authors' published code. Here these small clusters come in when the others have no
    unit left, so that any n up to the number of units can be had.

    Parameters
    ----------
    X
        (n_units, d).
    n
        1 .. n_units.
    seed
        Of k-means++ seeding; the best of 4 runs counts.

    Returns
    -------
    ndarray
        int64 (n,) distinct rows, in order of choice; ties go to the lowest row.
    """
    labels = _clusters(X, min(n, MAX_CLUSTERS), seed)
    left = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    left.sort(key=lambda rows: (len(rows) < MIN_CLUSTER_SIZE, -len(rows), rows[0]))
    n_large = sum(len(rows) >= MIN_CLUSTER_SIZE for rows in left)
    chosen: list[int] = []
    for clusters in (left[:n_large], left[n_large:]):
        turns = deque(clusters)
        while turns and len(chosen) < n:
            rows = turns.popleft()
            best = int(np.argmax(typicality(X[rows])))
            chosen.append(int(rows[best]))
            if len(rows) > 1:
                turns.append(np.delete(rows, best))
    return np.array(chosen, dtype=np.int64)


def _clusters(X: NDArray[np.float64], n_clusters: int, seed: int) -> NDArray[np.int64]:
    """k-means; fewer clusters than asked for where fewer rows differ."""
    # Slow to import, and most studies start at random.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = KMeans(n_clusters, n_init=_N_INITS, random_state=seed).fit(X)
    return np.asarray(clusters.labels_, dtype=np.int64)
