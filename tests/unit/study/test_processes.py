"""Workers that are processes: what they report, raise, and leave behind when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from albench.errors import InputError
from albench.machine.stopping import held_back
from albench.progress import SILENT, Reporter, Silent
from albench.study.processes import Processes, _Remote, _show
from albench.terminal.progress import Terminal


class Listening(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)


class CustomError(Exception):
    """Cannot be unpickled: what it takes is not what it holds."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def talk(job: str, reporter: Reporter) -> None:
    """What the processes of these tests do."""
    match job.split():
        case ["pid"]:
            reporter.say(f"pid {os.getpid()}")
        case ["gpu"]:
            time.sleep(0.5)  # no process gets two of these
            reporter.say(os.environ["CUDA_VISIBLE_DEVICES"])
        case ["raise", "input"]:
            raise InputError("expected more")
        case ["raise", "custom"]:
            raise CustomError("a", "b")
        case ["exit"]:
            sys.exit("enough")
        case ["die"]:
            with reporter.task("dying", 3) as advance:
                advance()
                os.kill(os.getpid(), signal.SIGKILL)
        case ["chatter"]:
            reporter.say(f"pid {os.getpid()}")
            while True:
                reporter.say("x" * 5000)
        case ["wait", folder]:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            Path(folder, "part").write_text(f"{os.getpid()} {child.pid}")
            Path(folder, "part").rename(Path(folder, "pids"))
            child.wait()
        case ["save", folder, seconds]:
            with held_back() as is_asked:
                Path(folder, "part").write_text(f"{os.getpid()} {os.getppid()}")
                Path(folder, "part").rename(Path(folder, "pids"))
                while not is_asked():
                    time.sleep(0.01)
                time.sleep(float(seconds))
                Path(folder, "saved").touch()


def waiting(folder: Path) -> list[int]:
    deadline = time.monotonic() + 60
    while not (folder / "pids").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return list(map(int, (folder / "pids").read_text().split()))


def still_there(pid: int) -> bool:
    """Whether a process lives, after some time to die."""
    try:
        process = psutil.Process(pid)
        process.wait(timeout=30) if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired:
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_process_is_kept_for_later_jobs_and_ends_with_the_block() -> None:
    listening = Listening()
    with Processes(2, talk, listening) as workers:
        for _ in range(3):
            workers.submit("pid").result(timeout=60)
    assert len(listening.heard) == 3 and len(set(listening.heard)) == 1
    assert not psutil.pid_exists(int(listening.heard[0].split()[1]))


def test_each_process_sees_a_gpu_of_its_own() -> None:
    listening = Listening()
    with Processes(3, talk, listening, gpus=("4", "7")) as workers:
        for future in [workers.submit("gpu") for _ in range(3)]:
            future.result(timeout=60)
    assert sorted(listening.heard) == ["4", "4", "7"]


def test_what_a_job_raises_is_raised_with_its_traceback_and_the_process_goes_on() -> None:
    listening = Listening()
    with Processes(1, talk, listening) as workers:
        workers.submit("pid").result(timeout=60)
        for job, error, text in [
            ("raise input", InputError, "expected more"),
            ("raise custom", RuntimeError, "CustomError: ab"),
            ("exit", SystemExit, "enough"),
        ]:
            raised = workers.submit(job).exception(timeout=60)
            assert type(raised) is error and str(raised) == text
            assert "in talk" in raised.__notes__[0]
        workers.submit("pid").result(timeout=60)
    assert len(set(listening.heard)) == 1


