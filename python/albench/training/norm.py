"""Instance normalisation on the processor through torch's group normalisation: the same function, several times faster.

Instance normalisation is group normalisation with one channel a group (Wu and He, ECCV 2018, section 3). torch computes
the former as a batch normalisation of a reshaped array, one element at a time on the processor, and the latter with
vector instructions and without a second array.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class _ByGroups(nn.Module):
    """Forward of an affine instance normalisation without running statistics."""

    num_features: int
    weight: nn.Parameter
    bias: nn.Parameter
    eps: float

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(x, self.num_features, self.weight, self.bias, self.eps)


class _InstanceNorm2d(_ByGroups, nn.InstanceNorm2d):
    pass


class _InstanceNorm3d(_ByGroups, nn.InstanceNorm3d):
    pass


_FAST: dict[type[nn.Module], type[nn.Module]] = {
    nn.InstanceNorm2d: _InstanceNorm2d,
    nn.InstanceNorm3d: _InstanceNorm3d,
}


def normalise_by_groups(network: nn.Module, device: torch.device) -> None:
    """Let a network's instance normalisations go through `torch.nn.functional.group_norm`; names and states stay.

    On a GPU nothing changes: cuDNN's instance normalisation is fast. Rounding differs, by about 1e-6.
    """
    if device.type != "cpu":
        return
    for module in network.modules():
        fast = _FAST.get(type(module))
        if fast is not None and module.affine and not module.track_running_stats:
            module.__class__ = fast
