"""USIM: uncertainty-aware submodular mutual information (Föllmer et al., MIDL 2024)."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from kneed import KneeLocator
from numpy.typing import NDArray

from albench import core
from albench.scoring.request import Need
from albench.strategies.base import PoolView, Selection, Strategy, finite

_KNEE_SENSITIVITY = 10.0
_MIN_QUERY_BUDGETS = 5


def knee(values: NDArray[np.float64]) -> int | None:
    """Position of the knee of `values` sorted from high to low (Kneedle, S = 10), or None where there is none."""
    if values.size < 3 or np.ptp(values) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kneed warns where it finds no knee; None says so already
        found = KneeLocator(
            np.arange(values.size),
            np.sort(values)[::-1],
            S=_KNEE_SENSITIVITY,
            curve="convex",
            direction="decreasing",
        ).knee
    return None if found is None else int(found)


@dataclass(frozen=True, eq=False)
class QuerySet:
    """Units that the selection has to be informative about.

    Attributes
    ----------
    indices
        int64 (q,): different units, ascending.
    weights
        float64 (q,): how often each was drawn.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.float64]


def draw_query(uncertainty: NDArray[np.float64], budget: int, rng: np.random.Generator) -> QuerySet:
    """Draw the query set: |Q| = min(n, max(knee, 5 budget)) units, with replacement, in proportion to uncertainty.

    All-zero uncertainty draws uniformly.
    """
    n = uncertainty.size
    size = min(n, max(knee(uncertainty) or 0, _MIN_QUERY_BUDGETS * budget))
    total = uncertainty.sum()
    drawn = rng.choice(n, size, replace=True, p=uncertainty / total if total > 0 else None)
    indices, counts = np.unique(drawn, return_counts=True)
    return QuerySet(indices.astype(np.int64), counts.astype(np.float64))


class Usim(Strategy):
    """Maximises mutual information between the batch and an uncertainty-weighted query set.

    The objective is the facility-location variant on non-negative similarities, maximised by exact lazy greedy.
    Subclasses say what units are similar by.

    Parameters
    ----------
    eta
        Weight of the batch's own relevance to the query set against its coverage of it.
    """

    def __init__(self, *, eta: float = 1.0) -> None:
        self.eta = eta

    @abstractmethod
    def similarity(self, view: PoolView, query: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of every unit to every query unit; float32 (n, q)."""

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Draw the query set and maximise."""
        uncertainty = view.uncertainty
        query = draw_query(uncertainty, budget, rng)
        objective = core.FacilityLocationVariantMI(
            self.similarity(view, query.indices), weights=query.weights, eta=self.eta
        )
        result = core.maximize(objective, budget, optimizer="lazy")
        return Selection(indices=result.indices, scores=uncertainty[result.indices], gains=result.gains)


class UsimF(Usim):
    """Similarity of Fisher-sampled decoder gradients."""

    name = "usim-f"
    summary = "submodular mutual information on Fisher-scaled decoder gradients"
    reference = "Föllmer et al., MIDL 2024, PMLR 250:480-503"
    needs = Need.VARIANCE | Need.FISHER

    def similarity(self, view: PoolView, query: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return s(i, q) = (1 / P) sum_p g_ip g_qp / F_p."""
        embedding = view.scores.fisher
        assert embedding is not None
        gradients, fisher = finite("fisher", embedding.gradients), finite("fisher", embedding.fisher)
        return core.similarity(gradients, gradients[query], metric="dot", scale=1.0 / (fisher.size * fisher))


class UsimC(Usim):
    """Cosine similarity of the deepest encoder convolution's gradients."""

    name = "usim-c"
    summary = "submodular mutual information on the cosine of bottleneck gradients"
    reference = "Föllmer et al., MIDL 2024, PMLR 250:480-503"
    needs = Need.VARIANCE | Need.BOTTLENECK

    def similarity(self, view: PoolView, query: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosine similarity."""
        assert view.scores.bottleneck is not None
        gradients = finite("bottleneck", view.scores.bottleneck)
        return core.similarity(gradients, gradients[query], metric="cosine")
