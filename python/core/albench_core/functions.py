"""Set functions of the selection core."""

from __future__ import annotations

from dataclasses import replace
from typing import Self, TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike

from albench_core import _core
from albench_core import arguments as check
from albench_core.set_function import SetFunction
from albench_core.similarities import Features, HeldFeatures, Similarities

Matrix: TypeAlias = ArrayLike | Similarities
Vector: TypeAlias = ArrayLike | None


class FacilityLocation(SetFunction):
    """Facility location: f(A) = sum_q w_q max(0, max_{a in A} s(a, q) - c_q), negative s counting as 0.

    Monotone submodular: greedy reaches at least 1 - 1/e of the best value (Nemhauser, Wolsey, Fisher 1978).
    Parameters as for `SetFunction`.

    Examples
    --------
    >>> f = FacilityLocation([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> f.commit(0)
    >>> round(f.gain(1), 6), round(f.evaluate([0, 1]), 6)
    (0.7, 1.7)
    """

    def __init__(self, S: Matrix, weights: Vector = None, covered: Vector = None) -> None:
        s = Similarities.given(S)
        w, c = check.vector("weights", weights, s.n_columns), check.covered(covered, s.n_columns)
        self._f = _core.facility_location(s.source(), w, 0.0, None, c, *s.memory, s.n_threads)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: Vector = None,
        *,
        weights: Vector = None,
        covered: Vector = None,
        **features: Unpack[HeldFeatures],
    ) -> Self:
        """Make it without a matrix; see `FacilityLocationVariantMI.from_features`. `Q` None: `X`.

        Examples
        --------
        >>> FacilityLocation.from_features([[1.0, 0.0], [0.0, 1.0]], metric="dot").evaluate([0, 1])
        2.0
        """
        return cls(Similarities.computed(X, X if Q is None else Q, **features), weights, covered)


class FacilityLocationVariantMI(SetFunction):
    """Facility-location variant mutual information between the chosen set and weighted queries.

    f(A; Q) = sum_q w_q max(0, max_{a in A} s(a, q) - c_q) + eta sum_{a in A} max_q s(a, q), negative s counting as 0.
    Monotone submodular, so greedy reaches at least 1 - 1/e of the best value (Kothawade et al., PRISM, AAAI
    2022, who call it FLQMI; submodlib's FacilityLocationVariantMutualInformation; Föllmer et al., MIDL 2024).
    Parameters as for `SetFunction`; a query of weight 0 is not in Q, and some weight is to be > 0.

    Examples
    --------
    >>> FacilityLocationVariantMI([[1.0, 0.5], [0.25, 0.75]], eta=0.5).gain(0)
    2.0
    """

    def __init__(self, S: Matrix, weights: Vector = None, eta: float = 1.0, covered: Vector = None) -> None:
        s = Similarities.given(S)
        w, c = check.vector("weights", weights, s.n_columns), check.covered(covered, s.n_columns)
        if w is not None and not w.all():
            present = check.present("weights", w)
            s, w, c = s.only(present), w[present], None if c is None else c[present]
        e = check.number("eta", eta)
        self._f = _core.facility_location(s.source(), w, e, None, c, *s.memory, s.n_threads)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        weights: Vector = None,
        eta: float = 1.0,
        covered: Vector = None,
        **features: Unpack[HeldFeatures],
    ) -> Self:
        """Make the function from features: similarities are computed when they are looked at.

        Selections are the same, bit for bit, as from ``S = similarity(X, Q, metric, scale)``.

        Parameters
        ----------
        X, Q, metric, scale
            As for `similarity`: metric ``"cosine"`` and no scale by default. `X` is borrowed, and may be a
            `numpy.memmap` larger than memory.
        weights, eta, covered
            As for the class.
        max_memory
            Bytes that similarities may take beside the features: with 4 n q they are held as float32, with
            less as many rows as fit at q + 40 bytes get 8-bit upper bounds, and undecided rows are computed
            again. None: held only where they take at most a quarter of the features and 64 MiB. For cosine and
            dot, what does not fit may take about d + d / 16 + 36 bytes a row for its features in small integers,
            which bound its similarities: up to 256 MiB, or `max_memory` where that is more.
        n_threads
            For the first pass over the features; None: all cores this process may run on.

        Examples
        --------
        >>> X = [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]
        >>> f = FacilityLocationVariantMI.from_features(X, [[0.0, 1.0]], metric="dot")
        >>> [f.gain(i) for i in range(3)]
        [0.0, 2.0, 4.0]
        """
        return cls(Similarities.computed(X, Q, **features), weights, eta, covered)


