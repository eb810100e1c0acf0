"""al-bench's training loop around a network of a few numbers, with dropout, momentum, statistics as in a real one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from torch import nn
from torch.amp.grad_scaler import GradScaler

from albench.training.dropout import drop_in_words
from albench.training.trainer import ALTrainer, TrainingRequest

_SIZE = 6


class _Source:
    """Stands for nnU-Net's loader: draws from all global generators."""

    def generate_train_batch(self) -> dict[str, Any]:
        data = torch.from_numpy(np.random.random((4, _SIZE))).float() + 0.1 * torch.rand(4, _SIZE)  # noqa: NPY002
        return {"data": data, "target": data.sum(dim=1, keepdim=True)}


class TinyTrainer(ALTrainer):
    """Has what `ALTrainer.fit` looks at, and nothing of nnU-Net's own making.

    Parameters
    ----------
    scaled
        Whether gradients are scaled as on a GPU, with a scale that changes at every other step.
    """

    def __init__(self, n_iterations: int, *, scaled: bool = False) -> None:
        self._request = TrainingRequest(n_iterations, 4, 0.05, 0.9, True, 0.0, ("tiny",))
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(1)
            layers = [nn.Linear(_SIZE, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1)]
            self.network = nn.Sequential(*layers, nn.Linear(1, 1).requires_grad_(False))
        drop_in_words(self.network, torch.device("cpu"))
        self.device = torch.device("cpu")
        self.enable_deep_supervision = False
        self.loss = nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.05, momentum=0.9, nesterov=True)
        self.lr_scheduler = PolyLRScheduler(self.optimizer, 0.05, n_iterations)
        self.grad_scaler = GradScaler("cpu", init_scale=8.0, growth_interval=2) if scaled else None

    def source(self) -> Any:
        return _Source()

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        pass

    @property
    def values(self) -> dict[str, torch.Tensor]:
        """All that a training leaves."""
        buffers = self.optimizer.state_dict()["state"]
        momentum = {f"momentum {number}": state["momentum_buffer"] for number, state in buffers.items()}
        scale = {} if self.grad_scaler is None else {"scale": torch.tensor(self.grad_scaler.get_scale())}
        return {**self.network.state_dict(), **momentum, **scale}
