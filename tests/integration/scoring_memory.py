"""Score and select many synthetic slices with usim-f; print the peak memory of the process in MiB.

Usage: ``python scoring_memory.py N_UNITS N_PARAMETERS``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from albench.machine.facts import peak_rss_mib
from albench.scoring.batches import UnitBatch, slice_batches
from albench.scoring.fisher import fisher_embedding
from albench.scoring.moments import mc_dropout, moments
from albench.scoring.request import GradientSettings, Need, Scores, uncertainty
from albench.strategies import PoolView, choose, get_strategy
from albench.training.runtime import configure_cpu
from albench.units.pool import Unit

SLICES_PER_CASE, EDGE, BUDGET = 200, 16, 100
WEIGHTS = np.array([0.0, 0.5, 0.5])


def network() -> PlainConvUNet:
    """A U-Net as nnU-Net builds it, with 36,000 decoder weights."""
    torch.manual_seed(0)
    built = PlainConvUNet(
        input_channels=1,
        n_stages=4,
        features_per_stage=[8, 16, 32, 64],
        conv_op=nn.Conv2d,
        kernel_sizes=3,
        strides=[1, 2, 2, 2],
        n_conv_per_stage=1,
        num_classes=3,
        n_conv_per_stage_decoder=2,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"affine": True},
        dropout_op=nn.Dropout2d,
        dropout_op_kwargs={"p": 0.01},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    return built.eval().requires_grad_(False)


def image(case: str) -> np.ndarray:
    rng = np.random.default_rng(int(case))
    return rng.normal(size=(1, SLICES_PER_CASE, EDGE, EDGE)).astype(np.float32)


def batches(units: Sequence[Unit]) -> Iterator[UnitBatch]:
    return slice_batches(
        units,
        image,
        lambda case: 0,
        patch_size=(EDGE, EDGE),
        divisors=(8, 8),
        batch_size=64,
        device=torch.device("cpu"),
    )


def main(n_units: int, n_parameters: int) -> None:
    configure_cpu(1)
    net = network()
    units = tuple(Unit(f"{i // SLICES_PER_CASE:05d}", i % SLICES_PER_CASE) for i in range(n_units))
    with mc_dropout(net, passes=2, dropout=0.1, bfloat16=False, key=("memory",)) as members:
        variance = moments(members, batches(units), n_units, 3, Need.VARIANCE)["variance"]
    net.decoder.deep_supervision = True
    embedding = fisher_embedding(
        net,
        units,
        batches,
        uncertainty(variance, WEIGHTS),
        n_fisher_units=200,
        n_parameters=n_parameters,
        settings=GradientSettings(),
        rng=np.random.default_rng(0),
    )
    assert embedding.gradients.shape == (n_units, n_parameters)
    view = PoolView(units, Scores(variance=variance, fisher=embedding), WEIGHTS)
    selection = choose(get_strategy("usim-f")(), view, BUDGET, np.random.default_rng(0))
    assert np.unique(selection.indices).size == BUDGET
    print(peak_rss_mib())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