class FacilityLocationMI(SetFunction):
    """Facility-location mutual information over all items.

    f(A; Q) = sum_i w_i max(0, min(max_{a in A} k(a, i), eta max_q s(i, q)) - c_i), negative similarities counting as 0:
    items are to be represented, but only as far as the queries make them relevant. Monotone submodular in A
    (Kothawade et al., PRISM, AAAI 2022, who call it FLVMI; submodlib's FacilityLocationMutualInformation).

    Parameters
    ----------
    S, eta
        As for `SetFunction`: items by queries.
    ground
        (n, n) similarities among items, candidates in rows.
    weights
        (n,) of the items, finite and >= 0; None: ones.
    covered
        (n,) c, of the items, as for `SetFunction`.

    Examples
    --------
    >>> FacilityLocationMI([[0.75], [0.25]], [[1.0, 0.5], [0.5, 1.0]]).gain(0)
    1.0
    """

    def __init__(
        self, S: Matrix, ground: Matrix, weights: Vector = None, eta: float = 1.0, covered: Vector = None
    ) -> None:
        s = Similarities.given(S)
        n = s.X.shape[0]
        if s.Q is None:
            check.finite("S", s.X)
        if not isinstance(ground, Similarities):
            ground = check.finite("ground", check.matrix("ground", ground, n, n))
        k = Similarities.given(ground)
        w, e, c = check.vector("weights", weights, n), check.number("eta", eta), check.covered(covered, n)
        most = np.finfo(np.float32).max  # what is cut there is cut nowhere
        caps = np.minimum(min(e, 1e200) * np.maximum(s.largest(), 0.0).astype(np.float64), most)
        self._f = _core.facility_location(k.source(), w, 0.0, caps, c, *k.memory, k.n_threads)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        weights: Vector = None,
        eta: float = 1.0,
        covered: Vector = None,
        **features: Unpack[HeldFeatures],
    ) -> Self:
        """Make the function without matrices; see `FacilityLocationVariantMI.from_features`.

        Examples
        --------
        >>> f = FacilityLocationMI.from_features([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], metric="dot")
        >>> f.gain(0), f.gain(1)
        (1.0, 0.0)
        """
        s, ground = Similarities.computed(X, Q, **features), Similarities.computed(X, X, **features)
        return cls(s, ground, weights, eta, covered)


class GraphCutMI(SetFunction):
    """Graph-cut mutual information: f(A; Q) = 2 lam sum_{a in A} sum_q w_q s(a, q).

    Modular: the gains are fixed and greedy finds the best set (Kothawade et al., PRISM, AAAI 2022).

    Parameters
    ----------
    S, weights
        As for `SetFunction`.
    lam
        Finite and >= 0.
    negative
        What negative similarities count: ``"clip"``: 0, as in the other functions; ``"keep"``: what they are, as in
        PRISM and submodlib. Gains may then be negative, and the set has `budget` members all the same.

    Examples
    --------
    >>> GraphCutMI([[0.5, 0.25], [1.0, -1.0]], negative="keep").evaluate([0, 1])
    1.5
    """

    def __init__(self, S: Matrix, weights: Vector = None, lam: float = 1.0, negative: str = "clip") -> None:
        s = Similarities.given(S)
        w = check.vector("weights", weights, s.n_columns)
        clip = check.choice("negative", negative, ("clip", "keep")) == "clip"
        self._f = _core.graph_cut(s.source(), w, check.number("lam", lam), clip, s.n_threads)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        weights: Vector = None,
        lam: float = 1.0,
        negative: str = "clip",
        **features: Unpack[Features],
    ) -> Self:
        """Make the function in one pass over the features, in memory O(n); keywords as for `similarity`.

        Examples
        --------
        >>> GraphCutMI.from_features([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0]], metric="dot").gain(1)
        2.0
        """
        return cls(Similarities.computed(X, Q, **features), weights, lam, negative)


