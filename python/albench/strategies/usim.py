"""USIM: uncertainty-aware submodular mutual information (Föllmer et al., MIDL 2024)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench import core
from albench.scoring.request import LAYERS, Need
from albench.strategies.base import PoolView, Selection, Strategy, finite, non_negative, one_of, seed_of
from albench.strategies.query import QuerySet, draw_query, expected_query

_REFERENCE = "Föllmer et al., MIDL 2024, PMLR 250:480-503"
MAX_KERNEL_BYTES = 2**30  # beyond that similarities are computed as they are needed
QUERY_KINDS = ("sampled", "expected")

Layers = Literal["decoder", "encoder", "all"]
Layer = Literal["bottleneck", "last"]
QueryKind = Literal["sampled", "expected"]
Optimizer = Literal["lazy", "naive", "stochastic", "lazier"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """What units are similar by.

    Attributes
    ----------
    rows
        float32 (n, d).
    metric, scale
        As `core.similarity` takes them; `scale` is float64 (d,) or None.
    """

    rows: NDArray[np.float32]
    metric: str
    scale: NDArray[np.float64] | None = None


def fisher_similarity(view: PoolView) -> Embedding:
    """Embed units so that s(i, q) = (1 / P) sum_p g_ip g_qp / F_p, over P Fisher-sampled convolution weights."""
    embedding = view.scores.fisher
    if embedding is None:
        raise ValueError("scores: fisher was not asked for in the strategy's needs")
    gradients, fisher = finite("fisher", embedding.gradients), finite("fisher", embedding.fisher)
    return Embedding(gradients, "dot", 1.0 / (fisher.size * fisher))


class Usim(Strategy):
    """Maximises mutual information between the batch and an uncertainty-weighted query set.

    The objective is the facility-location variant on non-negative similarities. Subclasses say what units are
    similar by.

    Parameters
    ----------
    eta, query, optimizer
        As for ``usim-f``.
    """

    def __init__(self, *, eta: float = 1.0, query: QueryKind = "sampled", optimizer: Optimizer = "lazy") -> None:
        self.eta = non_negative("eta", eta)
        self.query = one_of("query", query, QUERY_KINDS)
        self.optimizer = one_of("optimizer", optimizer, core.OPTIMIZERS)

    @abstractmethod
    def embedding(self, view: PoolView) -> Embedding:
        """Return what units are similar by."""

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Make the query set and maximise."""
        uncertainty = view.uncertainty
        query = make_query(self.query, uncertainty, budget, rng)
        objective = facility_location(self.embedding(view), query, self.eta)
        result = core.maximize(objective, budget, optimizer=self.optimizer, seed=seed_of(rng))
        return Selection(indices=result.indices, scores=uncertainty[result.indices], gains=result.gains)


def make_query(kind: str, uncertainty: NDArray[np.float64], budget: int, rng: np.random.Generator) -> QuerySet:
    """Draw the query set, or take its expectation."""
    return expected_query(uncertainty, budget) if kind == "expected" else draw_query(uncertainty, budget, rng)


def held_kernel(embedding: Embedding, queries: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Similarities of all units to `queries`, float32 (n, q), or None where they would take too much memory."""
    if 4 * embedding.rows.shape[0] * queries.shape[0] > MAX_KERNEL_BYTES:
        return None
    return core.similarity(embedding.rows, queries, metric=embedding.metric, scale=embedding.scale)


def facility_location(embedding: Embedding, query: QuerySet, eta: float) -> core.FacilityLocationVariantMI:
    """Make the objective; its kernel is held where it is small enough, the choice is the same either way."""
    rows, queries = embedding.rows, embedding.rows[query.indices]
    kernel = held_kernel(embedding, queries)
    if kernel is not None:
        return core.FacilityLocationVariantMI(kernel, weights=query.weights, eta=eta)
    return core.FacilityLocationVariantMI.from_features(
        rows, queries, metric=embedding.metric, scale=embedding.scale, weights=query.weights, eta=eta
    )


class UsimF(Usim):
    """Mutual information with the uncertain part of the pool, on Fisher-scaled gradients.

    Similarity of two units is s(i, q) = (1 / P) sum_p g_ip g_qp / F_p over up to 10,000 convolution weights p, drawn
    in proportion to the diagonal F of the Fisher information; g is the gradient of the cross-entropy with hard
    pseudo-labels. The objective sum_q w_q max_a s(a, q) + eta sum_a max_q s(a, q) is maximised greedily.

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
    layers
        Which convolutions the gradients are of: ``decoder`` (as published), ``encoder`` or ``all``.
    """

    name = "usim-f"
    summary = "submodular mutual information on Fisher-scaled gradients"
    reference = _REFERENCE
    needs = Need.VARIANCE | Need.FISHER

    def __init__(
        self,
        *,
        eta: float = 1.0,
        query: QueryKind = "sampled",
        optimizer: Optimizer = "lazy",
        layers: Layers = "decoder",
    ) -> None:
        super().__init__(eta=eta, query=query, optimizer=optimizer)
        self.layers = one_of("layers", layers, LAYERS)

    def embedding(self, view: PoolView) -> Embedding:
        """Fisher similarity."""
        return fisher_similarity(view)


class UsimC(Usim):
    """Mutual information with the uncertain part of the pool, on the cosine of bottleneck gradients.

    As ``usim-f``, with the cosine similarity of the gradients of a single convolution.

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
    layer
        Which convolution: ``bottleneck``, the encoder's deepest (as published), or ``last``, the decoder's last one,
        as in ``badge``.
    """

    name = "usim-c"
    summary = "submodular mutual information on the cosine of bottleneck gradients"
    reference = _REFERENCE
    needs = Need.VARIANCE | Need.BOTTLENECK

    def __init__(
        self,
        *,
        eta: float = 1.0,
        query: QueryKind = "sampled",
        optimizer: Optimizer = "lazy",
        layer: Layer = "bottleneck",
    ) -> None:
        super().__init__(eta=eta, query=query, optimizer=optimizer)
        self.layer = one_of("layer", layer, ("bottleneck", "last"))
        if self.layer == "last":
            self.needs = Need.VARIANCE | Need.LAST_LAYER

    def embedding(self, view: PoolView) -> Embedding:
        """Cosine similarity."""
        name = "last_layer" if self.layer == "last" else "bottleneck"
        gradients = getattr(view.scores, name)
        if gradients is None:
            raise ValueError(f"scores: {name} was not asked for in the strategy's needs")
        return Embedding(finite(name, gradients), "cosine")
