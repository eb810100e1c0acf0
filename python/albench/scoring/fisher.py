"""Gradient embeddings: of Fisher-sampled weights (USIM-F), the deepest encoder weights (USIM-C), the last (BADGE)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from albench.machine import scratch
from albench.scoring.batches import BatchMaker, UnitBatch
from albench.scoring.gradients import (
    Columns,
    Conv,
    ConvTape,
    conv_tapes,
    unit_gradients,
    unit_weight_gradients,
    widened,
)
from albench.scoring.request import FisherEmbedding, GradientSettings
from albench.units.pool import Unit

SMALLEST_FISHER = 1e-20  # a parameter below this carries no information and would divide by nothing
_MAX_BLOCK_BYTES = 256 * 2**20


def decoder_convs(network: nn.Module) -> list[Conv]:
    """Convolutions of the decoder's stages; neither the upsampling ones nor the heads."""
    return _convs(network.get_submodule("decoder.stages"))


def encoder_convs(network: nn.Module) -> list[Conv]:
    """Convolutions of the encoder's stages."""
    return _convs(network.get_submodule("encoder.stages"))


def fisher_convs(network: nn.Module, layers: str) -> list[Conv]:
    """Convolutions that `GradientSettings.layers` names."""
    encoder = encoder_convs(network) if layers in ("encoder", "all") else []
    return encoder + (decoder_convs(network) if layers in ("decoder", "all") else [])


def deepest_conv(network: nn.Module) -> Conv:
    """Last convolution of the encoder's last stage."""
    return encoder_convs(network)[-1]


def _convs(module: nn.Module) -> list[Conv]:
    return [part for part in module.modules() if isinstance(part, (nn.Conv2d, nn.Conv3d))]


def draw(weights: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `size` positions without replacement with probability proportional to `weights`.

    Fewer where fewer have positive weight; uniform where none has. Sorted.
    """
    positive = np.flatnonzero(weights > 0)
    if positive.size == 0:
        return np.sort(rng.choice(weights.size, min(size, weights.size), replace=False))
    size = min(size, positive.size)
    p = weights[positive] / weights[positive].sum()
    return np.sort(positive[rng.choice(positive.size, size, replace=False, p=p)])


def fisher_diagonal(
    network: nn.Module,
    convs: Sequence[Conv],
    batches: Iterator[UnitBatch],
    settings: GradientSettings,
    *,
    bfloat16: bool = False,
) -> torch.Tensor:
    """Mean over units of the squared gradient, each unit its own gradient; float64 (n_weights,).

    Raises
    ------
    ValueError
        If there is no unit.
    """
    total = torch.zeros(sum(conv.weight.numel() for conv in convs), dtype=torch.float64)
    n_units = 0
    for batch in batches:
        offset = 0
        for tape, conv in zip(conv_tapes(network, convs, batch, settings, bfloat16=bfloat16), convs, strict=True):
            size = conv.weight.numel()
            step = max(1, _MAX_BLOCK_BYTES // (4 * size))
            for begin in range(0, len(batch.positions), step):
                part = ConvTape(tape.inputs[begin : begin + step], tape.output_gradients[begin : begin + step])
                squares = widened(unit_weight_gradients(part, conv)).flatten(1).square()
                total[offset : offset + size] += squares.sum(dim=0, dtype=torch.float64).cpu()
            offset += size
        n_units += len(batch.positions)
    if n_units == 0:
        raise ValueError("batches: expected at least one unit to estimate the Fisher diagonal on, got none")
    return total / n_units


def fisher_embedding(
    network: nn.Module,
    units: Sequence[Unit],
    batches: BatchMaker,
    uncertainty: NDArray[np.float64],
    *,
    n_fisher_units: int,
    n_parameters: int,
    settings: GradientSettings,
    rng: np.random.Generator,
    bfloat16: bool = False,
) -> FisherEmbedding:
    """Gradients of Fisher-sampled weights for USIM-F (Föllmer et al. 2024).

    Parameters
    ----------
    network
        In eval mode, deep supervision on.
    units
        n units to embed.
    batches
        Makes batches, an image for each unit, for a list of units.
    uncertainty
        float64 (n,): units for the Fisher diagonal are drawn in proportion to it.
    n_fisher_units, n_parameters
        At most so many units and parameters.
    settings
        What the gradients are of, and how the diagonal is estimated.
    bfloat16
        Whether the network's products and each unit's gradient are rounded to bfloat16; means over units are not.

    Raises
    ------
    ValueError
        If no gradient is left to sample.
    """
    convs = fisher_convs(network, settings.layers)
    if settings.fisher == "none":
        fisher = np.ones(sum(conv.weight.numel() for conv in convs))
    else:
        sample = [units[i] for i in draw(uncertainty, 1 if settings.fisher == "one" else n_fisher_units, rng)]
        fisher = fisher_diagonal(network, convs, batches(sample), settings, bfloat16=bfloat16).numpy()
    usable = np.where(fisher > SMALLEST_FISHER, fisher, 0.0)
    if not usable.any():
        raise ValueError(
            f"fisher: every gradient of layers {settings.layers!r} vanishes, so no parameter can be sampled"
        )
    chosen = draw(usable, n_parameters, rng)
    columns = Columns.locate(convs, torch.from_numpy(chosen))
    gradients = _embedding(network, convs, units, batches, columns, settings, bfloat16=bfloat16)
    return FisherEmbedding(gradients, fisher[chosen])


def bottleneck_embedding(
    network: nn.Module, units: Sequence[Unit], batches: BatchMaker, n_parameters: int, settings: GradientSettings
) -> NDArray[np.float32]:
    """Return the first `n_parameters` entries of the deepest encoder weights' gradient; float32 (n, d)."""
    conv = deepest_conv(network)
    entries = torch.arange(min(n_parameters, conv.weight.numel()))
    return _embedding(network, [conv], units, batches, Columns.locate([conv], entries), settings)


def last_layer_embedding(
    network: nn.Module, units: Sequence[Unit], batches: BatchMaker, settings: GradientSettings
) -> NDArray[np.float32]:
    """Gradient of the last decoder convolution's weights; float32 (n, d).

    What BADGE (Ash et al., ICLR 2020) clusters. Turn deep supervision off first: its loss is that of the network's
    prediction.
    """
    conv = decoder_convs(network)[-1]
    columns = Columns.locate([conv], torch.arange(conv.weight.numel()))
    return _embedding(network, [conv], units, batches, columns, settings)


def _embedding(
    network: nn.Module,
    convs: Sequence[Conv],
    units: Sequence[Unit],
    batches: BatchMaker,
    columns: Columns,
    settings: GradientSettings,
    *,
    bfloat16: bool = False,
) -> NDArray[np.float32]:
    """Gradients of all units at `columns`; float32 (n, P), the only array of that size, on disk where it is large."""
    result = scratch.empty((len(units), columns.order.numel()))
    for batch, values in unit_gradients(network, convs, batches(units), columns, settings, bfloat16=bfloat16):
        result[batch.positions] = values.cpu().numpy()
    return result