def test_a_death_is_told_and_the_tasks_of_the_dead_are_closed(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(Console(file=sys.stdout, force_terminal=True, width=80))
    with Processes(1, talk, terminal) as workers, pytest.raises(BrokenExecutor, match=r"process \d+ died"):
        workers.submit("die").result(timeout=60)
    shown = capsys.readouterr().out
    assert "dying" in shown
    assert "dying: " not in shown  # what was not done is not said to be
    assert shown.rstrip().endswith("\x1b[?25h")  # the bars are gone, the cursor is back


def test_processes_killed_in_the_middle_of_a_message_are_dead_and_nobody_waits() -> None:
    # They do nothing but send: most are bound to die in the middle of it.
    for delay in (0.0, 0.01, 0.02, 0.03):
        listening = Listening()
        with Processes(2, talk, listening) as workers:
            futures = [workers.submit("chatter") for _ in range(2)]
            while len(pids := [line.split()[1] for line in listening.heard if line.startswith("pid")]) < 2:
                time.sleep(0.1)
            time.sleep(delay)
            for pid in pids:
                os.kill(int(pid), signal.SIGKILL)
            assert all(isinstance(future.exception(timeout=60), BrokenExecutor) for future in futures)
        assert {line for line in listening.heard if not line.startswith("pid")} == {"x" * 5000}


def test_an_exception_stops_at_once_what_runs_and_what_that_started(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Processes(1, talk, SILENT) as workers:
        running, queued = workers.submit(f"wait {tmp_path}"), workers.submit("pid")
        pids = waiting(tmp_path)
        began = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30  # of the minute that they would have waited
    assert isinstance(running.exception(), BrokenExecutor) and queued.cancelled()
    assert not any(map(still_there, pids))


@pytest.mark.parametrize(("seconds", "grace_s", "saves"), [(0.5, 60, True), (300, 1, False)])
def test_what_is_held_back_may_end_unless_it_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, grace_s: float, saves: bool
) -> None:
    monkeypatch.setattr("albench.study.processes._GRACE_S", grace_s)
    with pytest.raises(KeyboardInterrupt), Processes(1, talk, SILENT) as workers:
        running = workers.submit(f"save {tmp_path} {seconds}")
        process, _ = waiting(tmp_path)
        os.kill(process, signal.SIGTERM)  # a batch system asks all processes of a job, the parent as well
        raise KeyboardInterrupt
    assert isinstance(running.exception(), BrokenExecutor)
    assert (tmp_path / "saved").exists() == saves
    assert not still_there(process)


PARENT = """
import sys
from albench.progress import SILENT
from albench.study.processes import Processes
from tests.unit.study.test_processes import talk
with Processes(1, talk, SILENT) as workers:
    workers.submit(f"wait {sys.argv[1]}").result()
"""


def test_a_process_in_the_middle_of_a_job_ends_with_its_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    worker, child = waiting(tmp_path)
    try:
        parent.kill()
        parent.wait()
        assert not still_there(worker)
    finally:
        os.kill(child, signal.SIGKILL)


def test_tasks_that_overlap_do_not_mix() -> None:
    class Noting(Listening):
        def begin(self, task: object, title: str, total: int | None) -> None:
            self.heard.append(f"{title} of {total}")
            self.titles = {**getattr(self, "titles", {}), task: title}

        def step(self, task: object, n_done: int, note: str, began_at: int = 0) -> None:
            self.heard.append(f"{self.titles[task]} {n_done} {note} {began_at}".removesuffix(" 0"))

        def end(self, task: object, *, done: bool) -> None:
            self.heard.append(f"{self.titles[task]} {'done' if done else 'failed'}")

    reader, writer = Pipe()
    remote, board = _Remote(writer), Noting()
    with remote.task("outer", total=2) as advance, remote.task("inner"):
        advance("note")
        advance("too soon to be sent")
        advance(at=5)
    with pytest.raises(ZeroDivisionError), remote.task("third"):
        1 / 0  # noqa: B018
    remote.send("over", None)
    assert _show(reader, board) is None
    expected = ["outer of 2", "inner of None", "outer 1 note", "outer 5  5", "inner done"]
    expected += ["outer done", "third of None"]
    assert board.heard == [*expected, "third failed"]


class Gone(Silent):
    """A terminal that has gone away."""

    def say(self, text: str) -> None:
        raise BrokenPipeError

    def begin(self, task: object, title: str, total: int | None) -> None:
        raise BrokenPipeError


def test_a_terminal_that_has_gone_away_stops_nobody() -> None:
    reader, writer = Pipe()
    remote = _Remote(writer)
    remote.say("a line")
    with remote.task("a task") as advance:
        advance()
    remote.send("over", None)
    assert _show(reader, Gone()) is None
