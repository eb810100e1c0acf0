"""Workers that are a process for each job: what becomes of one concerns no other job."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from albench.machine.stopping import interruption_got_through
from albench.progress import Board, Reporter
from albench.study.processes import Processes

Job = TypeVar("Job")


class Children(Generic[Job]):
    """Runs `n` jobs side by side, each in a process that ends with it, or with this process.

    Unlike those of `albench.study.processes.Processes`, a process that dies takes no later job with it.

    Parameters
    ----------
    n, run, board, gpus
        As of `Processes`; each of the `n` places has a GPU of its own as far as there are so many.
    """

    def __init__(self, n: int, run: Callable[[Job, Reporter], None], board: Board, gpus: Sequence[str] = ()) -> None:
        self._run, self._board, self._gpus = run, board, itertools.cycle(gpus or [None])
        self._threads = ThreadPoolExecutor(n, initializer=self._place)
        self._mine = threading.local()  # the GPU of a thread's place
        self._lock = threading.Lock()
        self._working: set[Processes[Job]] = set()
        self._stopped = False

    def __enter__(self) -> Children[Job]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for the processes, or stop them where an exception ends the block."""
        if kind:
            interruption_got_through()
            with self._lock:
                self._stopped, working = True, list(self._working)
            for processes in working:  # all of them before any is waited for
                processes.ask()
            for processes in working:
                processes.stop()
        self._threads.shutdown(cancel_futures=True)

    def submit(self, job: Job) -> Future[None]:
        """Run a job as soon as a place is free; the future raises `BrokenExecutor` where its process died."""
        return self._threads.submit(self._do, job)

    def _place(self) -> None:
        self._mine.gpu = next(self._gpus)

    def _do(self, job: Job) -> None:
        gpu = self._mine.gpu
        processes = Processes(1, self._run, self._board, () if gpu is None else (gpu,))
        with self._lock:
            if self._stopped:
                raise BrokenExecutor("stopped")
            self._working.add(processes)
        try:
            with processes:
                processes.submit(job).result()
        finally:
            with self._lock:
                self._working.discard(processes)
