"""Activations of the encoder: what CoreSet and its kin measure distances between units in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from albench.machine import scratch
from albench.scoring.batches import BatchMaker, Box
from albench.units.pool import Unit


@torch.inference_mode()
def bottleneck_features(
    network: nn.Module, units: Sequence[Unit], batches: BatchMaker, grid: Sequence[int]
) -> NDArray[np.float32]:
    """Output of the encoder's last stage.

    A slice that fits the patch is padded to it, as nnU-Net does, and has a map of just `grid` cells, which is flattened
    as it is. The map of a larger slice is brought onto `grid` by adaptive average pooling, so that all units lie in
    one space. A 3D patch is a part of what the network sees at once, so its feature is the mean of the map over the
    patch: a cell counts by how much of it the patch covers.

    Parameters
    ----------
    network
        nnU-Net's, in eval mode; its encoder alone is run.
    units
        n units.
    batches
        Makes batches for a list of units.
    grid
        Cells of the bottleneck's map of one network patch, per axis; looked at for slices alone.

    Returns
    -------
    ndarray
        float32: (n, channel * row * column) of slices, channels outermost; (n, channel) of 3D patches.
    """
    encoder = network.get_submodule("encoder")
    result = np.empty((len(units), 0), dtype=np.float32)
    for batch in batches(units):
        maps = encoder(batch.images)[-1]  # the encoder returns every stage's output for the skip connections
        if batch.crop is None:
            flat = torch.stack([_mean_over(maps[item], box, batch.images.shape[2:]) for item, box in batch])
        else:
            flat = functional.adaptive_avg_pool2d(maps, (grid[0], grid[1])).flatten(1)
        if result.shape[1] == 0:
            result = scratch.empty((len(units), flat.shape[1]))
        result[batch.positions] = flat.cpu().numpy()
    return result


@torch.inference_mode()
def stage_features(networks: Sequence[nn.Module], units: Sequence[Unit], batches: BatchMaker) -> NDArray[np.float32]:
    """Mean over each unit of the output of the encoder's second-deepest stage, of several networks side by side.

    What nnActive's KMeansBALD compares patches by (Lüth et al., TMLR 2025). A cell of the map counts by how much of it
    the unit covers.

    Parameters
    ----------
    networks
        nnU-Net's, in eval mode; their encoders alone are run.
    units
        n units.
    batches
        Makes batches for a list of units.

    Returns
    -------
    ndarray
        float32 (n, network * channel), networks outermost.
    """
    result = np.empty((len(units), 0), dtype=np.float32)
    for batch in batches(units):
        maps = [network.get_submodule("encoder")(batch.images)[-2] for network in networks]
        edges = batch.images.shape[2:]
        means = [torch.cat([_mean_over(each[item], box, edges) for each in maps]) for item, box in batch]
        if result.shape[1] == 0:
            result = scratch.empty((len(units), means[0].shape[0]))
        result[batch.positions] = torch.stack(means).cpu().numpy()
    return result


def _mean_over(maps: torch.Tensor, box: Box, edges: Sequence[int]) -> torch.Tensor:
    """Mean of (channel, *spatial) cells over a box of the image of `edges` voxels that they cover; (channel,)."""
    weights = []
    for part, n_cells, edge in zip(box, maps.shape[1:], edges, strict=True):
        borders = torch.linspace(0, edge, n_cells + 1, device=maps.device)
        overlap = borders[1:].clamp(max=part.stop) - borders[:-1].clamp(min=part.start)
        weights.append(overlap.clamp(min=0) / (part.stop - part.start))
    return torch.einsum("czyx,z,y,x->c" if maps.ndim == 4 else "cyx,y,x->c", maps, *weights)
