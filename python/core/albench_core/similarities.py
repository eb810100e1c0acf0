"""Where a set function's similarities come from: a matrix, or features from which they are computed when looked at."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench_core import _core
from albench_core import arguments as check

# A given matrix may get an 8-bit copy of at most this many bytes: it speeds lazy greedy up several times.
BOUND_BYTES = 512 * 2**20
# Without `max_memory`, similarities are held only where they are small beside the features.
SMALL_BYTES = 64 * 2**20


class Features(TypedDict, total=False):
    """Keywords of every `from_features`."""

    metric: str
    scale: ArrayLike | None
    n_threads: int | None


class HeldFeatures(Features, total=False):
    """Keywords of `from_features` where similarities may be held."""

    max_memory: int | None


def spell_out(make: Callable[..., object]) -> None:
    """Replace ``**features`` in the signature that a function shows by the keywords that it takes."""
    shown = inspect.signature(make)
    own = list(shown.parameters.values())
    names = HeldFeatures if "HeldFeatures" in str(own[-1].annotation) else Features
    every = inspect.signature(Similarities.computed).parameters
    taken = [
        every[name].replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name in every
        if name in names.__required_keys__ | names.__optional_keys__
    ]
    make.__signature__ = shown.replace(parameters=[*own[:-1], *taken])  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class Similarities:
    """Similarities (n, q): the matrix `X` where `Q` is None, else those of features `X` (n, d) to `Q` (q, d)."""

    X: NDArray[Any]
    Q: NDArray[Any] | None
    metric: str
    scale: NDArray[np.float64] | None
    n_threads: int
    max_memory: int | None = None

    @staticmethod
    def given(S: ArrayLike | Similarities) -> Similarities:
        """Take a matrix, or what `computed` made."""
        if isinstance(S, Similarities):
            return S
        return Similarities(check.matrix("S", S), None, "dot", None, check.threads(None))

    @classmethod
    def computed(
        cls,
        X: ArrayLike,
        Q: ArrayLike,
        metric: str = "cosine",
        scale: ArrayLike | None = None,
        n_threads: int | None = None,
        max_memory: int | None = None,
    ) -> Self:
        """Take features; nothing is computed yet."""
        rows, queries = check.pair(X, Q)
        factors = check.vector("scale", scale, rows.shape[1])
        held = None if max_memory is None else check.integer("max_memory", max_memory, 0, 2**62)
        return cls(rows, queries, check.metric(metric), factors, check.threads(n_threads), held)

    @property
    def n_columns(self) -> int:
        """Number of columns q."""
        return int(self.X.shape[1] if self.Q is None else self.Q.shape[0])

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes for similarities that are held, and for 8-bit bounds on gains."""
        if self.Q is None:
            return 0, BOUND_BYTES
        size = 4 * self.X.shape[0] * self.n_columns
        small = size if size <= min(SMALL_BYTES, self.X.nbytes // 4) else 0
        return (small, small) if self.max_memory is None else (self.max_memory, self.max_memory)

    def only(self, columns: NDArray[np.intp]) -> Self:
        """Leave all other columns out."""
        if self.Q is None:
            return replace(self, X=np.ascontiguousarray(self.X[:, columns]))
        return replace(self, Q=self.Q[columns])

    def matrix(self) -> NDArray[np.float32]:
        """All similarities."""
        return self.X if self.Q is None else _core.similarity(self.X, self.Q, self.metric, self.scale, self.n_threads)

    def largest(self) -> NDArray[np.float32]:
        """(n,) largest similarity of each row."""
        block = max(1, SMALL_BYTES // (4 * self.n_columns))
        parts = [replace(self, X=self.X[i : i + block]) for i in range(0, self.X.shape[0], block)]
        return np.concatenate([part.matrix().max(axis=1) for part in parts])

    def source(self) -> _core.Source:
        """Similarities as the extension takes them."""
        if self.Q is None:
            return _core.matrix_source(self.X)
        return _core.feature_source(self.X, self.Q, self.metric, self.scale, self.n_threads)
