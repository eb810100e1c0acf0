"""Processes that join one study: nothing twice, nothing lost, whatever dies; results are those of one process."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest

from albench.data import Dataset
from albench.machine.files import write_json
from tests.support.joined_study import JoinedStudy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return JoinedStudy(phantom, tmp_path_factory.mktemp("alone") / "out").artefacts_alone()


@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 2))])
def test_two_that_race_share_the_work(phantom: Dataset, tmp_path: Path, alone: dict[str, str], number: int) -> None:
    study = JoinedStudy(phantom, tmp_path / "out", seconds=0.3 * number)
    study.join(2)
    study.require_equal(alone)
    assert len(study.trainings("begin")) == len(study.trainings("end"))
    for part in ("_setup", "_shared", "random", "entropy", "full"):
        assert study.ends_of(part) == ["done"]


@pytest.mark.long
def test_two_that_race_fifty_times_do_nothing_twice(phantom: Dataset, tmp_path: Path) -> None:
    first = JoinedStudy(phantom, tmp_path / "alone" / "out", strategies=("random",))
    expected = first.artefacts_alone()
    for number in range(50):
        study = JoinedStudy(phantom, tmp_path / str(number) / "out", strategies=("random",))
        study.join(2)
        study.require_equal(expected)
        assert len(study.trainings("begin")) == len(study.trainings("end"))
        assert [study.ends_of(part) for part in ("_setup", "_shared", "random")] == [["done"]] * 3
        shutil.rmtree(study.out.parent)


@pytest.mark.long
def test_without_locks(phantom: Dataset, tmp_path: Path, alone: dict[str, str]) -> None:
    def no_locks() -> None:
        def refuse(*arguments: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        fcntl.lockf = refuse  # type: ignore[assignment]

    study = JoinedStudy(phantom, tmp_path / "out")
    for process in [study.start(no_locks) for _ in range(2)]:
        study.finish(process)
    study.require_equal(alone)


def test_a_killed_child_is_a_failure_and_its_chain_is_tried_again(
    phantom: Dataset, tmp_path: Path, alone: dict[str, str]
) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (tmp_path / "endless").write_text("entropy/seed-0")
    process = study.start()
    os.kill(study.await_training("entropy"), signal.SIGKILL)
    (tmp_path / "endless").unlink()
    study.finish(process)
    study.require_equal(alone)
    assert study.ends_of("entropy") == ["failed", "done"]


def test_one_that_is_stopped_too_long_writes_nothing_when_it_goes_on(
    phantom: Dataset, tmp_path: Path, alone: dict[str, str]
) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (tmp_path / "endless").write_text("entropy/seed-0")
    head = study.start()
    child = study.await_training("entropy")
    family = [psutil.Process(head.pid), psutil.Process(child)]
    for each in family:
        each.suspend()
    (tmp_path / "endless").unlink()
    study.join()
    study.require_equal(alone)
    before = {path: path.stat().st_mtime_ns for path in study.out.rglob("*") if ".claims" not in path.parts}
    for each in family:
        each.resume()
    head.join(120)
    assert head.exitcode == 0
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    after = {path: path.stat().st_mtime_ns for path in study.out.rglob("*") if ".claims" not in path.parts}
    assert after == {**before, study.out / ".lock": after[study.out / ".lock"]}
    study.require_equal(alone)
    assert study.ends_of("entropy") == [None, "done"]


def test_a_killed_head_takes_its_children_along_and_is_started_again(
    phantom: Dataset, tmp_path: Path, alone: dict[str, str]
) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (tmp_path / "endless").write_text("random/seed-0")
    head = study.start()
    child = psutil.Process(study.await_training("random"))
    assert head.pid is not None
    os.kill(head.pid, signal.SIGKILL)
    head.join()
    child.wait(60)
    (tmp_path / "endless").unlink()
    began = time.monotonic()
    study.join()
    assert time.monotonic() - began > 1
    study.require_equal(alone)
    assert study.ends_of("random") == [None, "done"]


@pytest.mark.long
def test_one_that_is_asked_to_end_leaves_its_chain_at_once(
    phantom: Dataset, tmp_path: Path, alone: dict[str, str]
) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (tmp_path / "endless").write_text("random/seed-0")
    head = study.start(lambda: signal.signal(signal.SIGTERM, signal.default_int_handler))
    study.await_training("random")
    assert head.pid is not None
    os.kill(head.pid, signal.SIGTERM)
    head.join(60)
    (tmp_path / "endless").unlink()
    assert head.exitcode != 0
    assert study.ends_of("random") == ["left"]
    study.join()
    study.require_equal(alone)


def test_what_fails_three_times_is_told_and_all_else_is_done(
    phantom: Dataset, tmp_path: Path, alone: dict[str, str]
) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (tmp_path / "unlucky").write_text("entropy/seed-0")
    study.join(2, status=1)
    first, last = (tmp_path / "said").read_text().splitlines()
    assert first.startswith(f"{phantom.name} entropy seed 0  failed 3 times, last on ")
    assert first.endswith(": KeyError: 'odd'")
    assert last.startswith("1 failed, all others are done; remove ")
    assert study.ends_of("entropy") == ["failed"] * 3
    assert study.artefacts() == {
        name: digest for name, digest in alone.items() if "entropy/seed-0/round-1" not in name
    } | {name: digest for name, digest in study.artefacts().items() if "entropy/seed-0/round-1/query" in name}
    study.require_nothing_twice()
    (tmp_path / "unlucky").unlink()
    study.finish(study.start(join=False))  # a run that is alone tries all again
    study.require_equal(alone)


@pytest.mark.long
def test_a_start_that_fails_keeps_its_chains_from_beginning(phantom: Dataset, tmp_path: Path) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (tmp_path / "unlucky").write_text("_shared/seed-0")
    study.join(status=1)
    first, second, _ = (tmp_path / "said").read_text().splitlines()
    assert " shared seed 0  failed 3 times" in first
    assert second == "2 parts that begin with these were not begun"
    assert study.ends_of("full") == ["done"]


def test_other_versions_are_refused_before_anything_is_done(phantom: Dataset, tmp_path: Path) -> None:
    study = JoinedStudy(phantom, tmp_path / "out")
    (study.out / ".claims").mkdir(parents=True)
    write_json(study.out / ".claims" / "versions.json", {"albench": "9.9", "nnunetv2": "1", "torch": "1"})
    study.join(status=2)
    said = (tmp_path / "said").read_text()
    assert "expected albench 9.9, nnunetv2 1, torch 1, with which the study was begun, found albench " in said
    assert "\n" not in said
    assert study.artefacts() == {} and not study.trainings("begin")
