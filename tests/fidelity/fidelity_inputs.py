"""What the tests of this folder read: frozen inputs, and what the published code made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

INPUTS = Path(__file__).parent / "inputs"
PUBLISHED = Path(__file__).parent / "published"


def inputs(name: str) -> dict[str, np.ndarray]:
    """Frozen arrays of `name`."""
    with np.load(INPUTS / f"{name}.npz") as stored:
        return dict(stored)


def published(name: str) -> dict[str, Any]:
    """What the published function `name` gave, with the commit and the file it is from."""
    return json.loads((PUBLISHED / f"{name}.json").read_text())


def made_network(*, seed: int) -> PlainConvUNet:
    """A 2D U-Net with four stages and deep supervision as nnU-Net builds it, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PlainConvUNet(
            input_channels=2,
            n_stages=4,
            features_per_stage=[4, 6, 8, 8],
            conv_op=nn.Conv2d,
            kernel_sizes=[[3, 3]] * 4,
            strides=[[1, 1], [2, 2], [2, 2], [2, 2]],
            n_conv_per_stage=[2] * 4,
            num_classes=3,
            n_conv_per_stage_decoder=[2] * 3,
            conv_bias=True,
            norm_op=nn.InstanceNorm2d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=True,
        )


def frozen_network() -> tuple[PlainConvUNet, torch.Tensor]:
    """The network with its frozen weights, in eval mode, and the frozen images (6, 2, 16, 16)."""
    arrays = inputs("network")
    images = torch.from_numpy(arrays.pop("images"))
    made = made_network(seed=0).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        parameter.copy_(torch.from_numpy(arrays[name]))
    return made, images
