"""Activations at the bottleneck: what CoreSet and its kin measure distances between units in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from albench.pool import Unit
from albench.scoring.batches import BatchMaker


@torch.inference_mode()
def bottleneck_features(
    network: nn.Module, units: Sequence[Unit], batches: BatchMaker, grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Flattened output of the encoder's last stage.

    A slice that fits the patch is padded to it, as nnU-Net does, and has a map of just `grid` cells, which is flattened
    as it is. The map of a larger slice is brought onto `grid` by adaptive average pooling, so that all units lie in
    one space.

    Parameters
    ----------
    network
        nnU-Net's, in eval mode; its encoder alone is run.
    units
        n units.
    batches
        Makes batches of slices for a list of units.
    grid
        Rows and columns of the bottleneck's map of one patch.

    Returns
    -------
    ndarray
        float32 (n, channel * row * column), channels outermost.
    """
    encoder = network.get_submodule("encoder")
    result = np.empty((len(units), 0), dtype=np.float32)
    for batch in batches(units):
        maps = encoder(batch.images)[-1]  # the encoder returns every stage's output for the skip connections
        flat = functional.adaptive_avg_pool2d(maps, grid).flatten(1)
        if result.shape[1] == 0:
            result = np.empty((len(units), flat.shape[1]), dtype=np.float32)
        result[batch.positions] = flat.cpu().numpy()
    return result
