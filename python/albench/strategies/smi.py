"""Relatives of USIM: other submodular mutual information measures on the same query set and Fisher similarity."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from albench import core
from albench.scoring.request import LAYERS, Need
from albench.strategies.base import PoolView, Selection, Strategy, non_negative, one_of, seed_of
from albench.strategies.query import QuerySet
from albench.strategies.usim import Embedding, Layers, QueryKind, fisher_similarity, make_query

_REFERENCE = "Kothawade et al., PRISM, AAAI 2022"


class _MutualInformation(Strategy):
    """Greedy maximisation of a mutual information measure between the batch and the uncertain part of the pool.

    Parameters
    ----------
    query
        ``sampled`` or ``expected``, as for ``usim-f``.
    layers
        Which convolutions the gradients are of: ``decoder``, ``encoder`` or ``all``.
    """

    reference = _REFERENCE
    needs = Need.VARIANCE | Need.FISHER

    def __init__(self, *, query: QueryKind = "sampled", layers: Layers = "decoder") -> None:
        self.query = one_of("query", query, ("sampled", "expected"))
        self.layers = one_of("layers", layers, LAYERS)

    @abstractmethod
    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Make the query set and maximise, exactly and lazily where the measure is submodular."""
        uncertainty = view.uncertainty
        query = make_query(self.query, uncertainty, budget, rng)
        objective = self.objective(fisher_similarity(view), query)
        optimizer = "lazy" if objective.submodular else "naive"
        result = core.maximize(objective, budget, optimizer=optimizer, seed=seed_of(rng))
        return Selection(indices=result.indices, scores=uncertainty[result.indices], gains=result.gains)


class _Weighted(_MutualInformation):
    """A measure with an eta.

    Parameters
    ----------
    eta
        Weight of the query set's part.
    query, layers
        As for ``usim-f``.
    """

    def __init__(self, *, eta: float = 1.0, query: QueryKind = "sampled", layers: Layers = "decoder") -> None:
        super().__init__(query=query, layers=layers)
        self.eta = non_negative("eta", eta)


class FacilityLocationMi(_Weighted):
    """Facility-location mutual information: sum_i min(max_a s(a, i), eta max_q s(i, q)).

    Every unit of the pool is to be represented, as far as the query set makes it relevant. How often a unit was
    drawn plays no part. PRISM calls this measure FLVMI, and FLQMI what ``usim-f`` maximises.

    Parameters
    ----------
    eta
        How much of a unit's relevance to the query set can be earned.
    query, layers
        As for ``usim-f``.
    """

    name = "flqmi"
    summary = "facility-location mutual information on Fisher-scaled gradients"

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        queries = embedding.rows[query.indices]
        return core.FacilityLocationMI.from_features(
            embedding.rows, queries, metric=embedding.metric, scale=embedding.scale, eta=self.eta
        )


class GraphCutMi(_MutualInformation):
    """Graph-cut mutual information: the units of largest summed similarity to the query set.

    Modular: nothing keeps a batch from repeating itself.

    Parameters
    ----------
    query, layers
        As for ``usim-f``.
    """

    name = "gcmi"
    summary = "graph-cut mutual information on Fisher-scaled gradients: relevance alone"

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        queries = embedding.rows[query.indices]
        return core.GraphCutMI.from_features(
            embedding.rows, queries, metric=embedding.metric, scale=embedding.scale, weights=query.weights
        )


class LogDeterminantMi(_MutualInformation):
    """Log-determinant mutual information of Gaussian variables with the units' kernel as covariance.

    Not submodular in general, so every step looks at every unit. How often a unit was drawn plays no part.

    Parameters
    ----------
    query, layers
        As for ``usim-f``.
    """

    name = "logdetmi"
    summary = "log-determinant mutual information on Fisher-scaled gradients"

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        queries = embedding.rows[query.indices]
        return core.LogDeterminantMI.from_features(
            embedding.rows, queries, metric=embedding.metric, scale=embedding.scale
        )


class ConcaveOverModular(_Weighted):
    """Concave over modular: square roots of summed similarities, seen from the batch and from the query set.

    Parameters
    ----------
    eta
        Weight of the batch's own relevance against its coverage of the query set.
    query, layers
        As for ``usim-f``.
    """

    name = "com"
    summary = "concave-over-modular mutual information on Fisher-scaled gradients"

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        queries = embedding.rows[query.indices]
        return core.ConcaveOverModular.from_features(
            embedding.rows,
            queries,
            metric=embedding.metric,
            scale=embedding.scale,
            weights=query.weights,
            eta=self.eta,
        )
