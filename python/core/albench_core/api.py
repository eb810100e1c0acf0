"""Similarities and the choice of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench_core import _core
from albench_core import arguments as check
from albench_core.set_function import SetFunction

OPTIMIZERS = ("lazy", "naive", "stochastic", "lazier")


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

    Examples
    --------
    >>> similarity([[3.0, 4.0], [0.0, 0.0]], [[1.0, 0.0]]).tolist()
    [[0.6000000238418579], [0.0]]
    """
    rows, queries = check.pair(X, Q)
    factors = check.vector("scale", scale, rows.shape[1])
    return _core.similarity(rows, queries, check.metric(metric), factors, check.threads(n_threads))


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
    bound
        What no set of so many has more than; None where it was not asked for: `maximize_sharded` computes it.

    Examples
    --------
    >>> chosen = maximize(FacilityLocation([[1.0, 0.0], [0.5, 0.75], [0.25, 0.5]]), budget=2)
    >>> chosen.indices, chosen.gains, chosen.value
    (array([1, 0]), array([1.25, 0.5 ]), 1.75)
    """

    indices: NDArray[np.int64]
    gains: NDArray[np.float64]
    value: float
    bound: float | None = None


def maximize(
    f: SetFunction,
    budget: int,
    optimizer: str = "lazy",
    epsilon: float = 0.01,
    seed: int = 0,
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
        ``"naive"`` evaluates every candidate in every step. ``"lazy"`` (Minoux 1978) gives the same indices
        and gains from a fraction of the evaluations. ``"stochastic"`` (Mirzasoleiman et al., AAAI 2015)
        evaluates a uniform sample, drawn without replacement, of (n / budget) ln(1 / epsilon) candidates in
        every step: 1 - 1/e - epsilon in expectation. ``"lazier"`` gives the choice of ``"stochastic"`` from
        fewer evaluations. ``"lazy"`` and ``"lazier"`` refuse functions that are not submodular.
    epsilon
        In (0, 1); read by the two sampling optimisers only.
    seed
        0..2^64 - 1; read by the two sampling optimisers only.
    n_threads
        None: all cores this process may run on. The result does not depend on it.
    candidates
        Distinct indices to choose from; None: all.
    callback
        Called as callback(n_chosen, index, gain) after every choice; returning False ends with the choice so
        far, an exception is passed on (the function is then reset).

    Raises
    ------
    ValueError
        Names the argument, what was expected and found.

    Examples
    --------
    >>> chosen = maximize(FacilityLocation([[0.5, 0.0], [0.0, 1.0], [0.5, 0.5]]), budget=2)
    >>> chosen.indices.tolist(), chosen.gains.tolist(), chosen.value
    ([1, 0], [1.0, 0.5], 1.5)
    """
    if not isinstance(f, SetFunction):
        raise check.wrong("f", "a set function of albench_core", type(f).__name__)
    name = check.choice("optimizer", optimizer, OPTIMIZERS)
    if name in ("lazy", "lazier") and not f.submodular:
        raise check.wrong("optimizer", f"naive or stochastic for {type(f).__name__}", repr(name))
    if candidates is None:
        pool = np.arange(f.n, dtype=np.int64)
    else:
        pool = np.sort(check.indices("candidates", candidates, f.n))
        if pool.size == 0:
            raise check.wrong("candidates", "at least one index", "none")
    if callback is not None and not callable(callback):
        raise check.wrong("callback", "a callable or None", type(callback).__name__)
    k = check.integer("budget", budget, 1, int(pool.size))
    e = check.positive("epsilon", epsilon)
    if e >= 1:
        raise check.wrong("epsilon", "a number in (0, 1)", epsilon)
    s = check.integer("seed", seed, 0, 2**64 - 1)
    selected = _core.maximize(f._f, k, name, e, s, pool, callback, check.threads(n_threads))
    return Selection(*selected)


def kcenter_greedy(
    X: ArrayLike, budget: int, labelled: ArrayLike | None = None, n_threads: int | None = None
) -> NDArray[np.int64]:
    """k-centre greedy: each step takes the row farthest (Euclidean) from all taken and labelled ones.

    Farthest-first traversal (Gonzalez 1985), within twice the best radius; CoreSet of Sener and Savarese
    (ICLR 2018).

    Parameters
    ----------
    X
        (n, d), kinds as for `similarity`.
    budget
        1..number of rows that are not labelled.
    labelled
        Centres to begin with: a list of row indices of `X`, which are never chosen, or features (m, d). None
        or empty: the first choice is row 0, as all rows are equally far from nothing.

    Returns
    -------
    (budget,) int64, in order of choice; ties go to the lowest index.

    Examples
    --------
    >>> kcenter_greedy([[0.0], [1.0], [5.0], [9.0]], 2, labelled=[0]).tolist()
    [3, 2]
    """
    rows = check.features("X", X)
    taken = np.empty(0, dtype=np.int64)
    centres = None
    given = taken if labelled is None else check.plain("labelled", labelled)
    if given.ndim == 2:
        if given.shape[0] > 0:
            centres = check.features("labelled", given)
            if centres.shape[1] != rows.shape[1]:
                raise check.wrong("labelled", f"shape (m, {rows.shape[1]})", f"shape {centres.shape}")
    else:
        taken = check.indices("labelled", given, rows.shape[0])
        if taken.size == rows.shape[0]:
            raise check.wrong("labelled", f"fewer than {rows.shape[0]} indices", taken.size)
    k = check.integer("budget", budget, 1, rows.shape[0] - int(taken.size))
    return _core.kcenter_greedy(rows, k, centres, taken, check.threads(n_threads))


def kmeans_plusplus(X: ArrayLike, budget: int, rng_seed: int = 0, n_threads: int | None = None) -> NDArray[np.int64]:
    """k-means++ seeding: rows drawn with probability proportional to their squared distance to those taken.

    The first is the row of largest norm, as in BADGE (Ash et al., ICLR 2020; Arthur and Vassilvitskii, SODA
    2007). Where all that is left coincides with taken rows, the lowest index.

    Parameters
    ----------
    X
        (n, d), kinds as for `similarity`.
    budget
        1..n.
    rng_seed
        0..2^64 - 1.

    Returns
    -------
    (budget,) int64 distinct, in order of choice.

    Examples
    --------
    >>> kmeans_plusplus([[0.0], [2.0], [2.0]], 2).tolist()
    [1, 0]
    """
    rows = check.features("X", X)
    k = check.integer("budget", budget, 1, rows.shape[0])
    seed = check.integer("rng_seed", rng_seed, 0, 2**64 - 1)
    return _core.kmeans_plusplus(rows, k, seed, check.threads(n_threads))
