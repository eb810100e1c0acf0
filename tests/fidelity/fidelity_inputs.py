"""What the tests of this folder read: frozen inputs, and what the published code made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

torch.set_num_threads(1)

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


class Replay:
    """A random generator that gives what the published code drew, and insists on being asked for the same.

    Parameters
    ----------
    draws
        As stored: what was called, with which arguments, and the result.
    """

    def __init__(self, *draws: dict[str, Any]) -> None:
        self._draws = list(draws)

    def _next(self, call: str) -> dict[str, Any]:
        assert self._draws, f"{call}: the published code draws no more"
        draw = self._draws.pop(0)
        assert draw["call"] == call
        return draw

    def choice(self, n: int, size: int, replace: bool = True, p: np.ndarray | None = None) -> np.ndarray:
        draw = self._next("choice")
        assert (n, size, replace) == (draw["n"], draw["size"], draw["replace"])
        if draw["p"] is None:
            assert p is None
        else:
            np.testing.assert_allclose(p, draw["p"], rtol=1e-4, atol=1e-9)
        return np.array(draw["result"])

    def permutation(self, n: int) -> np.ndarray:
        draw = self._next("permutation")
        assert n == draw["n"]
        return np.array(draw["result"])

    def gumbel(self, loc: float = 0.0, scale: float = 1.0, size: int | None = None) -> np.ndarray:
        draw = self._next("gumbel")
        assert loc == 0
        assert scale == pytest.approx(draw["scale"])
        assert np.size(draw["result"]) == size
        return np.array(draw["result"])

    def integers(self, high: int) -> int:
        """A seed for a routine that draws nothing."""
        return 0

    def finish(self) -> None:
        """Fail where the published code drew more."""
        assert not self._draws


def gumbel(noise: Any, scale: float) -> dict[str, Any]:
    """A draw of Gumbel noise for `Replay`."""
    return {"call": "gumbel", "scale": scale, "result": noise}
