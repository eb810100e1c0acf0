"""A Dask scheduler and workers in processes of their own, as a cluster has them, and heads of studies on them."""

from __future__ import annotations

import ctypes
import functools
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from pathlib import Path

import psutil

from albench.study.cluster import head as head_module
from albench.study.cluster.task import Order
from tests.support.joined_study import JoinedStudy

ROOT = Path(__file__).parents[2]
_CLONE_NEWNET = 0x40000000


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class DaskCluster:
    """Processes of ``dask scheduler`` and ``dask worker``; all end with the block.

    Attributes
    ----------
    inside
        Command before each of them by its host, such as one that enters a network namespace.
    """

    folder: Path
    host: str = "127.0.0.1"
    inside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    started: list[psutil.Popen] = field(default_factory=list)
    heads: list[ForkProcess] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def __enter__(self) -> DaskCluster:
        self.start_scheduler()
        return self

    def __exit__(self, *error: object) -> None:
        for head in self.heads:
            head.kill()
            head.join()
        for process in self.started:
            kill_all(process)

    def start_scheduler(self) -> psutil.Popen:
        process = self._start("scheduler", self.host, "--port", str(self.port))
        end = time.monotonic() + 120
        while "Scheduler at" not in (self.folder / f"scheduler-{len(self.started) - 1}.log").read_text():
            assert time.monotonic() < end and process.is_running()
            time.sleep(0.1)
        return process

    def start_worker(self, host: str | None = None) -> psutil.Popen:
        return self._start("worker", host or self.host, self.address, "--nthreads", "1")

    def _start(self, what: str, host: str, *arguments: str) -> psutil.Popen:
        own = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", host, "--no-dashboard", *arguments]
        log = self.folder / f"{what}-{len(self.started)}.log"
        with log.open("w") as stream:
            process = psutil.Popen(
                [*self.inside.get(host, ()), *own],
                cwd=ROOT,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # as on a host of its own
            )
        self.started.append(process)
        return process

    def start_head(
        self, study: JoinedStudy, *, versions: Mapping[str, str] | None = None, namespace: str | None = None
    ) -> ForkProcess:
        """Start a head whose workers have the fake trainer; in a network namespace where one is named."""

        def before() -> None:
            if namespace:
                enter(namespace)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            head_module.Order = functools.partial(Order, module="tests.support.joined_worker")  # type: ignore[misc]
            head_module._RENEW_EVERY_S = 1.0
            if versions:
                head_module.deciding_versions = lambda: dict(versions)

        self.heads.append(study.start(before, scheduler=self.address))
        return self.heads[-1]


def enter(namespace: str) -> None:
    """Move this process, which has one thread, into a network namespace: os.setns, which came with Python 3.12."""
    with Path("/var/run/netns", namespace).open() as opened:
        assert ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), _CLONE_NEWNET) == 0, ctypes.get_errno()


def kill(process: psutil.Process) -> None:
    """Kill a process; what it started has to end by itself."""
    try:
        process.kill()
        process.wait(30)
    except psutil.NoSuchProcess:
        pass


def kill_all(process: psutil.Process) -> None:
    """Kill a process and its children, as a nanny and its worker, but for grandchildren."""
    family = process.children() if process.is_running() else []
    for each in (process, *family):
        kill(each)


def await_none(processes: Sequence[psutil.Process], seconds: float = 60) -> None:
    """Wait until processes have ended."""
    end = time.monotonic() + seconds
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes):
        assert time.monotonic() < end, processes
        time.sleep(0.1)
