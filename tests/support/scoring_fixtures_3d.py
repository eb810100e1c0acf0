"""A small 3D nnU-Net and patches of a few cases, as `scoring_fixtures` has for slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from albench.scoring.batches import Box, UnitBatch, patch_batches
from albench.units.pool import Unit, patch_grid

torch.set_num_threads(1)

PATCH, DIVISORS = (8, 12, 8), (2, 4, 4)
IMAGES = {
    "a": np.random.default_rng(1).normal(size=(2, 7, 12, 8)).astype(np.float32),  # smaller than the patch
    "b": np.random.default_rng(2).normal(size=(2, 13, 20, 11)).astype(np.float32),  # larger
}
SIZE = (4, 5, 4)


def _boxes(case: str) -> list[Box]:
    starts, stops = patch_grid([(0, edge) for edge in IMAGES[case].shape[1:]], SIZE)
    return [tuple(map(slice, start.tolist(), stop.tolist())) for start, stop in zip(starts, stops, strict=True)]


BOXES: dict[Unit, Box] = {Unit(case, index): box for case in IMAGES for index, box in enumerate(_boxes(case))}
# A unit larger than the network's patch along one axis.
BOXES[Unit("b", 999)] = (slice(1, 12), slice(3, 9), slice(0, 4))
# In no order: scores have to come back in the order asked for. Corners, the middle, and the larger one.
UNITS = tuple(
    Unit(*name) for name in [("b", 35), ("a", 3), ("b", 0), ("a", 0), ("b", 17), ("b", 999), ("b", 22), ("a", 11)]
)


def small_network(
    *, seed: int = 0, deep_supervision: bool = False, dtype: torch.dtype = torch.float32
) -> PlainConvUNet:
    """A 3D U-Net as nnU-Net builds it for anisotropic images, in eval mode as when scoring."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PlainConvUNet(
            input_channels=2,
            n_stages=3,
            features_per_stage=[4, 6, 8],
            conv_op=nn.Conv3d,
            kernel_sizes=[[1, 3, 3], [3, 3, 3], [3, 3, 3]],
            strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2]],
            n_conv_per_stage=[2, 1, 2],
            num_classes=3,
            n_conv_per_stage_decoder=[1, 2],
            conv_bias=True,
            norm_op=nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            dropout_op=nn.Dropout3d,
            dropout_op_kwargs={"p": 0.01},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=deep_supervision,
        )
    return network.to(dtype).eval().requires_grad_(False)


def windows(
    units: Sequence[Unit] = UNITS, *, shared: bool = False, batch_size: int = 3, dtype: torch.dtype = torch.float32
) -> Iterator[UnitBatch]:
    """Windows around the patches that `units` name."""
    for batch in patch_batches(
        units,
        IMAGES.__getitem__,
        BOXES.__getitem__,
        patch_size=PATCH,
        divisors=DIVISORS,
        batch_size=batch_size,
        device=torch.device("cpu"),
        shared=shared,
    ):
        yield UnitBatch(batch.positions, batch.images.to(dtype), batch.crop, batch.regions)
