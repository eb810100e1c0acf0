"""USIM: uncertainty-aware submodular mutual information (Föllmer et al., MIDL 2024)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from albench import core
from albench.strategies.base import Choice, Look, PoolView, non_negative, one_of, seed_of
from albench.strategies.kernels import CosineKernel, Embedding, FisherKernel, Kernel
from albench.strategies.query import QUERY_KINDS, QueryKind, QuerySet, make_query

_REFERENCE = "Föllmer et al., MIDL 2024, PMLR 250:480-503"

Optimizer = Literal["lazy", "naive", "stochastic", "lazier"]


class Usim(Kernel):
    """Maximises mutual information between the batch and an uncertainty-weighted query set.

    The objective is the facility-location variant on non-negative similarities. Subclasses say what units are
    similar by.

    Parameters
    ----------
    eta
        Weight of the batch's own relevance to the query set against its coverage of it.
    query
        ``sampled``: drawn with replacement in proportion to uncertainty, as published; ``expected``: the expectation
        of that draw, every unit weighing by its uncertainty, hence no noise of the draw.
    optimizer
        ``lazy`` and ``naive`` are the exact greedy choice; ``stochastic`` (as published) and ``lazier`` look at a
        sample of the units in every step (epsilon = 0.01).
    """

    def __init__(
        self, *, eta: float = 1.0, query: QueryKind = "sampled", optimizer: Optimizer = "lazy", **others: Any
    ) -> None:
        super().__init__(**others)
        self.eta = non_negative("eta", eta)
        self.query = one_of("query", query, QUERY_KINDS)
        self.optimizer = one_of("optimizer", optimizer, core.OPTIMIZERS)

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Make the query set and maximise."""
        uncertainty = view.uncertainty
        query = make_query(self.query, uncertainty, budget, rng)
        objective = facility_location(self.embedding(view), query, self.eta)
        result = core.maximize(objective, budget, optimizer=self.optimizer, seed=seed_of(rng))
        return Choice(indices=result.indices, scores=uncertainty[result.indices], gains=result.gains)


def facility_location(
    embedding: Embedding, query: QuerySet, eta: float, covered: NDArray[np.float64] | None = None
) -> core.FacilityLocationVariantMI:
    """Make the objective; its kernel is held where it is small enough, the choice is the same either way.

    Parameters
    ----------
    covered
        float64 (units of the query set,): what of each is covered already; None: nothing.
    """
    rows, queries = embedding.rows, embedding.rows[query.indices]
    kernel = embedding.kernel(queries)
    if kernel is not None:
        return core.FacilityLocationVariantMI(kernel, weights=query.weights, eta=eta, covered=covered)
    return core.FacilityLocationVariantMI.from_features(
        rows,
        queries,
        metric=embedding.metric,
        scale=embedding.scale,
        weights=query.weights,
        eta=eta,
        covered=covered,
    )


class UsimF(Usim, FisherKernel):
    """Mutual information with the uncertain part of the pool, on Fisher-scaled gradients.

    Similarity of two units is s(i, q) = (1 / P) sum_p g_ip g_qp / F_p over up to 10,000 convolution weights p, drawn
    in proportion to the diagonal F of the Fisher information; g is the gradient of the cross-entropy with hard
    pseudo-labels. The objective sum_q w_q max_a s(a, q) + eta sum_a max_q s(a, q) is maximised greedily, negative
    similarities counting as 0.
    """

    name = "usim-f"
    look = Look("usim", "D")
    summary = "submodular mutual information on Fisher-scaled gradients"
    reference = _REFERENCE


class UsimC(Usim, CosineKernel):
    """Mutual information with the uncertain part of the pool, on the cosine of bottleneck gradients.

    As ``usim-f``, with the cosine similarity of the gradients of a single convolution.
    """

    name = "usim-c"
    look = Look("mutual-information", "d")
    summary = "submodular mutual information on the cosine of bottleneck gradients"
    reference = _REFERENCE
