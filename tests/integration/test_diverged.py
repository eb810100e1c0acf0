"""Trainings whose numbers are no numbers any more: one line, and nothing that would be taken for a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import albench
from albench.data import Dataset
from albench.errors import ChainsFailedError
from albench.scoring.request import Need, ScoringRequest
from albench.study.workers import run_studies
from albench.training.base import TrainingReport
from albench.training.fake import FakeTrainer
from albench.training.nnunet import NnunetTrainer
from albench.training.trainer import ALTrainer
from albench.units.pool import Pool, Split
from tests.support.fake_study import fake_protocol, fake_study
from tests.support.small_trainer import small_split, small_trainer


def test_what_a_training_says_is_told_with_its_place(
    phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = FakeTrainer.train

    def diverges(self: FakeTrainer, units: Any, *, target: Path, **others: Any) -> TrainingReport:
        if "round-1" in str(target):
            raise FloatingPointError("training diverged: the loss is nan at iteration 7 of 100")
        return train(self, units, target=target, **others)

    monkeypatch.setattr(FakeTrainer, "train", diverges)
    study = fake_study(phantom, tmp_path, fake_protocol(rounds=2))
    where = "random seed 0 round 1: training diverged: the loss is nan at iteration 7 of 100"
    with pytest.raises(ChainsFailedError, match=where):
        run_studies([study], ["random"], [0], n_processes=1)
    folder = study.folder.chain("random", 0).round(1)
    assert folder.stage("query").is_file() and folder.trainings() == []
    monkeypatch.undo()
    run_studies([study], ["random"], [0], n_processes=1)
    assert folder.trainings() == ["train"]


@pytest.mark.slow
def test_a_learning_rate_that_is_far_too_large(phantom_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = albench.RunRequest(
        str(phantom_root),
        strategy="random",
        rounds=1,
        jobs=1,
        out=out,
        cache=tmp_path / "cache",
        set=["training.initial_lr=1e6", "training.first_iterations=30", "pool.start=6", "training.folds=2"],
    )
    for _ in range(2):
        with pytest.raises(ChainsFailedError) as raised:
            albench.run(request)
        for part in ("seed 0 round 0: fold 0:", "at iteration ", "of 30", "--set training.initial_lr=100000"):
            assert part in str(raised.value)
        assert not list(out.rglob("train*.stage.json")) and not list(out.rglob("*.pth"))


@pytest.fixture(scope="module")
def split(phantom: Dataset) -> Split:
    return small_split(phantom)


@pytest.fixture(scope="module")
def trainer(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> NnunetTrainer:
    return small_trainer(phantom, tmp_path_factory.mktemp("nnunet"), 0)


def train(trainer: NnunetTrainer, target: Path) -> TrainingReport:
    pool: Pool = trainer.store.pool
    return trainer.train(
        pool.units[::9], iterations=4, key=("test",), initial=None, target=target, on_iteration=lambda loss: None
    )


@pytest.mark.slow
def test_weights_that_only_the_last_step_spoiled_are_not_kept(
    trainer: NnunetTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = ALTrainer.train_step, []

    def spoils(self: ALTrainer, batch: dict[str, torch.Tensor]) -> Any:
        steps.append(step(self, batch))
        if len(steps) == 4:
            next(self.plain_network.parameters()).data.view(-1)[0] = torch.inf
        return steps[-1]

    monkeypatch.setattr(ALTrainer, "train_step", spoils)
    with pytest.raises(FloatingPointError, match=r"weights that are not finite after the last iteration of 4; a lower"):
        train(trainer, tmp_path / "model.pth")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_steps_that_a_gradient_scaler_skips_are_no_divergence(
    trainer: NnunetTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialize, scales = ALTrainer.initialize, []

    def scaled(self: ALTrainer) -> None:
        initialize(self)
        self.grad_scaler = torch.amp.GradScaler("cpu", init_scale=1e38)  # gradients overflow, as in mixed precision
        scales.append(self.grad_scaler)

    monkeypatch.setattr(ALTrainer, "initialize", scaled)
    assert np.isfinite(train(trainer, tmp_path / "model.pth").loss)
    assert scales[0].get_scale() < 1e38  # at least one step was skipped


@pytest.mark.slow
def test_networks_that_compute_no_numbers_neither_predict_nor_score(
    trainer: NnunetTrainer, split: Split, tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    train(trainer, path)
    checkpoint = torch.load(path, weights_only=True)
    for name, values in checkpoint["network_weights"].items():
        if "seg_layers" in name:
            values.fill_(3e38)  # a number, so that the model is read, whose products are none
    torch.save(checkpoint, path)
    model = trainer.load(path)
    with pytest.raises(FloatingPointError, match=f"output for case {split.test[0]} is not finite"):
        model.predict(split.test[0])
    request = ScoringRequest(2, 0.1, 16, False, np.array([0.0, 0.5, 0.5]), ("test",))
    for need in (Need.ENTROPY, Need.VARIANCE, Need.FISHER):
        with pytest.raises(FloatingPointError, match=r"score .* is not finite"):
            model.score(trainer.store.pool.units, need, request)
