"""What a Dask worker does: one joined process, the code of ``al-bench run --join``, and how that ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from albench.results.claims import deciding_versions

_PREFIX = "al-bench: "
_LAST_LINES = 200
_REFUSED = 2


@dataclass(frozen=True)
class Order:
    """A joined process that is wanted.

    Attributes
    ----------
    study
        File with the request, which all hosts see.
    arguments
        Options besides.
    versions
        Of the head, as `deciding_versions`.
    module
        What ``python -m`` runs, with the study and the arguments; it ends when its standard input does.
    """

    study: Path
    arguments: tuple[str, ...]
    versions: Mapping[str, str]
    module: str = "albench.terminal.joined"


@dataclass(frozen=True)
class Outcome:
    """How a joined process ended.

    Attributes
    ----------
    lines
        What it said in the end.
    is_told
        Whether that is what the command tells its user, such as the table of failed chains; without the command's name.
    """

    host: str
    status: int
    lines: tuple[str, ...]
    is_told: bool = True

    @property
    def is_over(self) -> bool:
        """Whether the study is: it is done, or some chains failed and all others are done."""
        return self.status == 0 or (self.status == 1 and self.is_told)

    @property
    def is_refused(self) -> bool:
        """Whether another attempt at this place would end like this one."""
        return self.status == _REFUSED


class _Joined:
    """The process of a study; several tasks may wait for its end."""

    def __init__(self, order: Order) -> None:
        command = [sys.executable, "-m", order.module, str(order.study), *order.arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", env=_environment()
        )
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._reader = threading.Thread(target=self._read, name="reads a joined process", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last.append(line.rstrip("\n"))
            with contextlib.suppress(OSError):  # the worker's own output may be gone
                sys.stderr.write(line)
                sys.stderr.flush()

    def outcome(self) -> Outcome:
        """Wait for its end."""
        status = self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stderr):
            assert pipe is not None
            pipe.close()
        said: list[str] = []
        for line in reversed(self._last):
            if not line.startswith(_PREFIX):
                break
            said.insert(0, line.removeprefix(_PREFIX))
        return Outcome(socket.gethostname(), status, tuple(said or list(self._last)[-1:]), bool(said))

    def stop(self) -> None:
        """Have it leave its chains, and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()


_running: dict[Path, _Joined] = {}
_lock = threading.Lock()


def work(order: Order) -> Outcome:
    """Run a joined process to its end, or wait for the one that works on this study in this worker already."""
    found = deciding_versions()
    if other := [name for name in order.versions if found.get(name) != order.versions[name]]:
        wanted, have = (_listed(each, other) for each in (order.versions, found))
        line = f"expected {wanted}, as where the study was started, found {have} on {socket.gethostname()}"
        return Outcome(socket.gethostname(), _REFUSED, (line,))
    with _lock:
        joined = _running.get(order.study)
        if joined is None:
            joined = _running[order.study] = _Joined(order)
    try:
        return joined.outcome()
    finally:
        with _lock:
            if _running.get(order.study) is joined:
                del _running[order.study]


def stop(study: Path) -> None:
    """Have this worker's process of a study end, if there is one."""
    with _lock:
        joined = _running.get(study)
    if joined is not None:
        joined.stop()


def _environment() -> dict[str, str]:
    """Return the environment without what Dask's nanny put there: one thread for every library, among others."""
    import dask
    from distributed import get_worker

    environment = dict(os.environ)
    if get_worker().nanny is None:
        return environment
    with contextlib.suppress(psutil.Error):
        outside = psutil.Process(os.getppid()).environ()
        for name in (*dask.config.get("distributed.nanny.pre-spawn-environ"), "PYTHONHASHSEED"):
            if name not in outside:
                environment.pop(name, None)
    return environment


def _listed(versions: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {versions.get(name)}" for name in names)
