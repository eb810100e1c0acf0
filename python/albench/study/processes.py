"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

import psutil

from albench.machine.parent import end_with_parent
from albench.machine.stopping import interruption_got_through
from albench.progress import Advance, Board, Count, Reporter

_EVENT_EVERY_S = 0.5
_GRACE_S = 20.0
"""Slurm kills 30 s after it asked."""

Job = TypeVar("Job")


class Processes(Generic[Job]):
    """Runs jobs side by side in spawned processes, each of them kept for later jobs.

    A thread waits on each process, at a pipe that nobody else writes to. So a process may be killed at any moment: no
    lock goes with it, and half a message is an end like any other.

    Parameters
    ----------
    n
        Processes at most; one starts when a job finds none idle.
    run
        Does a job; a function that other processes can import.
    board
        Shows what jobs report.
    gpus
        Names of GPUs, as CUDA_VISIBLE_DEVICES takes them: processes get one each, in turn.
    """

    def __init__(self, n: int, run: Callable[[Job, Reporter], None], board: Board, gpus: Sequence[str] = ()) -> None:
        self._run, self._board, self._gpus = run, board, itertools.cycle(gpus or [None])
        self._threads = ThreadPoolExecutor(n, initializer=self._start)
        self._mine = threading.local()  # a thread's process and pipe
        self._lock = threading.Lock()
        self._started: list[tuple[SpawnProcess, Connection]] = []
        self._family: list[psutil.Process] = []
        self._stopped, self._kill_at = False, 0.0

    def __enter__(self) -> Processes[Job]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Let the processes end, or `stop` them where an exception ends the block."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if kind:
            interruption_got_through()
            self.stop()
        self._threads.shutdown()
        for process, pipe in self._started:
            pipe.close()
            process.join()

    def ask(self) -> None:
        """Ask the processes to end, from any thread: at once, but for a training, which is saved first."""
        with self._lock:
            if not self._stopped:
                self._stopped, self._kill_at = True, time.monotonic() + _GRACE_S
                for process, _ in self._started:
                    self._family += _family(process)
                    process.terminate()

    def stop(self) -> None:
        """Ask the processes to end, wait for that, and kill those that take too long; from any thread."""
        self.ask()
        for process, _ in self._started:
            process.join(max(0.0, self._kill_at - time.monotonic()))
        for each in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def submit(self, job: Job) -> Future[None]:
        """Run a job as soon as a process is free."""
        return self._threads.submit(self._do, job)

    def _start(self) -> None:
        with self._lock:
            if self._stopped:
                raise BrokenExecutor("stopped")
            pipe, other_end = multiprocessing.Pipe()
            process = SpawnProcess(target=_work, args=(other_end, self._run, next(self._gpus)))
            process.start()
            other_end.close()
            self._started.append((process, pipe))
        self._mine.process, self._mine.pipe = process, pipe

    def _do(self, job: Job) -> None:
        try:
            self._mine.pipe.send(job)
            error = _show(self._mine.pipe, self._board)
        except (EOFError, OSError):
            raise BrokenExecutor(f"process {self._mine.process.pid} died") from None
        if error is not None:
            raise error


def _family(process: SpawnProcess) -> list[psutil.Process]:
    """Return a process and those it started, such as loaders: these hold the other end of the pipe as well."""
    try:
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _show(pipe: Connection, board: Board) -> BaseException | None:
    """Show what a `_Remote` sends until the job is over; return what the job raised."""
    tasks = set()
    try:
        while True:
            kind, values, names = pipe.recv()
            if kind == "over":
                error: BaseException | None = values[0]
                return error
            if kind == "begin":
                tasks.add(values[0])
            elif kind == "end":
                tasks.discard(values[0])
            # A terminal that has gone away is no reason to stop reading: the process would wait for room in the pipe.
            with contextlib.suppress(OSError):
                getattr(board, kind)(*values, **names)
    finally:
        for task in tasks:
            board.end(task, done=False)


class _Remote:
    """Reporter of a worker process: sends what happens to the process that shows it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()  # a job may report from several threads
        self._tasks = itertools.count()

    def say(self, text: str) -> None:
        """Send one line."""
        self.send("say", text)

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Send a task's progress, at most twice a second."""
        task, count, last = f"{os.getpid()}-{next(self._tasks)}", Count(), 0.0

        def advance(note: str = "", at: int | None = None) -> None:
            nonlocal last
            count.advance(at)
            if at is not None or time.perf_counter() - last >= _EVENT_EVERY_S:
                last = time.perf_counter()
                self.send("step", task, count.n_done, note, count.began_at)

        self.send("begin", task, title, total)
        done = False
        try:
            yield advance
            done = True
        finally:
            self.send("end", task, done=done)

    def send(self, kind: str, *values: object, **names: object) -> None:
        """Send a call of the board's, or that the job is over."""
        with self._lock:
            self._pipe.send((kind, values, names))


def _work(pipe: Connection, run: Callable[[Job, Reporter], None], gpu: str | None) -> None:
    """Do the jobs that come through the pipe until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and decides
    end_with_parent()
    if gpu is not None:  # nnU-Net always takes the first GPU that its process sees
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    remote = _Remote(pipe)
    with contextlib.suppress(EOFError):
        while True:
            packed, error = pipe.recv_bytes(), None
            try:
                run(pickle.loads(packed), remote)
            except BaseException as raised:
                error = _portable(raised)
            remote.send("over", error)


def _portable(error: BaseException) -> BaseException:
    """Return an error that can be sent, with the traceback as its note."""
    text = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(text)
    return error
