"""Selection core: similarities, submodular set functions, greedy maximisation; NumPy arrays in and out.

Guarantees: ties go to the lowest index; lazy greedy returns the indices and gains of naive greedy, bit for
bit; the same input gives the same output at any number of threads. Needs nothing but NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench import _arrays as check
from albench import _core

METRICS = ("cosine", "dot", "euclidean", "rbf")


def similarity(
    X: ArrayLike,
    Q: ArrayLike,
    metric: str = "cosine",
    scale: ArrayLike | None = None,
    n_threads: int | None = None,
) -> NDArray[np.float32]:
    """Similarity of every row of `X` to every row of `Q`.

    Parameters
    ----------
    X
        (n, d) float16, bfloat16 (also as uint16), float32 or float64; any strides, read-only or
        memory-mapped.
    Q
        (q, d), as `X`.
    metric
        With scale sigma (ones where none is given) and D^2 = sum_k sigma_k (x_k - q_k)^2:

        ``"cosine"``: sum sigma x q / sqrt(sum sigma x^2 * sum sigma q^2), 0 where either vector is zero;
        ``"dot"``: sum sigma x q, which with sigma = 1 / (P F) is the Fisher similarity;
        ``"euclidean"``: exp(-D / d); ``"rbf"``: exp(-D^2 / d).
    scale
        (d,) finite and >= 0.
    n_threads
        None: all cores this process may run on. The result does not depend on it.

    Returns
    -------
    (n, q) float32, C-contiguous.

    Raises
    ------
    ValueError
        Wrong shape, dtype or metric, NaN or infinity: names the argument, what was expected and found.
    """
    rows, queries = check.features("X", X), check.features("Q", Q)
    if rows.shape[1] != queries.shape[1]:
        raise check.wrong("Q", f"shape (q, {rows.shape[1]})", f"shape {queries.shape}")
    if metric not in METRICS:
        raise check.wrong("metric", f"one of {', '.join(METRICS)}", repr(metric))
    factors = check.vector("scale", scale, rows.shape[1])
    return _core.similarity(rows, queries, metric, factors, check.threads(n_threads))


class SetFunction:
    """A monotone set function over a ground set 0..n-1, with a memo of the set committed so far."""

    _f: _core.Function

    @property
    def n(self) -> int:
        """Size of the ground set."""
        return self._f.size

    def gain(self, i: int) -> float:
        """Gain f(A + i) - f(A) for the committed set A."""
        return self._f.gain(check.integer("i", i, 0, self.n - 1))

    def commit(self, i: int) -> None:
        """Add `i` to the committed set."""
        self._f.commit(check.integer("i", i, 0, self.n - 1))

    def reset(self) -> None:
        """Empty the committed set."""
        self._f.reset(check.threads(None))

    def evaluate(self, indices: ArrayLike) -> float:
        """Value of any set of distinct indices, from the definition; leaves the committed set alone."""
        return self._f.evaluate(check.indices("indices", indices, self.n))


class FacilityLocationVariantMI(SetFunction):
    """Facility-location variant mutual information between the chosen set and weighted queries.

    f(A; Q) = sum_q w_q max_{a in A} s(a, q) + eta sum_{a in A} max_q s(a, q), negative s counting as 0.
    Monotone submodular, so greedy reaches at least 1 - 1/e of the best value (Kothawade et al., PRISM, AAAI
    2022; Föllmer et al., MIDL 2024).

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite. C-contiguous float32 is borrowed, anything else copied.
    weights
        (q,) finite and >= 0, e.g. multiplicities of queries; None: ones.
    eta
        Finite and >= 0.
    """

    def __init__(self, S: ArrayLike, weights: ArrayLike | None = None, eta: float = 1.0) -> None:
        matrix = check.matrix("S", S)
        w = check.vector("weights", weights, matrix.shape[1])
        self._f = _core.facility_location(matrix, w, check.number("eta", eta), check.threads(None))


@dataclass(frozen=True, eq=False)
class Selection:
    """What `maximize` chose.

    Attributes
    ----------
    indices
        (k,) int64, in order of choice.
    gains
        (k,) float64, the gain of each when it was chosen.
    value
        f of the whole set, from its definition.
    """

    indices: NDArray[np.int64]
    gains: NDArray[np.float64]
    value: float


def maximize(  # noqa: PLR0917 (the order is part of the public interface)
    f: SetFunction,
    budget: int,
    optimizer: str = "lazy",
    n_threads: int | None = None,
    candidates: ArrayLike | None = None,
    callback: Callable[[int, int, float], object] | None = None,
) -> Selection:
    """Greedy maximisation of `f` under a cardinality constraint.

    Parameters
    ----------
    f
        Set function; reset first, and left with the choice committed.
    budget
        Number of elements to choose, 1..number of candidates.
    optimizer
        ``"naive"`` evaluates every candidate in every step; ``"lazy"`` (Minoux 1978) gives the same indices
        and gains from a fraction of the evaluations.
    n_threads
        None: all cores this process may run on. The result does not depend on it.
    candidates
        Distinct indices to choose from; None: all.
    callback
        Called as callback(n_chosen, index, gain) after every choice; returning False ends with the choice so
        far, an exception is passed on.

    Raises
    ------
    ValueError
        Names the argument, what was expected and found.
    """
    if not isinstance(f, SetFunction):
        raise check.wrong("f", "a set function of albench.core", type(f).__name__)
    if optimizer not in ("lazy", "naive"):
        raise check.wrong("optimizer", "'lazy' or 'naive'", repr(optimizer))
    if candidates is None:
        pool = np.arange(f.n, dtype=np.int64)
    else:
        pool = np.sort(check.indices("candidates", candidates, f.n))
        if pool.size == 0:
            raise check.wrong("candidates", "at least one index", "none")
    k = check.integer("budget", budget, 1, int(pool.size))
    found = _core.maximize(f._f, k, optimizer, pool, callback, check.threads(n_threads))
    return Selection(*found)
