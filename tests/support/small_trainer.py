"""A real trainer with a few preprocessed phantoms."""

from __future__ import annotations

from pathlib import Path

import torch

from albench.data import Dataset
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Split
from tests.support.fake_study import fake_protocol


def small_split(phantom: Dataset) -> Split:
    """Three cases of the pool, one to test on."""
    return Split(pool=phantom.case_names[:3], test=phantom.case_names[3:4])


def small_trainer(phantom: Dataset, work: Path, n_loaders: int) -> NnunetTrainer:
    """Return a trainer that has preprocessed `small_split`; every ninth unit is annotated."""
    configure_cpu(1)
    trainer = NnunetTrainer(phantom, fake_protocol(), torch.device("cpu"), work, n_loaders)
    split = small_split(phantom)
    pool = trainer.scan(split, lambda: None).pool
    trainer.preprocess(split, pool, pool.units[::9], lambda: None)
    return trainer
