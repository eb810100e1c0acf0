"""Real trainings and scorings that lose a loader process, their memory, or a file."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import resource_sharer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albench.data import Case, Dataset
from albench.scoring.request import Need, ScoringRequest
from albench.training import preprocess
from albench.training.annotated import AnnotatedDataset
from albench.training.base import TrainingReport
from albench.training.nnunet import NnunetTrainer
from albench.training.trainer import ALTrainer
from albench.units.pool import Pool, Split, Unit
from tests.support.small_trainer import small_split, small_trainer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def split(phantom: Dataset) -> Split:
    return small_split(phantom)


@pytest.fixture(scope="module")
def trainer(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> NnunetTrainer:
    return small_trainer(phantom, tmp_path_factory.mktemp("nnunet"), 2)


@pytest.fixture(scope="module")
def pool(trainer: NnunetTrainer) -> Pool:
    return trainer.store.pool


def train(trainer: NnunetTrainer, units: tuple[Unit, ...], target: Path) -> tuple[TrainingReport, dict[str, Any]]:
    report = trainer.train(
        units, iterations=6, key=("test",), initial=None, target=target, on_iteration=lambda loss: None
    )
    return report, dict(torch.load(target, weights_only=True)["network_weights"])


@pytest.fixture(scope="module")
def undisturbed(trainer: NnunetTrainer, pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Weights of a training that nothing befell."""
    report, weights = train(trainer, pool.units[::9], tmp_path_factory.mktemp("undisturbed") / "model.pth")
    assert report.warnings == ()
    return weights


def dies_as_a_case_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    load = AnnotatedDataset.load_case
    calls = iter(range(10**6))

    def dies(self: AnnotatedDataset, identifier: str) -> Any:
        if torch.utils.data.get_worker_info() is not None and next(calls) == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, identifier)

    monkeypatch.setattr(AnnotatedDataset, "load_case", dies)


def dies_as_a_batch_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(sharer: Any) -> None:
        sharer._listener.accept().close()
        time.sleep(0.2)  # the system reports a death after it closed the sockets: here, surely after
        os.kill(os.getpid(), signal.SIGKILL)

    # the thread of a loader process that hands a tensor's file to whoever asks
    monkeypatch.setattr(type(resource_sharer._resource_sharer), "_serve", dies)


# The interpreter closes what a fetch that broke off had opened, and pytest would make an error of that.
@pytest.mark.filterwarnings(r"ignore:(?s).*unclosed <socket")
# PyTorch reports a death by an exception from a signal handler. In a weak reference's callback that goes unheard, and
# the next look at the processes finds it.
@pytest.mark.filterwarnings(r"ignore:(?s)Exception ignored in.*weakref|.*WeakKeyDictionary")
@pytest.mark.parametrize("death", [dies_as_a_case_is_read, dies_as_a_batch_is_fetched])
def test_a_loader_process_that_dies_changes_nothing(
    death: Callable[[pytest.MonkeyPatch], None],
    trainer: NnunetTrainer,
    pool: Pool,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    death(monkeypatch)
    report, weights = train(trainer, pool.units[::9], tmp_path / "model.pth")
    assert report.warnings == ("a loader process died, started again without any",)
    for name, value in undisturbed.items():
        assert torch.equal(weights[name], value)


def test_what_a_living_loader_process_raises_is_no_death(
    trainer: NnunetTrainer, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def truncated(self: AnnotatedDataset, identifier: str) -> Any:
        raise EOFError(f"{identifier} ends early")

    monkeypatch.setattr(AnnotatedDataset, "load_case", truncated)
    with pytest.raises(EOFError, match="ends early"):
        train(trainer, pool.units[::9], tmp_path / "model.pth")


def test_out_of_memory_halves_the_batch_and_says_so(
    trainer: NnunetTrainer, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, sizes = ALTrainer.train_step, []

    def limited(self: ALTrainer, batch: dict[str, torch.Tensor]) -> Any:
        sizes.append(len(batch["data"]))
        if len(batch["data"]) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, batch)

    monkeypatch.setattr(ALTrainer, "train_step", limited)
    report, _ = train(trainer, pool.units[::9], tmp_path / "model.pth")
    assert report.warnings == ("out of memory with batches of 12, went on with 6",)
    assert sizes == [12] + 6 * [6]


def test_scoring_and_predicting_out_of_memory_go_on(
    trainer: NnunetTrainer, pool: Pool, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(trainer, pool.units[::9], tmp_path / "model.pth")
    plan = ScoringRequest(4, 0.1, 16, False, np.array([0.0, 0.5, 0.5]), ("test",))
    model = trainer.load(tmp_path / "model.pth")
    expected, labels = model.score(pool.units, Need.ENTROPY, plan).entropy, model.predict(split.test[0])
    assert expected is not None
    limited = trainer.load(tmp_path / "model.pth")
    forward = limited.network.forward

    def little_memory(images: torch.Tensor) -> Any:
        if len(images) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(images)

    monkeypatch.setattr(limited.network, "forward", little_memory)
    found = limited.score(pool.units, Need.ENTROPY, plan).entropy
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert limited.warnings == [f"out of memory with batches of {n}, went on with {n // 2}" for n in (16, 8)]
    np.testing.assert_array_equal(limited.predict(split.test[0]), labels)


def test_a_damaged_preprocessed_file_is_made_again(
    trainer: NnunetTrainer, pool: Pool, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [*split.pool, *split.test]
    digests = preprocess.stored_files(trainer.store, cases)
    damaged, missing = (trainer.store.case_folder / f"{case}.b2nd" for case in split.pool[:2])
    before = {path: path.read_bytes() for path in (damaged, missing)}
    damaged.write_bytes(before[damaged][:-1] + b"?")
    missing.unlink()
    made, run = [], preprocess._run_case

    def recorded(preprocessor: Any, store: Any, case: Case, *rest: Any) -> None:
        made.append(case.name)
        run(preprocessor, store, case, *rest)

    monkeypatch.setattr(preprocess, "_run_case", recorded)
    trainer.preprocess(split, pool, pool.units[::9], lambda: None)
    assert made == list(split.pool[:2])
    assert preprocess.stored_files(trainer.store, cases) == digests


@pytest.mark.parametrize("name", ["nnUNetPlans.json", "dataset.json", "pool.parquet"])
def test_all_cases_are_made_again_where_the_plans_or_units_were_others(
    trainer: NnunetTrainer, split: Split, name: str
) -> None:
    assert preprocess.is_whole(trainer.store, split.pool[0])
    file = trainer.store.folder / name
    before = file.read_bytes()
    file.write_bytes(before + b" ")
    assert not preprocess.is_whole(trainer.store, split.pool[0])
    file.write_bytes(before)
