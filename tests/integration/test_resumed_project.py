"""`al-bench train` that is killed goes on where it was, folds that were over among it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from albench.data import Dataset
from albench.progress import SILENT
from albench.project.request import TrainRequest
from albench.project.train import train_project
from albench.training.trainer import ALTrainer
from tests.support.fake_study import Listening

pytestmark = pytest.mark.slow
N = 4


def request_of(raw: Path, out: Path) -> TrainRequest:
    settings = (f"training.first_iterations={N}", "training.folds=2")
    return TrainRequest(raw, out, set=settings, device="cpu", cache=raw.parent / "cache", checkpoint_minutes=60)


@pytest.fixture
def raw(phantom: Dataset, tmp_path: Path) -> Path:
    """A raw data set of four cases that is labelled completely."""
    folder = tmp_path / "Dataset021_Whole"
    for place in ("imagesTr", "labelsTr"):
        (folder / place).mkdir(parents=True)
    for case in phantom.cases[:4]:
        shutil.copy(case.images[0], folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        shutil.copy(case.reference, folder / "labelsTr" / f"{case.name}.nii.gz")
    labels = {name: value for value, name in phantom.labels.items()}
    (folder / "dataset.json").write_text(json.dumps({
        "channel_names": {"0": phantom.channel_names[0]}, "labels": labels, "numTraining": 4, "file_ending": ".nii.gz"
    }))  # fmt: skip
    return folder


def elsewhere(do: Callable[[], object]) -> int | None:
    def main() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        do()

    process = multiprocessing.get_context("fork").Process(target=main)
    process.start()
    process.join(300)
    return process.exitcode


def models(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(out.rglob("checkpoint_final.pth"))}


def test_a_project_goes_on_in_the_fold_that_it_was_in(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_project(request_of(raw, tmp_path / "alone"), SILENT)
    assert not list(tmp_path.rglob("*.unfinished"))
    step, n_steps = ALTrainer.train_step, 0

    def asked(self: ALTrainer, batch: object) -> object:
        nonlocal n_steps
        n_steps += 1
        if n_steps == N + 3:  # in the second fold
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch)

    monkeypatch.setattr(ALTrainer, "train_step", asked)
    request = request_of(raw, tmp_path / "killed")
    assert elsewhere(lambda: train_project(request, SILENT)) == -signal.SIGTERM
    assert not request.out.exists() and len(list(tmp_path.rglob("*.unfinished"))) == 2
    said = Listening()
    trained = train_project(request, said)
    assert [line.rpartition(": ")[2] for line in said.heard if "goes on" in line] == [
        f"goes on at iteration {N}",
        "goes on at iteration 3",
    ]
    assert n_steps == N - 3
    assert len(models(tmp_path / "alone")) == 2
    assert models(request.out) == models(tmp_path / "alone")
    assert len(trained.reports) == 2 and not list(tmp_path.rglob("*.unfinished"))
