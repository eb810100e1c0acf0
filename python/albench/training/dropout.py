"""Element-wise dropout on the processor with masks that are drawn several numbers at a time.

torch draws one number for every element, which on a processor takes longer than the convolution before it. Here 16 bits
decide an element, so that the rate is a multiple of 1 / 65536.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

_LEVELS = 2**16
_PER_WORD = 4  # 16-bit numbers in a 64-bit one


def dropped(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Zero elements of `x` with probability `rate`, and scale the others so that the expectation stays.

    Parameters
    ----------
    x
        Of any shape, on the processor.
    rate
        0 to 1, not included; rounded to a multiple of 1 / 65536.

    Notes
    -----
    Torch's own generator seeds the mask's, so that `torch.manual_seed` makes it repeat.
    """
    n_dropped = round(rate * _LEVELS)
    seed = int(torch.randint(2**63 - 1, ()))
    words = np.random.Generator(np.random.SFC64(seed)).integers(
        -(2**63), 2**63 - 1, -(-x.numel() // _PER_WORD), dtype=np.int64, endpoint=True
    )
    numbers = torch.from_numpy(words).view(torch.int16)[: x.numel()].view(x.shape)
    kept = numbers >= n_dropped - _LEVELS // 2
    return x.mul(kept).mul_(_LEVELS / (_LEVELS - n_dropped))


class _Dropout(nn.Dropout):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return dropped(x, self.p) if self.training and self.p > 0 else x


def drop_in_words(network: nn.Module, device: torch.device) -> None:
    """Let a network's element-wise dropout layers draw their masks as `dropped` does; on a GPU nothing changes."""
    if device.type != "cpu":
        return
    for module in network.modules():
        if type(module) is nn.Dropout:
            module.__class__ = _Dropout
