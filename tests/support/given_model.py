"""A model folder such as ``nnUNetv2_train`` leaves, with all that nnU-Net keeps in a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from albench.machine.files import write_json
from albench.training.checkpoint import network_of
from tests.support.hostile import DESCRIPTION, PLANS

PLAIN_DESCRIPTION = {**DESCRIPTION, "labels": {"background": 0, "organ": 1}}


def plain_plans(plans: Mapping[str, Any] = PLANS) -> dict[str, Any]:
    """Plans of a network without dropout."""
    result = copy.deepcopy(dict(plans))
    (configuration,) = result["configurations"].values()
    configuration["architecture"]["arch_kwargs"] |= {"dropout_op": None, "dropout_op_kwargs": None}
    return result


def content_of(
    plans: Mapping[str, Any], description: Mapping[str, Any], fold: int | str, **more: Any
) -> dict[str, Any]:
    """What nnU-Net's trainer saves; weights depend on the fold."""
    (name,) = plans["configurations"]
    torch.manual_seed(0 if fold == "all" else int(fold) + 1)
    network = network_of(plans, description, name)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99)
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.25)], "ema_fg_dice": [np.float32(0.5)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"plans": dict(plans), "configuration": name, "fold": fold, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    } | more


def given_folder(
    root: Path,
    *,
    plans: Mapping[str, Any] | None = None,
    description: Mapping[str, Any] = PLAIN_DESCRIPTION,
    folds: Sequence[int | str] = (0,),
    **more: Any,
) -> Path:
    """Write a model folder; `more` replaces entries of the checkpoints."""
    plans = plain_plans() if plans is None else plans
    folder = root / "Dataset001_d" / "nnUNetTrainer__nnUNetPlans__2d"
    write_json(folder / "plans.json", dict(plans))
    write_json(folder / "dataset.json", dict(description))
    for fold in folds:
        place = folder / f"fold_{fold}"
        place.mkdir(parents=True)
        torch.save(content_of(plans, description, fold, **more), place / "checkpoint_final.pth")
    return folder
