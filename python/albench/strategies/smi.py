"""Relatives of USIM: other submodular mutual information measures on the same query set and Fisher similarity."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import numpy as np

from albench import core
from albench.strategies import kernels
from albench.strategies.base import Choice, Look, PoolView, non_negative, one_of, seed_of
from albench.strategies.kernels import Embedding, FisherKernel
from albench.strategies.query import QUERY_KINDS, QueryKind, QuerySet, draw_query, make_query

Negative = Literal["keep", "clip"]


class _MutualInformation(FisherKernel):
    """Greedy maximisation of a mutual information measure between the batch and the uncertain part of the pool."""

    reference = "Kothawade et al., PRISM, AAAI 2022; query set and similarity of Föllmer et al., MIDL 2024"

    def query_set(self, view: PoolView, budget: int, rng: np.random.Generator) -> QuerySet:
        """Draw the query set."""
        return draw_query(view.uncertainty, budget, rng)

    @abstractmethod
    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Make the query set and maximise, exactly and lazily where the measure is submodular."""
        objective = self.objective(self.embedding(view), self.query_set(view, budget, rng))
        optimizer = "lazy" if objective.submodular else "naive"
        result = core.maximize(objective, budget, optimizer=optimizer, seed=seed_of(rng))
        return Choice(indices=result.indices, scores=view.uncertainty[result.indices], gains=result.gains)


class _Weighted(_MutualInformation):
    """A measure that counts how often a unit was drawn, and so has an expectation over the draws.

    Parameters
    ----------
    query
        ``sampled``: drawn with replacement in proportion to uncertainty; ``expected``: the expectation of that draw.
    """

    def __init__(self, *, query: QueryKind = "sampled", **others: Any) -> None:
        super().__init__(**others)
        self.query = one_of("query", query, QUERY_KINDS)

    def query_set(self, view: PoolView, budget: int, rng: np.random.Generator) -> QuerySet:
        """Draw the query set, or take its expectation."""
        return make_query(self.query, view.uncertainty, budget, rng)


class FacilityLocationMi(_MutualInformation):
    """Facility-location mutual information on Fisher-scaled gradients.

    The batch A maximises sum_i min(max_a s(a, i), eta max_q s(i, q)): every unit i of the pool is to be represented, as
    far as the query set makes it relevant. How often a unit was drawn plays no part, hence there is no expected query
    set. PRISM's FLVMI, submodlib's FL1MI; what ``usim-f`` maximises is PRISM's FLQMI, submodlib's FL2MI.

    Parameters
    ----------
    eta
        How much of a unit's relevance to the query set can be earned.
    """

    name = "flvmi"
    look = Look("mutual-information", "<", "--")
    summary = "facility-location mutual information on Fisher-scaled gradients"

    def __init__(self, *, eta: float = 1.0, **others: Any) -> None:
        super().__init__(**others)
        self.eta = non_negative("eta", eta)

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        return core.FacilityLocationMI.from_features(
            embedding.rows,
            embedding.rows[query.indices],
            metric=embedding.metric,
            scale=embedding.scale,
            eta=self.eta,
            max_memory=kernels.MAX_KERNEL_BYTES,
        )


class GraphCutMi(_Weighted):
    """Graph-cut mutual information on Fisher-scaled gradients.

    The batch A maximises 2 sum_a sum_q w_q s(a, q): the units of largest summed similarity to the query set. Modular:
    nothing keeps a batch from repeating itself.

    Parameters
    ----------
    negative
        What negative similarities count: ``keep``, as they are (PRISM, submodlib); ``clip``, 0, as for ``usim-f``.
    """

    name = "gcmi"
    look = Look("mutual-information", ">", "-.")
    summary = "graph-cut mutual information on Fisher-scaled gradients: relevance alone"

    def __init__(self, *, negative: Negative = "keep", **others: Any) -> None:
        super().__init__(**others)
        self.negative = one_of("negative", negative, ("keep", "clip"))

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        return core.GraphCutMI.from_features(
            embedding.rows,
            embedding.rows[query.indices],
            metric=embedding.metric,
            scale=embedding.scale,
            weights=query.weights,
            negative=self.negative,
        )


class LogDeterminantMi(_MutualInformation):
    """Log-determinant mutual information on Fisher-scaled gradients.

    The batch A maximises log det(K_A + I) - log det(K_A + I - K_AQ (K_Q + I)^-1 K_QA), twice the mutual information of
    Gaussian variables whose covariance is the similarity K plus the identity. Not submodular in general, so every step
    looks at every unit. How often a unit was drawn plays no part, hence there is no expected query set.
    """

    name = "logdetmi"
    look = Look("mutual-information", "h", ":")
    summary = "log-determinant mutual information on Fisher-scaled gradients"

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        return core.LogDeterminantMI.from_features(
            embedding.rows, embedding.rows[query.indices], metric=embedding.metric, scale=embedding.scale
        )


class ConcaveOverModular(_Weighted):
    """Concave-over-modular mutual information on Fisher-scaled gradients.

    The batch A maximises eta sum_a sqrt(sum_q w_q s(a, q)) + sum_q w_q sqrt(sum_a s(a, q)): relevance with diminishing
    returns, seen from the batch and from the query set.

    Parameters
    ----------
    eta
        Weight of the batch's own relevance against its coverage of the query set.
    """

    name = "com"
    look = Look("mutual-information", "p", "--")
    summary = "concave-over-modular mutual information on Fisher-scaled gradients"

    def __init__(self, *, eta: float = 1.0, **others: Any) -> None:
        super().__init__(**others)
        self.eta = non_negative("eta", eta)

    def objective(self, embedding: Embedding, query: QuerySet) -> core.SetFunction:
        """Make the measure."""
        rows, queries = embedding.rows, embedding.rows[query.indices]
        kernel = embedding.kernel(queries)
        if kernel is not None:
            return core.ConcaveOverModular(kernel, weights=query.weights, eta=self.eta)
        return core.ConcaveOverModular.from_features(
            rows, queries, metric=embedding.metric, scale=embedding.scale, weights=query.weights, eta=self.eta
        )
