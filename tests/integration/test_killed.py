"""What lives on after kill -9: no process, whichever was killed and however its batches travel."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from albench.progress import Reporter
from albench.training.loader import batches
from albench.training.planning import utils

# Two workers of a run, each in a training with two loader processes; or such a training in the run's own process.
RUN = """
import sys
from albench.progress import SILENT
from albench.study.processes import Processes
from tests.integration.test_killed import train
jobs = [f"{sys.argv[1]} {sys.argv[2]} {number}" for number in range(int(sys.argv[3]))]
if len(jobs) == 1:
    train(jobs[0], SILENT)
with Processes(len(jobs), train, SILENT) as workers:
    for future in [workers.submit(job) for job in jobs]:
        future.result()
"""
N_LOADERS = 2


class LargeSource:
    """Stands for nnU-Net's loader; more than a pipe holds."""

    def generate_train_batch(self) -> dict[str, Any]:
        return {"data": torch.ones(2**20), "target": [torch.ones(3, dtype=torch.int16)]}


def train(job: str, reporter: Reporter) -> None:
    """Take one batch and then think, while loaders wait for somebody to take theirs."""
    transport, folder, number = job.split()
    source: Any = LargeSource()
    loader = batches(source, n_batches=99, key=("d",), n_workers=N_LOADERS, shared_memory=transport == "shared")
    next(loader)
    Path(folder, number).touch()
    time.sleep(300)


@pytest.mark.parametrize("transport", ["shared", "pipes"])
@pytest.mark.parametrize(
    ("n_jobs", "victim"),
    [(1, "run"), *(pytest.param(2, victim, marks=pytest.mark.slow) for victim in ("run", "worker"))],
)
def test_nothing_lives_on(transport: str, n_jobs: int, victim: str, tmp_path: Path) -> None:
    run = psutil.Popen([sys.executable, "-c", RUN, transport, str(tmp_path), str(n_jobs)], stderr=subprocess.DEVNULL)
    family = [run]
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.iterdir())) < n_jobs and run.is_running() and time.monotonic() < deadline:
            time.sleep(0.05)
        children = run.children(recursive=True)
        family += children
        assert len(children) >= N_LOADERS * n_jobs + (n_jobs if n_jobs > 1 else 0)
        time.sleep(1)  # by now pipes are full
        killed = {
            "run": run,
            "worker": next((child for child in children if child.children()), run),
        }[victim]
        own = killed.children(recursive=True)
        killed.kill()
        gone = [killed, *own, *(family if victim == "run" else ())]
        _, alive = psutil.wait_procs(gone, timeout=5)
        assert alive == []
        if victim == "worker":  # and the run ends, with all of its own
            _, alive = psutil.wait_procs(family, timeout=30)
            assert alive == []
    finally:
        for process in family:
            if process.is_running():
                process.kill()
        run.wait()


def test_planning_starts_no_processes() -> None:
    """nnU-Net's way of listing files, with which a killed run left a dozen."""
    with utils.Pool(processes=12) as pool:
        assert pool.starmap(divmod, [(7, 2)]) == [(3, 1)]
        assert multiprocessing.active_children() == []
