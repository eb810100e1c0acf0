"""Jobs of Slurm that are Dask's workers, by dask-jobqueue."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from albench.errors import InputError, WorkerError
from albench.study.cluster.settings import ClusterSettings

_ASK_S = 60.0
_NO_PAGES = "127.0.0.1:0"
"""Where Dask's web server is, which cannot be left out and asks nobody for a key: out of the network's reach."""
_MOST_STILLBORN = 3


class SlurmJobs:
    """Jobs behind a scheduler in this process, over TLS.

    Attributes
    ----------
    cluster
        Of dask-jobqueue.
    """

    def __init__(self, cluster: Any, n: int, logs: Path) -> None:
        self.cluster, self._n, self._logs = cluster, n, logs
        self._n_stillborn = 0

    def renew(self) -> None:
        """Replace jobs that are gone; by itself dask-jobqueue forgets those that had connected, and no others.

        Raises
        ------
        WorkerError
            Jobs end again and again before they connect.
        """
        known = {worker["name"] for worker in self.cluster.scheduler_info["workers"].values()}
        silent = {name: job.job_id for name, job in self.cluster.workers.items() if name not in known and job.job_id}
        stillborn = [name for name, job in silent.items() if job not in queue] if silent and (queue := _queue()) else []
        self._n_stillborn = 0 if known else self._n_stillborn + len(stillborn)
        if self._n_stillborn >= _MOST_STILLBORN * self._n:
            raise WorkerError(
                f"{self._n_stillborn} jobs of Slurm ended before they connected to this process; what they said is in "
                f"{self._logs}"
            )
        for name in stillborn:
            self.cluster.worker_spec.pop(name, None)
        self.cluster.scale(self._n)


def _queue() -> set[str] | None:
    """Jobs of this user that wait or run; None where Slurm does not say."""
    command = ["squeue", "--noheader", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_ASK_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"", *done.stdout.split()}


@contextlib.contextmanager
def slurm_jobs(settings: ClusterSettings, folder: Path) -> Iterator[SlurmJobs]:
    """Start a scheduler whose workers are jobs of Slurm, none yet; all end with the block.

    Parameters
    ----------
    folder
        For keys and logs; all hosts see it.

    Raises
    ------
    InputError
        There is no Slurm, or it takes no such jobs; no such network interface.
    """
    if shutil.which("sbatch") is None:
        raise InputError("--scheduler slurm: expected the command sbatch, found none where this runs")
    from dask_jobqueue import SLURMCluster

    logs, n_jobs = folder / "logs", settings.jobs or 1
    logs.mkdir(parents=True, exist_ok=True)
    gpus = [f"--gres=gpu:{settings.gpus}"] if settings.gpus else []
    with _keys(folder) as security:
        try:
            cluster = SLURMCluster(
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
                worker_extra_args=["--no-dashboard", "--dashboard-address", _NO_PAGES],
                log_directory=str(logs),
                security=security,
                scheduler_options={"dashboard": False, "dashboard_address": _NO_PAGES},
            )
        except (ValueError, RuntimeError) as error:
            cause = error.__cause__ or error
            raise InputError(
                f"--scheduler slurm: no scheduler can be started: {' '.join(str(cause).split())}"
            ) from None
        with cluster:
            _require_accepted(cluster.job_script())
            yield SlurmJobs(cluster, n_jobs, logs)


@contextlib.contextmanager
def _keys(folder: Path) -> Iterator[Any]:
    """Make a key and a certificate for the block, in files that jobs of the same user can read and nobody else."""
    from distributed.security import Security

    made = Security.temporary()
    with tempfile.TemporaryDirectory(prefix="keys-", dir=folder) as place:
        names = {"ca_file": made.tls_ca_file, "key": made.tls_worker_key, "cert": made.tls_worker_cert}
        for name, text in names.items():
            Path(place, name).write_text(text, encoding="ascii")
        roles = [f"tls_{role}_{name}" for role in ("scheduler", "worker", "client") for name in ("key", "cert")]
        files = {option: f"{place}/{option.rpartition('_')[2]}" for option in roles}
        yield Security(require_encryption=True, tls_ca_file=f"{place}/ca_file", **files)


def _require_accepted(script: str) -> None:
    """Ask Slurm whether it would take the job: what it refuses later, dask-jobqueue does not say."""
    command = ["sbatch", "--test-only"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=_ASK_S)
        if done.returncode:
            raise InputError(f"--cluster: sbatch refuses such jobs: {' '.join(done.stderr.split()):.500}")
