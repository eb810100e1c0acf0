"""Dask workers, of a running Dask or started as jobs of Slurm: where they are, and what they are given to do."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from albench.errors import InputError, WorkerError
from albench.study.cluster.settings import ClusterSettings
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
            pool = _of_slurm(settings, folder, stack)
        else:
            pool = Pool(lambda: _client(scheduler), settings.jobs)
        stack.callback(pool.close)
        yield pool


def _client(scheduler: Any) -> Any:
    from distributed import Client

    try:
        return Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"--scheduler {scheduler}: expected the address of a Dask scheduler that answers, or slurm; "
            f"found none ({type(error).__name__})"
        ) from None


def _of_slurm(settings: ClusterSettings, folder: Path, stack: contextlib.ExitStack) -> Pool:
    """Start a scheduler in this process, and jobs that connect to it over TLS."""
    if shutil.which("sbatch") is None:
        raise InputError("--scheduler slurm: expected the command sbatch, found none where this runs")
    from dask_jobqueue import SLURMCluster

    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # keys are put here
    n_jobs = settings.jobs or 1
    gpus = [f"--gres=gpu:{settings.gpus}"] if settings.gpus else []
    cluster = stack.enter_context(
        SLURMCluster(
            queue=settings.queue,
            account=settings.account,
            walltime=settings.walltime,
            cores=1,  # of Dask's, one task: the joined process shares out the job's
            processes=1,
            nanny=False,  # it ends processes that hold much memory; a job that dies is replaced
            job_cpu=settings.cpus,
            memory=settings.memory,
            python=settings.python or sys.executable,
            job_script_prologue=list(settings.prologue),
            job_extra_directives=[*gpus, *settings.directives],
            interface=settings.interface,
            worker_extra_args=["--no-dashboard"],
            log_directory=str(logs),
            security=True,
            shared_temp_directory=str(folder),
            scheduler_options={"dashboard": False, "dashboard_address": None},
        )
    )
    return Pool(lambda: _client(cluster), n_jobs, lambda: _renew(cluster, n_jobs))


def _renew(cluster: Any, n_jobs: int) -> None:
    """Replace jobs that are gone; by itself dask-jobqueue forgets those that had connected, and no others."""
    known = {worker["name"] for worker in cluster.scheduler_info["workers"].values()}
    silent = {name: job.job_id for name, job in cluster.workers.items() if name not in known and job.job_id}
    if silent:
        asked = ["squeue", "--noheader", "--format=%i", f"--user={_user()}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0:
            there = set(done.stdout.split())
            for name in [name for name, job in silent.items() if job not in there]:
                cluster.worker_spec.pop(name, None)
    cluster.scale(n_jobs)


def _user() -> str:
    import getpass

    return getpass.getuser()
