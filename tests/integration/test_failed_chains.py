"""A chain that fails: the others go on, it is named, and the same command does it alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from albench.data import Dataset
from albench.errors import ChainsFailedError, ExhaustedError, InputError
from albench.results.tables import read_rounds
from albench.study import run as run_module
from albench.study.request import RunRequest
from albench.study.run import Resolved
from albench.study.study import Study
from albench.study.workers import run_studies
from albench.terminal import cli
from albench.training.base import Trainer, TrainingReport
from albench.training.fake import FakeTrainer
from tests.support.fake_study import FakeFactory, fake_protocol, fake_study

CHAINS = ("random", "entropy", "mcd", "full")


class UnluckyTrainer(FakeTrainer):
    """Fails as the file ``unlucky`` of the results folder says: part of a path, and what is raised."""

    def train(self, units: Any, *, target: Path, **others: Any) -> TrainingReport:
        file = next(folder for folder in target.parents if (folder / "config.json").exists()) / "unlucky"
        place, _, what = file.read_text().partition(" ") if file.exists() else ("nothing", "", "")
        if place in str(target):
            raise {"memory": MemoryError("a lot"), "bug": KeyError("odd"), "disk": ExhaustedError("no space left")}[
                what
            ]
        return super().train(units, target=target, **others)


@dataclass(frozen=True)
class UnluckyFactory(FakeFactory):
    def __call__(self, work: Path) -> Trainer:
        return UnluckyTrainer(self.dataset, work)


def unlucky_study(dataset: Dataset, out: Path, how: str) -> Study:
    study = replace(fake_study(dataset, out, fake_protocol(rounds=2)), make_trainer=UnluckyFactory(dataset))
    (out / "unlucky").write_text(how)
    return study


def rounds_of(out: Path) -> set[tuple[str, int, int]]:
    return set(read_rounds(out)[["strategy", "seed", "round"]].itertuples(index=False, name=None))


WHOLE = {(name, seed, number) for name in CHAINS[:3] for seed in (0, 1) for number in (0, 1)}
WHOLE |= {("full", seed, 1) for seed in (0, 1)}


@pytest.mark.slow
@pytest.mark.parametrize("n_processes", [1, 2])
def test_the_others_go_on_and_a_rerun_does_the_failed_alone(phantom: Dataset, tmp_path: Path, n_processes: int) -> None:
    study = unlucky_study(phantom, tmp_path, "mcd/seed-1/round-1 memory")
    with pytest.raises(ChainsFailedError) as failed:
        run_studies([study], CHAINS, [0, 1], n_processes)
    first, last = str(failed.value).splitlines()
    assert first.startswith(f"{phantom.name} mcd seed 1 round 1: out of memory (a lot)")
    assert last == "1 failed; what did not depend on them is done, and the same command runs what is left"
    assert rounds_of(tmp_path) == WHOLE - {("mcd", 1, 1)}
    (tmp_path / "unlucky").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.stage.json")}
    run_studies([study], CHAINS, [0, 1], 1)
    assert rounds_of(tmp_path) == WHOLE
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path.parent for path in tmp_path.rglob("*.stage.json") if path not in before} == {
        study.folder.chain("mcd", 1).round(1).path
    }


def test_chains_whose_start_fails_are_not_begun(phantom: Dataset, tmp_path: Path) -> None:
    study = unlucky_study(phantom, tmp_path, "_shared/seed-0 bug")
    with pytest.raises(ChainsFailedError) as failed:
        run_studies([study], CHAINS, [0, 1], 1)
    first, _ = str(failed.value).splitlines()
    assert first == (
        f"{phantom.name} shared seed 0: KeyError: 'odd' (--debug shows where); 3 chains that begin with it were not "
        "begun"
    )
    assert rounds_of(tmp_path) == {row for row in WHOLE if row[1] == 1 or row[0] == "full"}


def test_a_full_disk_stops_all(phantom: Dataset, tmp_path: Path) -> None:
    study = unlucky_study(phantom, tmp_path, "random/seed-0 disk")
    with pytest.raises(ExhaustedError, match="no space left"):
        run_studies([study], CHAINS, [0, 1], 1)
    assert ("mcd", 1, 1) not in rounds_of(tmp_path)


@pytest.mark.slow
def test_the_command_ends_with_1_a_line_each_and_the_report(
    phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def resolve(request: RunRequest, reporter: object) -> Resolved:
        return Resolved(request, (unlucky_study(phantom, out, "mcd memory"),), 1)

    monkeypatch.setattr(run_module, "resolve", resolve)
    command = ["run", "--dataset", str(phantom.root), "--strategy", "random,mcd", "--seeds", "2", "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-4] == f"report of what is done: {out}/report/index.html"
    assert [line.partition(" round 1: out of memory")[0] for line in lines[-3:-1]] == [
        f"al-bench: {phantom.name} mcd seed {seed}" for seed in (0, 1)
    ]
    assert lines[-1].startswith("al-bench: 2 failed; ")
    with pytest.raises(ChainsFailedError) as raised:
        cli.main([*command, "--debug"])
    assert isinstance(raised.value.__cause__, ExceptionGroup)
    assert all(isinstance(error, InputError) for error in raised.value.__cause__.exceptions)
