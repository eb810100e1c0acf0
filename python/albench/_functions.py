"""Set functions of the selection core (public as `albench.core`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench import _arrays as check
from albench import _core

if TYPE_CHECKING:
    from typing import Self

# A given matrix may get an 8-bit copy of at most this many bytes: it speeds lazy greedy up several times.
SHADOW_BYTES = 512 * 2**20
# Without `max_memory`, similarities are held only where they are small beside the features.
SMALL_BYTES = 64 * 2**20


class SetFunction:
    """A set function over the ground set 0..n-1, with a memo of the set committed so far.

    Attributes
    ----------
    submodular
        Whether gains never rise while the set grows. Optimisers that rely on it refuse other functions.

    Examples
    --------
    >>> f = FacilityLocation([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> f.n, f.submodular
    (3, True)
    """

    _f: _core.Function
    submodular: bool = True

    @property
    def n(self) -> int:
        """Size of the ground set."""
        return self._f.size

    def gain(self, i: int) -> float:
        """Gain f(A + i) - f(A) for the committed set A; 0 for a member.

        Examples
        --------
        >>> FacilityLocation([[1.0, 0.0], [0.5, 0.75]]).gain(1)
        1.25
        """
        return self._f.gain(check.integer("i", i, 0, self.n - 1))

    def commit(self, i: int) -> None:
        """Add `i` to the committed set; adding a member changes nothing.

        Examples
        --------
        >>> f = FacilityLocation([[1.0, 0.0], [0.5, 0.75]])
        >>> f.commit(0)
        >>> f.gain(1)
        0.75
        """
        self._f.commit(check.integer("i", i, 0, self.n - 1))

    def reset(self) -> None:
        """Empty the committed set.

        Examples
        --------
        >>> f = FacilityLocation([[1.0, 0.0], [0.5, 0.75]])
        >>> f.commit(0)
        >>> f.reset()
        >>> f.gain(1)
        1.25
        """
        self._f.reset()

    def evaluate(self, indices: ArrayLike) -> float:
        """Value of any set of distinct indices, from the definition; leaves the committed set alone.

        Examples
        --------
        >>> FacilityLocation([[1.0, 0.0], [0.5, 0.75]]).evaluate([0, 1])
        1.75
        """
        return self._f.evaluate(check.indices("indices", indices, self.n))

    @classmethod
    def _made(cls, f: _core.Function) -> Self:
        made = cls.__new__(cls)
        made._f = f
        return made


def _memory(held: int | None, X: NDArray[Any], q: int) -> int:
    """Bytes that similarities made from features may take."""
    if held is not None:
        return check.integer("max_memory", held, 0, 2**62)
    size = 4 * X.shape[0] * q
    return size if size <= min(SMALL_BYTES, X.nbytes // 4) else 0


def _pair(X: ArrayLike, Q: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    rows, queries = check.features("X", X), check.features("Q", Q)
    if rows.shape[1] != queries.shape[1]:
        raise check.wrong("Q", f"shape (q, {rows.shape[1]})", f"shape {queries.shape}")
    return rows, queries


def _source(X: NDArray[Any], Q: NDArray[Any], metric: str, scale: ArrayLike | None, n_threads: int) -> _core.Source:
    factors = check.vector("scale", scale, X.shape[1])
    return _core.Source(X, Q, check.metric(metric), factors, n_threads)


class FacilityLocation(SetFunction):
    """Facility location: f(A) = sum_q w_q max_{a in A} s(a, q), negative s counting as 0.

    Monotone submodular: greedy reaches at least 1 - 1/e of the best value (Nemhauser, Wolsey, Fisher 1978).

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite: candidates by represented items. C-contiguous float32 is borrowed,
        anything else copied.
    weights
        (q,) finite and >= 0; None: ones.

    Examples
    --------
    >>> FacilityLocation([[1.0, 0.0], [0.5, 0.75]], weights=[1, 2]).gain(1)
    2.0
    """

    def __init__(self, S: ArrayLike, weights: ArrayLike | None = None) -> None:
        matrix = check.matrix("S", S)
        w = check.vector("weights", weights, matrix.shape[1])
        source = _core.Source(matrix)
        self._f = _core.facility_location(source, w, 0.0, None, 0, SHADOW_BYTES, check.threads(None))

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike | None = None,
        *,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        max_memory: int | None = None,
        n_threads: int | None = None,
    ) -> Self:
        """Make it without a matrix; see `FacilityLocationVariantMI.from_features`. `Q` None: `X`.

        Examples
        --------
        >>> FacilityLocation.from_features([[1.0, 0.0], [0.0, 1.0]], metric="dot").evaluate([0, 1])
        2.0
        """
        rows, queries = _pair(X, X if Q is None else Q)
        w = check.vector("weights", weights, queries.shape[0])
        memory, t = _memory(max_memory, rows, queries.shape[0]), check.threads(n_threads)
        source = _source(rows, queries, metric, scale, t)
        return cls._made(_core.facility_location(source, w, 0.0, None, memory, memory, t))


class FacilityLocationVariantMI(SetFunction):
    """Facility-location variant mutual information between the chosen set and weighted queries.

    f(A; Q) = sum_q w_q max_{a in A} s(a, q) + eta sum_{a in A} max_q s(a, q), negative s counting as 0.
    Monotone submodular, so greedy reaches at least 1 - 1/e of the best value (Kothawade et al., PRISM, AAAI
    2022, who call it FLQMI; submodlib's FacilityLocationVariantMutualInformation; Föllmer et al., MIDL 2024).

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite: candidates by queries. C-contiguous float32 is borrowed, anything
        else copied.
    weights
        (q,) finite and >= 0, some > 0: multiplicities of the queries. A query of weight 0 is not in Q. None:
        ones.
    eta
        Finite and >= 0.

    Examples
    --------
    >>> f = FacilityLocationVariantMI([[1.0, 0.0], [0.5, 0.75]], eta=1.0)
    >>> f.gain(0), f.gain(1)
    (2.0, 2.0)
    """

    def __init__(self, S: ArrayLike, weights: ArrayLike | None = None, eta: float = 1.0) -> None:
        matrix = check.matrix("S", S)
        w = check.vector("weights", weights, matrix.shape[1])
        if w is not None and not w.all():
            present = check.present("weights", w)
            matrix, w = np.ascontiguousarray(matrix[:, present]), w[present]
        source = _core.Source(matrix)
        e = check.number("eta", eta)
        self._f = _core.facility_location(source, w, e, None, 0, SHADOW_BYTES, check.threads(None))

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        eta: float = 1.0,
        max_memory: int | None = None,
        n_threads: int | None = None,
    ) -> Self:
        """Make the function from features: similarities are computed when they are looked at.

        Selections are the same, bit for bit, as from ``S = similarity(X, Q, metric, scale)``.

        Parameters
        ----------
        X, Q, metric, scale
            As for `similarity`. `X` is borrowed, and may be a `numpy.memmap` larger than memory.
        weights, eta
            As for the class.
        max_memory
            Bytes that similarities may take beside the features: with 4 n q they are held as float32, with
            less as many rows as fit at q + 40 bytes get 8-bit upper bounds, and undecided rows are computed
            again. None: held only where they take at most a quarter of the features and 64 MiB.
        n_threads
            For the first pass over the features; None: all cores this process may run on.

        Examples
        --------
        >>> X = [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]
        >>> f = FacilityLocationVariantMI.from_features(X, [[0.0, 1.0]], metric="dot")
        >>> [f.gain(i) for i in range(3)]
        [0.0, 2.0, 4.0]
        """
        rows, queries = _pair(X, Q)
        w = check.vector("weights", weights, queries.shape[0])
        if w is not None and not w.all():
            present = check.present("weights", w)
            queries, w = queries[present], w[present]
        e, t = check.number("eta", eta), check.threads(n_threads)
        memory = _memory(max_memory, rows, queries.shape[0])
        source = _source(rows, queries, metric, scale, t)
        return cls._made(_core.facility_location(source, w, e, None, memory, memory, t))


class FacilityLocationMI(SetFunction):
    """Facility-location mutual information over all items.

    f(A; Q) = sum_i w_i min(max_{a in A} k(a, i), eta max_q s(i, q)), negative similarities counting as 0:
    items are to be represented, but only as far as the queries make them relevant. Monotone submodular in A
    (Kothawade et al., PRISM, AAAI 2022, who call it FLVMI; submodlib's FacilityLocationMutualInformation).

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite: items by queries.
    ground
        (n, n) similarities among items, candidates in rows.
    weights
        (n,) of the items, finite and >= 0; None: ones.
    eta
        Finite and >= 0.

    Examples
    --------
    >>> f = FacilityLocationMI([[1.0], [0.25]], ground=[[1.0, 0.5], [0.5, 1.0]])
    >>> f.gain(0), f.gain(1)
    (1.25, 0.75)
    """

    def __init__(self, S: ArrayLike, ground: ArrayLike, weights: ArrayLike | None = None, eta: float = 1.0) -> None:
        matrix = check.finite("S", check.matrix("S", S))
        kernel = check.matrix("ground", ground, matrix.shape[0], matrix.shape[0])
        check.finite("ground", kernel)
        w = check.vector("weights", weights, matrix.shape[0])
        caps = check.number("eta", eta) * np.maximum(matrix.max(axis=1), 0.0).astype(np.float64)
        source = _core.Source(kernel)
        self._f = _core.facility_location(source, w, 0.0, caps, 0, SHADOW_BYTES, check.threads(None))

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        eta: float = 1.0,
        max_memory: int | None = None,
        n_threads: int | None = None,
    ) -> Self:
        """Make the function without matrices; see `FacilityLocationVariantMI.from_features`.

        Examples
        --------
        >>> f = FacilityLocationMI.from_features([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], metric="dot")
        >>> f.gain(0), f.gain(1)
        (1.0, 0.0)
        """
        rows, queries = _pair(X, Q)
        w = check.vector("weights", weights, rows.shape[0])
        e, t = check.number("eta", eta), check.threads(n_threads)
        factors, name = check.vector("scale", scale, rows.shape[1]), check.metric(metric)
        block = max(1, SMALL_BYTES // (4 * queries.shape[0]))
        relevance = [
            _core.similarity(rows[i : i + block], queries, name, factors, t).max(axis=1)
            for i in range(0, rows.shape[0], block)
        ]
        caps = e * np.maximum(np.concatenate(relevance), 0.0).astype(np.float64)
        memory = _memory(max_memory, rows, rows.shape[0])
        source = _source(rows, rows, name, factors, t)
        return cls._made(_core.facility_location(source, w, 0.0, caps, memory, memory, t))


class GraphCutMI(SetFunction):
    """Graph-cut mutual information: f(A; Q) = 2 lam sum_{a in A} sum_q w_q s(a, q).

    Modular: the gains are fixed and greedy finds the best set (Kothawade et al., PRISM, AAAI 2022).

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite.
    weights
        (q,) finite and >= 0; None: ones.
    lam
        Finite and >= 0.
    negative
        What negative similarities count: ``"clip"``: 0, as in the other functions; ``"keep"``: what they are, as in
        PRISM and submodlib. Gains may then be negative, and the set has `budget` members all the same.

    Examples
    --------
    >>> f = GraphCutMI([[1.0, -0.5], [0.25, 0.25]])
    >>> f.gain(0), f.gain(1)
    (2.0, 1.0)
    >>> GraphCutMI([[1.0, -0.5], [0.25, 0.25]], negative="keep").gain(0)
    1.0
    """

    def __init__(
        self, S: ArrayLike, weights: ArrayLike | None = None, lam: float = 1.0, negative: str = "clip"
    ) -> None:
        matrix = check.matrix("S", S)
        w = check.vector("weights", weights, matrix.shape[1])
        clip = check.choice("negative", negative, ("clip", "keep")) == "clip"
        self._f = _core.graph_cut(_core.Source(matrix), w, check.number("lam", lam), clip, check.threads(None))

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        lam: float = 1.0,
        negative: str = "clip",
        n_threads: int | None = None,
    ) -> Self:
        """Make the function in one pass over the features, in memory O(n).

        Examples
        --------
        >>> GraphCutMI.from_features([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0]], metric="dot").gain(1)
        2.0
        """
        rows, queries = _pair(X, Q)
        w = check.vector("weights", weights, queries.shape[0])
        t = check.threads(n_threads)
        source = _source(rows, queries, metric, scale, t)
        clip = check.choice("negative", negative, ("clip", "keep")) == "clip"
        return cls._made(_core.graph_cut(source, w, check.number("lam", lam), clip, t))


class ConcaveOverModular(SetFunction):
    """Concave over modular: query relevance with diminishing returns on both sides.

    f(A; Q) = eta sum_{a in A} psi(sum_q w_q s(a, q)) + sum_q w_q psi(sum_{a in A} s(a, q)), negative s
    counting as 0. Monotone submodular (Kothawade et al., PRISM, AAAI 2022).

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite.
    weights
        (q,) finite and >= 0; None: ones.
    eta
        Finite and >= 0.
    concave
        psi: ``"sqrt"``, ``"log"`` (log(1 + x)) or ``"inverse"`` (x / (1 + x)).

    Examples
    --------
    >>> f = ConcaveOverModular([[1.0], [4.0]])
    >>> f.gain(0), f.gain(1)
    (2.0, 4.0)
    """

    def __init__(
        self,
        S: ArrayLike,
        weights: ArrayLike | None = None,
        eta: float = 1.0,
        concave: str = "sqrt",
    ) -> None:
        matrix = check.matrix("S", S)
        w, e = check.vector("weights", weights, matrix.shape[1]), check.number("eta", eta)
        psi = check.choice("concave", concave, ("sqrt", "log", "inverse"))
        self._f = _core.concave_over_modular(_core.Source(matrix), w, e, psi, check.threads(None))

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        eta: float = 1.0,
        concave: str = "sqrt",
        n_threads: int | None = None,
    ) -> Self:
        """Make the function without a matrix; rows are computed again whenever they are looked at.

        Examples
        --------
        >>> f = ConcaveOverModular.from_features([[1.0, 0.0], [0.0, 4.0]], [[0.0, 1.0]], metric="dot")
        >>> f.gain(0), f.gain(1)
        (0.0, 4.0)
        """
        rows, queries = _pair(X, Q)
        w, e = check.vector("weights", weights, queries.shape[0]), check.number("eta", eta)
        psi, t = check.choice("concave", concave, ("sqrt", "log", "inverse")), check.threads(n_threads)
        source = _source(rows, queries, metric, scale, t)
        return cls._made(_core.concave_over_modular(source, w, e, psi, t))


class LogDeterminantMI(SetFunction):
    """Log-determinant mutual information.

    f(A; Q) = log det(K_A + r I) - log det(K_A + r I - eta^2 K_AQ (K_Q + r I)^-1 K_QA): with eta = 1 twice the
    mutual information of Gaussian variables with covariance K + r I (Kothawade et al., PRISM, AAAI 2022).
    Monotone, but not submodular in general: greedy reaches 1 - exp(-gamma) of the best value, gamma being the
    submodularity ratio (Das and Kempe, ICML 2011). Hence only ``"naive"`` and ``"stochastic"`` accept it; for
    the latter no bound is known beyond that of its samples.

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite: kernel between candidates and queries.
    ground
        (n, n) symmetric positive semidefinite kernel among candidates.
    queries
        (q, q) the same among queries.
    eta
        0..1: more would break positive definiteness.
    regularization
        r > 0.

    Examples
    --------
    >>> f = LogDeterminantMI([[1.0], [0.0]], ground=[[1.0, 0.0], [0.0, 1.0]], queries=[[1.0]])
    >>> round(f.gain(0), 4), round(f.gain(1), 4)
    (0.2877, 0.0)
    """

    submodular = False

    def __init__(
        self,
        S: ArrayLike,
        ground: ArrayLike,
        queries: ArrayLike,
        eta: float = 1.0,
        regularization: float = 1.0,
    ) -> None:
        matrix = check.matrix("S", S)
        n, q = matrix.shape
        among = check.finite("ground", check.matrix("ground", ground, n, n))
        between = check.finite("queries", check.matrix("queries", queries, q, q))
        check.symmetric("ground", among)
        check.symmetric("queries", between)
        e, r = check.number("eta", eta, 0.0, 1.0), check.positive("regularization", regularization)
        source, t = _core.Source(matrix), check.threads(None)
        self._f = _core.log_determinant(source, among, between, "dot", None, e, r, t)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        eta: float = 1.0,
        regularization: float = 1.0,
        n_threads: int | None = None,
    ) -> Self:
        """Make the function without the (n, n) kernel, in memory O(n (q + budget)).

        The metric must give a positive semidefinite kernel: cosine, dot and rbf do.

        Examples
        --------
        >>> f = LogDeterminantMI.from_features([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], metric="dot")
        >>> round(f.gain(0), 4), round(f.gain(1), 4)
        (0.2877, 0.0)
        """
        rows, queries = _pair(X, Q)
        name = check.metric(metric)
        if name == "euclidean":
            raise check.wrong("metric", "a positive semidefinite kernel: cosine, dot or rbf", repr(metric))
        e, r = check.number("eta", eta, 0.0, 1.0), check.positive("regularization", regularization)
        t = check.threads(n_threads)
        factors = check.vector("scale", scale, rows.shape[1])
        source = _source(rows, queries, name, factors, t)
        between = _core.similarity(queries, queries, name, factors, t)
        return cls._made(_core.log_determinant(source, rows, between, name, factors, e, r, t))
