"""How studies have trainings saved: where, until when, and what of it a study that goes on sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from albench.data import Dataset
from albench.machine.claims import Held
from albench.machine.files import read_json, write_json
from albench.results.claims import Claims
from albench.results.layout import RunFolder
from albench.study.parts import parts_of, run_part
from albench.study.study import Study
from albench.study.workers import Job, is_done, run_studies, setup_seed
from albench.training.base import Saving, Trainer, TrainingReport
from albench.training.fake import FakeTrainer
from tests.support.fake_study import FakeFactory, Listening, fake_protocol, fake_study

STOP_AT = 30


class StoppedError(Exception):
    """Stands for a kill."""


class SavingTrainer(FakeTrainer):
    """Saves a number after `STOP_AT` iterations, and stops there the first time."""

    def train(self, units: Any, *, saving: Saving | None = None, on_iteration: Any, **others: Any) -> TrainingReport:
        if saving is None:
            return super().train(units, on_iteration=on_iteration, **others)
        begun = 0
        if saving.file.exists():
            try:
                begun = read_json(saving.file)["iteration"]
                saving.say(f"goes on at iteration {begun}")
            except ValueError:
                saving.say(f"{saving.set_aside(saving.file)} is of no use")
        saving.begin(begun)
        counted = begun

        def count(loss: float) -> None:
            nonlocal counted
            if counted < others["iterations"]:
                on_iteration(loss)
            counted += 1
            if counted == STOP_AT and others["target"].parts[-4:-1] == ("random", "seed-0", "round-1"):
                write_json(saving.file, {"iteration": counted, "of": saving.of, "every_s": saving.every_s})
                raise StoppedError

        return super().train(units, on_iteration=count, **others)


@dataclass(frozen=True)
class SavingFactory(FakeFactory):
    def __call__(self, work: Path) -> Trainer:
        return SavingTrainer(self.dataset, work)


def study_of(dataset: Dataset, out: Path, **changes: Any) -> Study:
    return replace(fake_study(dataset, out, fake_protocol(rounds=2)), make_trainer=SavingFactory(dataset), **changes)


class Noting(Listening):
    """Keeps how far tasks were said to be."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[int] = []

    def task(self, title: str, total: int | None = None) -> Any:
        note = self.at.append

        class Task:
            def __enter__(self) -> Callable[..., None]:
                return lambda text="", at=None: note(at) if at is not None and "training" in title else None

            def __exit__(self, *error: object) -> None:
                pass

        return Task()


def run(study: Study, board: Any) -> None:
    run_studies([study], ["random"], [0], 1, board)


@pytest.fixture
def stopped(phantom: Dataset, tmp_path: Path) -> Study:
    """A study whose training of round 1 was stopped."""
    study = study_of(phantom, tmp_path / "out", checkpoint_minutes=7)
    with pytest.raises(Exception, match="StoppedError"):
        run(study, Noting())
    return study


def unfinished(study: Study) -> Path:
    return study.folder.chain("random", 0).round(1).unfinished("train")


def test_what_is_saved_is_beside_the_round_until_its_stage_is_recorded(stopped: Study) -> None:
    saved = read_json(unfinished(stopped))
    assert saved["every_s"] == 7 * 60 and saved["iteration"] == STOP_AT and len(saved["of"]) == 64
    noting = Noting()
    run(stopped, noting)
    title = f"{stopped.dataset.name} random seed 0 round 1"
    assert f"{title}: goes on at iteration {STOP_AT}" in noting.heard
    assert noting.at == [STOP_AT]
    assert not unfinished(stopped).exists()
    assert not list(stopped.out.rglob("*.unfinished"))


def test_what_is_of_no_use_is_set_aside_under_a_name_that_says_whose_it_was(stopped: Study) -> None:
    unfinished(stopped).write_text("damaged")
    with pytest.raises(Exception, match="StoppedError"):
        run(stopped, Noting())
    assert (stopped.out / "set-aside" / "random-seed-0-round-1-train.unfinished-1").read_text() == "damaged"


def test_one_that_a_kill_left_after_the_record_is_removed(stopped: Study) -> None:
    run(stopped, Noting())
    unfinished(stopped).write_text("left")
    setup = setup_seed(stopped, 0, Noting())
    assert not is_done(Job(stopped, 0, "random"), setup, Noting())
    assert unfinished(stopped).exists()  # to look changes nothing
    run(stopped, Noting())
    assert not unfinished(stopped).exists()
    assert is_done(Job(stopped, 0, "random"), setup, Noting())


def test_none_is_asked_for_with_0(phantom: Dataset, tmp_path: Path) -> None:
    study = study_of(phantom, tmp_path / "out", checkpoint_minutes=0)
    run(study, Noting())
    assert not list(tmp_path.rglob("*.unfinished"))


def test_the_claim_says_from_where_it_goes_on(stopped: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (part,) = (part for part in parts_of([stopped], ["random"], [0]) if part.chain == "random")
    claims = Claims(RunFolder(stopped.out), 1000)
    claim = claims.on(*part.key).take()
    assert claim is not None
    seen: list[int] = []

    note = Held.note

    def noted(self: Held, **progress: Any) -> None:
        if "training" in progress["task"]:
            seen.append(progress["n_done"])
        note(self, **progress)

    monkeypatch.setattr(Held, "note", noted)
    run_part((part, claim), Noting())
    assert seen[:3] == [0, STOP_AT, STOP_AT + 1] and seen[-1] == stopped.config.protocol.training.round_iterations
