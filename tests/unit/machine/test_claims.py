"""Claims: of many that try one succeeds; what is not renewed is taken over; who was away too long writes nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from albench.machine import claims
from albench.machine.claims import LOST_STATUS, ClaimFolder, ClaimLostError, holding
from albench.machine.files import write_json

CONTEXT = multiprocessing.get_context("fork")


def older(folder: ClaimFolder, epoch: int, seconds: float) -> None:
    """Have a claim be renewed last so long ago."""
    then = time.time() - seconds
    os.utime(folder.path / f"claim-{epoch}", (then, then))


def test_one_has_it_until_it_ends(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path / "chain")
    first = folder.take({"what": "a chain"})
    assert first is not None and first.epoch == 1
    assert folder.take() is None
    (past,) = folder.history()
    assert past.is_live and past.about["what"] == "a chain" and past.about["process"] == os.getpid()
    assert first.end("failed", error="odd") and not first.end("done")
    second = folder.take()
    assert second is not None and second.epoch == 2
    assert not first.is_mine() and second.is_mine()
    assert [past.state for past in folder.history()] == ["failed", None]
    assert not first.end("done")


@pytest.mark.parametrize(("seconds", "taken"), [(179, False), (181, True)])
def test_what_is_not_renewed_for_its_time_to_live_is_anyones(tmp_path: Path, seconds: float, taken: bool) -> None:
    folder = ClaimFolder(tmp_path)
    assert folder.take() is not None
    older(folder, 1, seconds)
    assert (folder.take() is not None) == taken


def test_the_time_to_live_is_its_holders(tmp_path: Path) -> None:
    assert ClaimFolder(tmp_path, 1000).take() is not None
    older(ClaimFolder(tmp_path), 1, 500)
    assert ClaimFolder(tmp_path, 10).take() is None


def test_age_is_by_the_clock_of_the_file_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ClaimFolder(tmp_path)
    assert folder.take() is not None
    monkeypatch.setattr(claims.time, "time", lambda: 0.0)
    assert folder.take() is None
    monkeypatch.setattr(claims, "server_now", lambda path: time.time() + 4e9)
    assert folder.take() is not None


def test_who_takes_it_keeps_it_until_another_process_is_there(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path, 0.6)
    claim = folder.take()
    assert claim is not None
    claim.renew_until_begun()
    time.sleep(1.5)  # a process that takes longer to start than the claim lives
    assert folder.take() is None
    with holding(claim):
        time.sleep(0.4)
    time.sleep(1.0)  # and now nobody renews it
    assert folder.take() is not None


def test_renewals_keep_it_and_carry_progress(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path, 0.6)
    claim = folder.take()
    assert claim is not None
    with holding(claim) as held:
        held.note(task="round 1", n_done=7)
        time.sleep(1.5)
        held.check()
        (past,) = folder.history()
        assert past.is_live and past.progress == {"task": "round 1", "n_done": 7}
        assert folder.take() is None
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.parametrize("how", ["later", "removed", "other"])
def test_the_fence_forbids_writing_once_it_is_lost(tmp_path: Path, how: str) -> None:
    folder, target = ClaimFolder(tmp_path / "claims"), tmp_path / "model.json"
    claim = folder.take()
    assert claim is not None
    with pytest.raises(ClaimLostError, match="another's by now"), holding(claim):
        write_json(target, 1)
        if how == "later":
            older(folder, 1, 1000)
            assert folder.take() is not None
        else:
            claim.file.unlink()
            if how == "other":
                assert folder.take() is not None
        write_json(target, 2)
    assert target.read_text() == "1\n"
    write_json(target, 3)  # of a process that holds nothing


def _hold(folder: ClaimFolder, target: Path, ready: Any) -> None:
    claim = folder.take()
    assert claim is not None
    with holding(claim):
        write_json(target, "mine")
        ready.set()
        while True:  # as a process that is in the middle of something
            write_json(target, time.monotonic())


def test_a_process_stopped_past_the_time_to_live_writes_nothing_when_it_goes_on(tmp_path: Path) -> None:
    folder, target = ClaimFolder(tmp_path / "claims", 1.0), tmp_path / "result.json"
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=_hold, args=(folder, target, ready))
    process.start()
    assert process.pid is not None and ready.wait(60)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.5)
    claim = folder.take()
    assert claim is not None and claim.epoch == 2
    write_json(target, "other")
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    assert process.exitcode in (1, LOST_STATUS)
    assert target.read_text() == '"other"\n'


def test_stopped_too_long_it_writes_nothing_even_where_nobody_took_over(tmp_path: Path) -> None:
    folder, target = ClaimFolder(tmp_path / "claims", 1.0), tmp_path / "result.json"
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=_hold, args=(folder, target, ready))
    process.start()
    assert process.pid is not None and ready.wait(60)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.2)
    before = target.read_bytes()
    time.sleep(1.3)
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    assert process.exitcode in (1, LOST_STATUS)
    assert target.read_bytes() == before


def _race(folder: ClaimFolder, begin: Any, won: Any) -> None:
    begin.wait()
    if folder.take() is not None:
        with won.get_lock():
            won.value += 1


def _started(target: Callable[..., None], *args: Any) -> Any:
    process = CONTEXT.Process(target=target, args=args)
    process.start()
    return process


def test_of_two_that_race_one_wins_fifty_times(tmp_path: Path) -> None:
    for number in range(50):
        folder, begin, won = ClaimFolder(tmp_path / str(number)), CONTEXT.Barrier(2), CONTEXT.Value("i", 0)
        if number % 2:  # for one that was left behind
            assert folder.take() is not None
            older(folder, 1, 1000)
        processes = [_started(_race, folder, begin, won) for _ in range(2)]
        for process in processes:
            process.join(60)
        assert won.value == 1
        assert len(folder.history()) == 1 + number % 2


def test_damaged_claims_say_nothing_and_live_by_their_time(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path)
    (tmp_path / "claim-1").write_text("{")
    (tmp_path / "claim-x").write_text("not ours")
    assert folder.take() is None
    older(folder, 1, 1000)
    claim = folder.take()
    assert claim is not None and claim.epoch == 2


def test_a_claim_says_job_and_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_ID": "8", "ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert ClaimFolder(tmp_path).take() is not None
    (past,) = ClaimFolder(tmp_path).history()
    assert past.place == f"n1 (job 7_1, GPU 3, process {os.getpid()})"
