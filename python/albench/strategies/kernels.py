"""What units are similar by: gradients of the network, scaled and normalised."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from albench import core
from albench.errors import InputError
from albench.machine import scratch
from albench.scoring.request import Fisher, GradientSettings, Heads, Layers, Need, PseudoLabels
from albench.strategies.base import PoolView, Strategy, finite, one_of

Layer = Literal["bottleneck", "last"]

MAX_KERNEL_BYTES = 2**30  # beyond that similarities are computed as they are needed
_BLOCK_BYTES = 64 * 2**20


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

    def kernel(self, queries: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Similarities of all units to `queries`, float32 (n, q), or None where they would take too much memory."""
        if 4 * self.rows.shape[0] * queries.shape[0] > MAX_KERNEL_BYTES:
            return None
        return core.similarity(self.rows, queries, metric=self.metric, scale=self.scale)


class Kernel(Strategy):
    """A strategy that rests on similarities of units."""

    @abstractmethod
    def embedding(self, view: PoolView) -> Embedding:
        """Return what units are similar by."""


class GradientKernel(Kernel):
    """A kernel on gradients of the network's loss.

    Parameters
    ----------
    heads
        Which deep-supervision heads' losses the gradients are of, but for a kernel on the last layer alone:
        ``trained``, those that nnU-Net's own loss trains, each alike; ``weighted``, by nnU-Net's weights;
        ``published``, all, with the coarsest, which nnU-Net never trains.
    pseudo_labels
        ``finest``: every head is held against the prediction of the finest; ``own`` (as published): against its own.
    """

    # The constructors that take them are the subclasses': the order of parameters is that of labels, hence of folders.


class FisherKernel(GradientKernel):
    """Similarity s(i, q) = (1 / P) sum_p g_ip g_qp / F_p over convolution weights p.

    Parameters
    ----------
    layers
        Which convolutions the gradients are of: ``decoder`` (as published), ``encoder`` or ``all``.
    fisher
        Diagonal F: ``mean`` over up to 200 units drawn by uncertainty, ``one`` of them (as published), or ``none``: no
        scaling, weights drawn uniformly.
    norm
        s is divided by the norms of both gradients to this power: 0 (as published) leaves it, so that units of large
        gradient are similar to everything; 1 is the cosine.
    """

    needs = Need.VARIANCE | Need.FISHER

    def __init__(
        self,
        *,
        layers: Layers = "decoder",
        heads: Heads = "trained",
        pseudo_labels: PseudoLabels = "finest",
        fisher: Fisher = "mean",
        norm: float = 0.0,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.gradients = GradientSettings(layers=layers, heads=heads, pseudo_labels=pseudo_labels, fisher=fisher)
        self.layers, self.heads, self.pseudo_labels, self.fisher = layers, heads, pseudo_labels, fisher
        if not 0 <= norm <= 1:
            raise InputError(f"parameter norm: expected a number from 0 to 1, got {norm}")
        self.norm = float(norm)

    def embedding(self, view: PoolView) -> Embedding:
        """Gradients with the Fisher information as scale."""
        embedding = view.scores.fisher
        if embedding is None:
            raise ValueError("scores: fisher was not asked for in the strategy's needs")
        gradients, fisher = finite("fisher", embedding.gradients), finite("fisher", embedding.fisher)
        scale = 1.0 / (fisher.size * fisher)
        if self.norm == 1:
            return Embedding(gradients, "cosine", scale)
        return Embedding(shortened(gradients, scale, self.norm) if self.norm else gradients, "dot", scale)


class CosineKernel(GradientKernel):
    """Similarity is the cosine of the gradients of a single convolution.

    Parameters
    ----------
    layer
        Which convolution: ``bottleneck``, the encoder's deepest (as published), or ``last``, the decoder's last one,
        as in ``badge``.
    """

    needs = Need.VARIANCE | Need.BOTTLENECK

    def __init__(
        self,
        *,
        layer: Layer = "bottleneck",
        heads: Heads = "trained",
        pseudo_labels: PseudoLabels = "finest",
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.gradients = GradientSettings(heads=heads, pseudo_labels=pseudo_labels)
        self.heads, self.pseudo_labels = heads, pseudo_labels
        self.layer = one_of("layer", layer, ("bottleneck", "last"))
        if self.layer == "last":
            self.needs = Need.VARIANCE | Need.LAST_LAYER

    def embedding(self, view: PoolView) -> Embedding:
        """Gradients as they are."""
        name = "last_layer" if self.layer == "last" else "bottleneck"
        gradients = getattr(view.scores, name)
        if gradients is None:
            raise ValueError(f"scores: {name} was not asked for in the strategy's needs")
        return Embedding(finite(name, gradients), "cosine")


def shortened(rows: NDArray[np.float32], scale: NDArray[np.float64], power: float) -> NDArray[np.float32]:
    """Divide rows by their norm to a power; rows of zeros stay.

    Parameters
    ----------
    rows
        float32 (n, d); left as they are.
    scale
        float64 (d,): weights of the squares in the norm.

    Returns
    -------
    ndarray
        float32 (n, d), on disk where it is large.
    """
    result = scratch.empty(rows.shape)
    step = max(1, _BLOCK_BYTES // max(1, 8 * rows.shape[1]))
    for begin in range(0, len(rows), step):
        block = rows[begin : begin + step].astype(np.float64)
        norms = np.sqrt(np.square(block) @ scale)
        norms[norms == 0] = 1.0
        result[begin : begin + step] = block / norms[:, None] ** power
    return result
