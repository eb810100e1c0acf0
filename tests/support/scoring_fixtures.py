"""A small nnU-Net and slices of a few cases: enough of the real thing to score, small enough to check by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from albench.scoring.batches import UnitBatch, slice_batches
from albench.units.pool import Unit

torch.set_num_threads(1)

PATCH, DIVISORS = (16, 16), (4, 4)
FIRST_SLICE = {"a": 0, "b": 3}
IMAGES = {
    "a": np.random.default_rng(1).normal(size=(2, 5, 16, 16)).astype(np.float32),
    "b": np.random.default_rng(2).normal(size=(2, 4, 13, 19)).astype(np.float32),  # padded to 16 x 20
}
# In no order: scores have to come back in the order asked for.
UNITS = (Unit("b", 5), Unit("a", 4), Unit("a", 0), Unit("b", 3), Unit("a", 2), Unit("b", 6), Unit("a", 1))


def small_network(
    n_labels: int = 3,
    *,
    seed: int = 0,
    deep_supervision: bool = False,
    dropout: bool = True,
    dtype: torch.dtype = torch.float32,
) -> PlainConvUNet:
    """A 2D U-Net as nnU-Net builds it, in eval mode as when scoring."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PlainConvUNet(
            input_channels=2,
            n_stages=3,
            features_per_stage=[4, 6, 8],
            conv_op=nn.Conv2d,
            kernel_sizes=[[3, 3], [3, 1], [3, 3]],
            strides=[[1, 1], [2, 2], [2, 2]],
            n_conv_per_stage=[2, 2, 2],
            num_classes=n_labels,
            n_conv_per_stage_decoder=[2, 1],
            conv_bias=True,
            norm_op=nn.InstanceNorm2d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            dropout_op=nn.Dropout2d,
            dropout_op_kwargs={"p": 0.01},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=deep_supervision,
        )
    if not dropout:
        for module in network.modules():
            if isinstance(module, nn.Dropout2d):
                module.__class__ = nn.Identity
    return network.to(dtype).eval().requires_grad_(False)


def small_batches(
    units: Sequence[Unit] = UNITS, *, batch_size: int = 3, dtype: torch.dtype = torch.float32
) -> Iterator[UnitBatch]:
    """The slices that `units` name, from the two cases above."""
    for batch in slice_batches(
        units,
        IMAGES.__getitem__,
        FIRST_SLICE.__getitem__,
        patch_size=PATCH,
        divisors=DIVISORS,
        batch_size=batch_size,
        device=torch.device("cpu"),
    ):
        yield UnitBatch(batch.positions, batch.images.to(dtype), batch.crop)


def single_units(units: Sequence[Unit] = UNITS, *, dtype: torch.dtype = torch.float32) -> Iterator[UnitBatch]:
    """Each unit as a batch of its own, in the order of `units`."""
    return (next(small_batches([unit], dtype=dtype)) for unit in units)
