"""Entropy of one pass, and the variance over stochastic passes, without keeping the passes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from albench.scoring.batches import SliceBatch
from albench.seeding import Key
from albench.training.loader import seeded


@contextlib.contextmanager
def stochastic(network: nn.Module, rate: float) -> Iterator[None]:
    """Switch every dropout layer on at `rate` inside the block; all other layers stay as they are.

    Raises
    ------
    ValueError
        If the network has no dropout layer: its passes would not differ.
    """
    layers = [module for module in network.modules() if isinstance(module, _DropoutNd)]
    if not layers:
        raise ValueError("network: expected dropout layers for Monte-Carlo passes, found none")
    saved = [(layer, layer.p, layer.training) for layer in layers]
    for layer in layers:
        layer.p = rate
        layer.train()
    try:
        yield
    finally:
        for layer, p, training in saved:
            layer.p = p
            layer.train(training)


def softmax_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Entropy in nats over axis 1, with 0 log 0 = 0."""
    entropy: torch.Tensor = torch.special.entr(probabilities).sum(dim=1)
    return entropy


@torch.inference_mode()
def mean_entropy(network: nn.Module, batches: Iterable[SliceBatch], n_units: int) -> NDArray[np.float64]:
    """Mean over voxels of the softmax entropy of one deterministic pass; float64 (n_units,)."""
    result = np.full(n_units, np.nan)
    for batch in batches:
        probabilities = torch.softmax(network(batch.images)[..., batch.crop[0], batch.crop[1]], dim=1)
        result[batch.positions] = softmax_entropy(probabilities).mean(dim=(1, 2), dtype=torch.float64).cpu().numpy()
    return result


@torch.inference_mode()
def mean_variance(
    network: nn.Module,
    batches: Iterable[SliceBatch],
    n_units: int,
    n_labels: int,
    *,
    passes: int,
    dropout: float,
    bfloat16: bool,
    key: tuple[Key, ...],
) -> NDArray[np.float64]:
    """Mean over voxels of the variance over stochastic passes, per class.

    Welford's recurrence keeps two arrays of one pass' size and no cancellation, instead of the
    (passes, unit, class, row, column) stack. The variance divides by `passes`. With `bfloat16` the network's
    products are rounded, softmax and recurrence are not.

    Returns
    -------
    ndarray
        float64 (n_units, n_labels).
    """
    result = np.full((n_units, n_labels), np.nan)
    with stochastic(network, dropout), seeded(*key):
        for batch in batches:
            low_precision = torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bfloat16)
            mean: torch.Tensor | None = None
            for t in range(1, passes + 1):
                with low_precision:
                    logits = network(batch.images)[..., batch.crop[0], batch.crop[1]]
                p = torch.softmax(logits.float(), dim=1)
                if mean is None:
                    mean, squares = p, torch.zeros_like(p)
                    continue
                delta = p - mean
                mean += delta / t
                squares += delta * (p - mean)
            result[batch.positions] = squares.mean(dim=(2, 3), dtype=torch.float64).cpu().numpy() / passes
    return result
