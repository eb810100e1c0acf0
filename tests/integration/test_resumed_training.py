"""Trainings of nnU-Net that are killed and go on end with the very file of one that was left alone."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import pytest
import torch

from albench.data import Dataset
from albench.machine.removal import set_aside
from albench.training.annotated import AnnotatedDataset
from albench.training.base import Saving, TrainingReport
from albench.training.nnunet import NnunetTrainer
from albench.training.trainer import ALTrainer
from tests.support.small_trainer import small_trainer

pytestmark = pytest.mark.slow
N = 8


@dataclass
class Place:
    """A training, saved after every iteration, and its model."""

    trainer: NnunetTrainer
    folder: Path
    initial: Path | None = None
    said: list[str] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)

    @property
    def model(self) -> Path:
        return self.folder / "model.pth"

    @property
    def saved(self) -> Path:
        return self.folder / "train.unfinished"

    def train(self, do: Callable[[int], None] = lambda n: None, *, every_s: float = 0.0) -> TrainingReport:
        done = 0

        def begin(iteration: int) -> None:
            nonlocal done
            done = iteration
            self.begun.append(iteration)

        def on_iteration(loss: float) -> None:
            nonlocal done
            done += 1
            do(done)

        saving = Saving(
            self.saved, "voxels", lambda path: set_aside(path, self.folder), self.said.append, begin, every_s, share=inf
        )
        return self.trainer.train(
            self.trainer.store.pool.units[::9],
            iterations=N,
            key=("resumed",),
            initial=self.initial,
            target=self.model,
            on_iteration=on_iteration,
            saving=saving,
        )

    def train_elsewhere(self, kill_at: int, by: signal.Signals) -> int | None:
        """Train in another process, which gets a signal at an iteration, its loaders too; return how that ended."""

        def main() -> None:
            os.setpgrp()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.train(lambda n: os.killpg(0, by) if n == kill_at else None)

        process = multiprocessing.get_context("fork").Process(target=main)
        process.start()
        process.join(120)
        return process.exitcode


@pytest.fixture(scope="module")
def trainer(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> NnunetTrainer:
    return small_trainer(phantom, tmp_path_factory.mktemp("nnunet"), 0)


@pytest.fixture(scope="module")
def alone(trainer: NnunetTrainer, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """Model and loss of a training that nothing befell."""
    place = Place(trainer, tmp_path_factory.mktemp("alone"))
    report = place.train(every_s=3600)
    assert not place.saved.exists() and report.warnings == () and place.begun == [0]
    return place.model.read_bytes(), report.loss


@pytest.fixture(params=[0, 2])
def n_loaders(request: pytest.FixtureRequest, trainer: NnunetTrainer, monkeypatch: pytest.MonkeyPatch) -> int:
    """Loader processes in front of the trainer."""
    n: int = request.param
    monkeypatch.setattr(trainer, "_n_loaders", n)
    return n


def test_killed_at_random_iterations(
    trainer: NnunetTrainer, alone: tuple[bytes, float], n_loaders: int, tmp_path: Path
) -> None:
    place, rng = Place(trainer, tmp_path), random.Random(n_loaders)
    for kill_at in sorted(rng.sample(range(1, N + 1), 3)):
        assert place.train_elsewhere(kill_at, signal.SIGKILL) == -signal.SIGKILL
        assert not place.model.exists()
    torch.manual_seed(5)
    report = place.train()
    assert place.begun[0] == kill_at - 1
    assert (place.model.read_bytes(), report.loss) == alone


@pytest.mark.usefixtures("n_loaders")
def test_asked_to_end_it_loses_nothing(trainer: NnunetTrainer, alone: tuple[bytes, float], tmp_path: Path) -> None:
    place = Place(trainer, tmp_path)
    assert place.train_elsewhere(5, signal.SIGTERM) == -signal.SIGTERM
    report = place.train(every_s=3600)
    assert place.said == ["goes on at iteration 5"]
    assert (place.model.read_bytes(), report.loss) == alone
    assert report.fit_s > 0


def test_other_units_or_another_start_begin_anew(
    trainer: NnunetTrainer, alone: tuple[bytes, float], tmp_path: Path
) -> None:
    first = tmp_path / "first.pth"
    first.write_bytes(alone[0])
    place = Place(trainer, tmp_path)
    assert place.train_elsewhere(4, signal.SIGKILL) == -signal.SIGKILL
    place.initial = first
    place.train(every_s=3600)
    assert place.begun == [0] and "of another training" in place.said[0]
    warm = place.model.read_bytes()
    assert place.train_elsewhere(4, signal.SIGKILL) == -signal.SIGKILL
    place.train(every_s=3600)
    assert place.begun == [0, 3] and place.model.read_bytes() == warm != alone[0]


def test_batches_stay_as_small_as_memory_made_them(
    trainer: NnunetTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = ALTrainer.train_step

    def limited(self: ALTrainer, batch: dict[str, torch.Tensor]) -> object:
        if len(batch["data"]) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, batch)

    monkeypatch.setattr(ALTrainer, "train_step", limited)
    whole = Place(trainer, tmp_path / "whole")
    whole.train(every_s=3600)
    assert whole.begun == [0, 0]
    place = Place(trainer, tmp_path / "killed")
    assert place.train_elsewhere(4, signal.SIGKILL) == -signal.SIGKILL
    monkeypatch.undo()  # on a machine with more memory
    report = place.train()
    assert place.begun == [3] and report.warnings == ("out of memory with batches of 12, went on with 6",)
    assert place.model.read_bytes() == whole.model.read_bytes()


def test_without_a_loader_that_died_it_goes_on_from_where_it_was_saved(
    trainer: NnunetTrainer, alone: tuple[bytes, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, calls = AnnotatedDataset.load_case, iter(range(10**6))

    def dies(self: AnnotatedDataset, identifier: str) -> object:
        if torch.utils.data.get_worker_info() is not None and next(calls) == 70:
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, identifier)

    monkeypatch.setattr(AnnotatedDataset, "load_case", dies)
    monkeypatch.setattr(trainer, "_n_loaders", 1)
    place = Place(trainer, tmp_path)
    report = place.train()
    assert report.warnings == ("a loader process died, started again without any",)
    assert place.begun[0] == 0 and place.begun[1] > 0
    assert (place.model.read_bytes(), report.loss) == alone
