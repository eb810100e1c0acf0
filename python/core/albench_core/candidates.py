"""Rows that may be chosen, and what is maximised over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from albench_core import _core
from albench_core.api import Selection, maximize
from albench_core.functions import FacilityLocationVariantMI
from albench_core.thinning import thinned


@dataclass(frozen=True, eq=False)
class Goal:
    """The function that is maximised, but for its candidates."""

    Q: NDArray[Any]
    weights: NDArray[np.float64] | None
    eta: float
    metric: str
    scale: NDArray[np.float64] | None
    n_threads: int

    def over(self, X: NDArray[Any], covered: NDArray[np.float64] | None) -> FacilityLocationVariantMI:
        """Make the function of candidates X (n, d)."""
        return FacilityLocationVariantMI.from_features(
            X,
            self.Q,
            weights=self.weights,
            eta=self.eta,
            covered=covered,
            metric=self.metric,
            scale=self.scale,
            max_memory=X.shape[0] * self.row_bytes(X.shape[1] * X.itemsize),
            n_threads=self.n_threads,
        )

    def given(self, S: NDArray[np.float32], covered: NDArray[np.float64] | None) -> FacilityLocationVariantMI:
        """Make it of similarities S (n, q)."""
        return FacilityLocationVariantMI(S, weights=self.weights, eta=self.eta, covered=covered)

    def row_bytes(self, feature_bytes: int) -> int:
        """Bytes for each row beside its features: 8-bit bounds, and the similarities where they are the smaller.

        Rows are then multiplied once; of wide rows, multiplying the undecided again would take longer than all else.
        """
        q = int(self.Q.shape[0])
        return q + 40 + (4 * q if 4 * q <= feature_bytes else 0)

    def similarity(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Similarities (n, q) of X (n, d) to the queries."""
        return _core.similarity(X, self.Q, self.metric, self.scale, self.n_threads)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows X (n, d) and their indices (n,) among all rows, which ascend."""

    indices: NDArray[np.int64]
    X: NDArray[Any]

    @classmethod
    def together(cls, several: Sequence[Candidates]) -> Self:
        """All of several, no row of which is in two."""
        indices = np.concatenate([each.indices for each in several])
        order = np.argsort(indices)
        return cls(indices[order], np.concatenate([each.X for each in several])[order])

    def best(self, goal: Goal, covered: NDArray[np.float64] | None, budget: int) -> Selection:
        """Greedy over these: as they ascend, ties go to the lowest of all indices."""
        return self.more(goal, covered, budget, budget)[1]

    def more(
        self, goal: Goal, covered: NDArray[np.float64] | None, n_chosen: int, budget: int
    ) -> tuple[Candidates, Selection]:
        """Choose `n_chosen` by greedy: these as candidates, and the first `budget` as the selection that they are."""
        f = goal.over(self.X, covered)
        chosen = maximize(f, min(n_chosen, self.indices.size), n_threads=goal.n_threads)
        kept = np.sort(chosen.indices)
        first = chosen.indices[:budget]
        value = chosen.value if first.size == chosen.indices.size else f.evaluate(first)
        selection = Selection(self.indices[first], chosen.gains[:budget], value)
        return Candidates(self.indices[kept], self.X[kept]), selection

    def there_and_back(self, goal: Goal, covered: NDArray[np.float64] | None, budget: int) -> Selection:
        """Greedy of half as many again, and those away that the others make up for; or greedy, if that is better."""
        more, greedy = self.more(goal, covered, budget + ceil(budget / 2), budget)
        kept = thinned(goal.similarity(more.X), covered, goal.weights, goal.eta, budget)
        back = Candidates(more.indices[kept], more.X[kept]).best(goal, covered, budget)
        return max(greedy, back, key=lambda selection: selection.value)

    def rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (k, d) of some of them."""
        return self.X[np.searchsorted(self.indices, indices)]
