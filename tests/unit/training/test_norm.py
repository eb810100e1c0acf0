"""Instance normalisation by groups is instance normalisation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from albench.training.norm import normalise_by_groups

CPU = torch.device("cpu")


def _network(dimensions: int) -> nn.Module:
    torch.manual_seed(0)
    conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if dimensions == 2 else (nn.Conv3d, nn.InstanceNorm3d)
    layer = norm(5, affine=True)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return nn.Sequential(conv(2, 5, 3), layer, nn.LeakyReLU(0.01), conv(5, 3, 1))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_same_output_and_gradients(dimensions: int) -> None:
    plain = _network(dimensions).double()
    fast = copy.deepcopy(plain).float()
    normalise_by_groups(fast, CPU)
    assert type(fast[1]) is not type(plain[1])
    images = torch.randn(3, 2, *(9, 8, 7)[:dimensions]) * 5 + 10  # away from zero: where a careless variance fails
    outputs = []
    for network, x in ((plain, images.double()), (fast, images)):
        output = network(x)
        output.square().sum().backward()
        outputs.append(output.detach())
    torch.testing.assert_close(outputs[1].double(), outputs[0], rtol=1e-5, atol=1e-5)
    gradients = [{name: parameter.grad for name, parameter in network.named_parameters()} for network in (plain, fast)]
    # The bias before a normalisation has no effect: its gradient is rounding alone.
    for name in gradients[0].keys() - {"0.bias"}:
        expected = gradients[0][name]
        torch.testing.assert_close(
            gradients[1][name].double(), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
        )


def test_state_is_the_same() -> None:
    plain = _network(2)
    fast = copy.deepcopy(plain)
    normalise_by_groups(fast, CPU)
    assert list(fast.state_dict()) == list(plain.state_dict())
    fast.load_state_dict(plain.state_dict())
    assert isinstance(fast[1], nn.InstanceNorm2d)


@pytest.mark.parametrize(
    "layer", [nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.BatchNorm2d(4)]
)
def test_other_normalisations_stay(layer: nn.Module) -> None:
    before = type(layer)
    normalise_by_groups(nn.Sequential(layer), CPU)
    assert type(layer) is before


def test_a_gpu_keeps_its_own() -> None:
    network = _network(2)
    normalise_by_groups(network, torch.device("cuda"))
    assert type(network[1]) is nn.InstanceNorm2d