class ConcaveOverModular(SetFunction):
    """Concave over modular: query relevance with diminishing returns on both sides.

    f(A; Q) = eta sum_{a in A} psi(sum_q w_q s(a, q)) + sum_q w_q psi(sum_{a in A} s(a, q)), negative s
    counting as 0. Monotone submodular (Kothawade et al., PRISM, AAAI 2022).

    Parameters
    ----------
    S, weights, eta
        As for `SetFunction`.
    concave
        psi: ``"sqrt"``, ``"log"`` (log(1 + x)) or ``"inverse"`` (x / (1 + x)).

    Examples
    --------
    >>> ConcaveOverModular([[1.0, 3.0], [4.0, 0.0]], concave="inverse", eta=0.0).evaluate([0])
    1.25
    """

    def __init__(self, S: Matrix, weights: Vector = None, eta: float = 1.0, concave: str = "sqrt") -> None:
        s = Similarities.given(S)
        w, e = check.vector("weights", weights, s.n_columns), check.number("eta", eta)
        psi = check.choice("concave", concave, ("sqrt", "log", "inverse"))
        self._f = _core.concave_over_modular(s.source(), w, e, psi, s.n_threads)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        weights: Vector = None,
        eta: float = 1.0,
        concave: str = "sqrt",
        **features: Unpack[Features],
    ) -> Self:
        """Make it without a matrix: rows are computed whenever they are looked at; keywords as for `similarity`.

        Examples
        --------
        >>> f = ConcaveOverModular.from_features([[1.0, 0.0], [0.0, 4.0]], [[0.0, 1.0]], metric="dot")
        >>> f.gain(0), f.gain(1)
        (0.0, 4.0)
        """
        return cls(Similarities.computed(X, Q, **features), weights, eta, concave)


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
        As for `SetFunction`: kernel between candidates and queries.
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
    >>> f = LogDeterminantMI([[0.5]], [[1.0]], [[1.0]])
    >>> round(f.evaluate([0]), 4)
    0.0645
    """

    submodular = False

    def __init__(
        self, S: Matrix, ground: ArrayLike, queries: ArrayLike, eta: float = 1.0, regularization: float = 1.0
    ) -> None:
        s = Similarities.given(S)
        if s.Q is None:
            among = check.kernel("ground", ground, s.X.shape[0])
            between = check.kernel("queries", queries, s.n_columns)
        else:
            among, between = s.X, replace(s, X=s.Q).matrix()
        e, r = check.number("eta", eta, 0.0, 1.0), check.positive("regularization", regularization)
        self._f = _core.log_determinant(s.source(), among, between, s.metric, s.scale, e, r, s.n_threads)

    @classmethod
    def from_features(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        *,
        eta: float = 1.0,
        regularization: float = 1.0,
        **features: Unpack[Features],
    ) -> Self:
        """Make the function without the (n, n) kernel, in memory O(n (q + budget)).

        The metric must give a positive semidefinite kernel: cosine, dot and rbf do.

        Examples
        --------
        >>> f = LogDeterminantMI.from_features([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], metric="dot")
        >>> round(f.gain(0), 4), round(f.gain(1), 4)
        (0.2877, 0.0)
        """
        s = Similarities.computed(X, Q, **features)
        if s.metric == "euclidean":
            raise check.wrong("metric", "a positive semidefinite kernel: cosine, dot or rbf", repr(s.metric))
        return cls(s, X, Q, eta, regularization)
