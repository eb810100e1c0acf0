"""With every voxel labelled and no dropout, our trainer takes the very steps of nnU-Net's own.

Both count in float64: in float32 the two round otherwise where memory lies otherwise, and eight steps with momentum
make of it a thousandth of what they moved.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from albench.data import Dataset
from albench.training.annotated import AnnotatedDataset
from albench.training.loader import batches
from albench.training.nnunet import NnunetTrainer
from albench.training.nnunet_env import nnunet_folders, quiet
from albench.training.preprocess import PreprocessedStore
from albench.training.runtime import configure_cpu
from albench.training.trainer import ALTrainer, TrainingRequest
from albench.units.pool import Split
from tests.support.fake_study import fake_protocol

pytestmark = pytest.mark.slow
N_STEPS = 8
PLAN = TrainingRequest(
    N_STEPS,
    batch_size=4,
    initial_lr=0.01,
    momentum=0.99,
    mirroring=True,
    oversample_foreground=0.33,
    key=("steps",),
)


def nnunets_own(store: PreprocessedStore, scratch: Path) -> nnUNetTrainer:
    """Build nnU-Net's trainer with nothing of active learning: neither dropout nor an ignore label; an epoch a step."""
    plans = copy.deepcopy(store.plans) | {"continue_training": False}
    configuration = plans["configurations"][store.configuration]
    configuration["batch_size"] = PLAN.batch_size
    configuration["architecture"]["arch_kwargs"] |= {"dropout_op": None, "dropout_op_kwargs": None}
    description = copy.deepcopy(store.dataset_json)
    del description["labels"]["ignore"]
    with nnunet_folders(store.base, results=scratch), quiet():
        trainer = nnUNetTrainer(plans, store.configuration, 0, description, torch.device("cpu"))
        trainer.num_epochs = N_STEPS
        trainer.initialize()
    return trainer


def in_float64(network: torch.nn.Module) -> None:
    """Have a network count in float64 whatever batches come."""
    network.double()
    network.register_forward_pre_hook(lambda _, inputs: tuple(value.double() for value in inputs))


def test_every_step_is_that_of_nnunets_own_trainer(phantom: Dataset, tmp_path: Path) -> None:
    configure_cpu(1)
    trainer = NnunetTrainer(phantom, fake_protocol(), torch.device("cpu"), tmp_path, 0)
    split = Split(phantom.case_names[:3], phantom.case_names[3:4])
    pool = trainer.scan(split, lambda: None).pool
    trainer.preprocess(split, pool, pool.units, lambda: None)
    dataset = AnnotatedDataset(trainer.store, pool.units)
    ours = ALTrainer.create(trainer.store, dataset, PLAN, torch.device("cpu"), tmp_path / "ours")
    for module in ours.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    plain = nnunets_own(trainer.store, tmp_path / "plain")
    for network in (ours.network, plain.network):
        in_float64(network)
    with torch.no_grad():
        for target, value in zip(plain.network.parameters(), ours.network.parameters(), strict=True):
            target.copy_(value)
    before = [value.detach().clone() for value in ours.network.parameters()]

    losses: list[float] = []
    ours.fit(n_workers=0, on_iteration=losses.append)
    expected: list[float] = []
    for step, batch in enumerate(batches(ours.source(), n_batches=N_STEPS, key=("steps", "batches"), n_workers=0)):
        plain.current_epoch = step
        with quiet():
            plain.on_train_epoch_start()
        expected.append(float(plain.train_step(batch)["loss"]))

    assert losses == pytest.approx(expected, rel=1e-9)
    for value, target, start in zip(ours.network.parameters(), plain.network.parameters(), before, strict=True):
        moved = torch.norm(target - start)
        assert torch.norm(value - target) <= 1e-7 * moved + 1e-12
