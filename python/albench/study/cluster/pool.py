"""Dask workers, of a running Dask or started as jobs of Slurm: where they are, and what they are given to do."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from albench.errors import InputError, WorkerError
from albench.study.cluster.settings import ClusterSettings
from albench.study.cluster.slurm import slurm_jobs
from albench.study.cluster.task import Order, Outcome, stop, work

SLURM = "slurm"
_PACKAGES = {"distributed": "distributed", "dask_jobqueue": "dask-jobqueue", "cryptography": "cryptography"}
_CONNECT_S = 30.0
_PATIENCE_S = 120.0
"""So long a scheduler may be silent before it is given up."""


def require_packages() -> None:
    """Refuse where the extra is missing.

    Raises
    ------
    InputError
        A package of it is not installed.
    """
    if missing := [name for module, name in _PACKAGES.items() if importlib.util.find_spec(module) is None]:
        raise InputError(f"--scheduler: expected {', '.join(missing)}, found none; pip install 'al-bench[cluster]'")


class Task:
    """A joined process that was given to a worker."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs, and for good where its worker is lost.

        What is no outcome, such as an al-bench that is not there, is one that refuses.
        """
        if self._future.status == "finished":
            outcome: Outcome = self._future.result()
            return outcome
        if self._future.status == "error":
            error = self._future.exception()
            if type(error).__name__ == "KilledWorker":  # a worker that came back at its address, and died again
                return Outcome("", -signal.SIGKILL, (str(error),))
            text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            return Outcome("", 2, (f"a Dask worker cannot run al-bench as it is here: {text}",))
        return None

    @property
    def is_lost(self) -> bool:
        """Whether the scheduler has forgotten it."""
        return self._future.status in ("cancelled", "lost")

    def cancel(self) -> None:
        """Have it forgotten."""
        with contextlib.suppress(Exception):  # whatever a scheduler that is gone raises
            self._future.cancel()


class Pool:
    """Workers behind one scheduler.

    Parameters
    ----------
    connect
        Makes a client of the scheduler.
    most
        Workers that get something to do; None: all.
    renew
        Replaces workers that died.
    """

    def __init__(self, connect: Callable[[], Any], most: int | None, renew: Callable[[], None] = lambda: None) -> None:
        self._connect, self.most, self.renew = connect, most, renew
        self._client = connect()

    def workers(self) -> set[str]:
        """Return the addresses of those that are there; waits for a scheduler that is silent, and connects again.

        Raises
        ------
        WorkerError
            It went on being silent.
        """
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if self._client.status == "running":
                    return set(self._client.nthreads())
            except Exception:  # its own, the event loop's, the network's
                pass
            if time.monotonic() > end:
                raise WorkerError(
                    "the Dask scheduler does not answer any more; finished stages are kept, processes that it started "
                    "go on as long as their workers do, and the same command resumes"
                )
            time.sleep(1)
            if self._client.status != "running":
                with contextlib.suppress(InputError):
                    former, self._client = self._client, self._connect()
                    _close(former)

    def start(self, order: Order, address: str) -> Task:
        """Have a worker run a joined process."""
        return Task(self._client.submit(work, order, workers=[address], allow_other_workers=False, pure=False))

    def stop(self, study: Path) -> None:
        """Have all workers' processes of a study end."""
        with contextlib.suppress(Exception):
            self._client.run(stop, study, on_error="ignore")

    def close(self) -> None:
        """Say goodbye to the scheduler."""
        _close(self._client)


def _close(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.close(timeout=5)


@contextlib.contextmanager
def open_pool(scheduler: str, settings: ClusterSettings, folder: Path) -> Iterator[Pool]:
    """Reach a running scheduler, or start one whose workers are jobs of Slurm; these end with the block.

    Parameters
    ----------
    scheduler
        Address, or `SLURM`.
    folder
        For keys and logs; all hosts see it.

    Raises
    ------
    InputError
        Nobody answers at the address, or Slurm takes no jobs.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it says is said by the head, in a line
    with contextlib.ExitStack() as stack:
        if scheduler == SLURM:
            jobs = stack.enter_context(slurm_jobs(settings, folder))
            pool = Pool(lambda: _client(jobs.cluster), settings.jobs, jobs.renew)
        else:
            pool = Pool(lambda: _client(scheduler), settings.jobs)
        stack.callback(pool.close)
        yield pool


def _client(scheduler: Any) -> Any:
    from distributed import Client

    try:
        if str(scheduler).startswith("tls:"):
            _require_certificate()
        return Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"--scheduler {scheduler}: expected the address of a Dask scheduler that answers, or slurm; "
            f"found none ({reason:.300})"
        ) from None


def _require_certificate() -> None:
    """Refuse where Dask's configuration has none for a client, which Dask does with a traceback and after a minute.

    Raises
    ------
    ValueError
        There is none.
    OSError
        It cannot be read.
    """
    from distributed.security import Security

    if Security().get_connection_args("client")["ssl_context"] is None:
        raise ValueError("no certificate in Dask's configuration, distributed.comm.tls: docs/cluster.md says how")
