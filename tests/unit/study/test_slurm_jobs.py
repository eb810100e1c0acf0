"""Jobs that Slurm refuses, and those that end before they are workers; with a `sbatch` and `squeue` of our own."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from albench.errors import InputError, WorkerError
from albench.study.cluster.settings import ClusterSettings
from albench.study.cluster.slurm import SlurmJobs, slurm_jobs

SETTINGS = ClusterSettings(
    jobs=2, memory="1GB", walltime="01:00:00", gpus=2, cpus=4, queue="long", directives=["--requeue"], interface="lo"
)


def command(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of programs that are found first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def cluster(connected: list[str], jobs: dict[str, str]) -> Any:
    """As dask-jobqueue's: names of workers that have connected, and number of each job that was submitted."""
    scaled: list[int] = []
    return SimpleNamespace(
        scheduler_info={"workers": {name: {"name": name} for name in connected}},
        workers={name: SimpleNamespace(job_id=number) for name, number in jobs.items()},
        worker_spec=dict.fromkeys(jobs),
        scale=scaled.append,
        scaled=scaled,
    )


def test_a_job_that_is_gone_before_it_connects_is_forgotten(programs: Path, tmp_path: Path) -> None:
    command(programs, "squeue", "echo 12")
    found = cluster(["a"], {"a": "11", "b": "12", "c": "13"})
    SlurmJobs(found, 3, tmp_path).renew()
    assert set(found.worker_spec) == {"a", "b"} and found.scaled == [3]


@pytest.mark.parametrize("answer", ["exit 1", "sleep 60"], ids=["fails", "hangs"])
def test_nothing_is_forgotten_where_slurm_does_not_say(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("albench.study.cluster.slurm._ASK_S", 0.2)
    command(programs, "squeue", f"exec {answer}" if "sleep" in answer else answer)
    found = cluster([], {"a": "11"})
    SlurmJobs(found, 1, tmp_path).renew()
    assert set(found.worker_spec) == {"a"} and found.scaled == [1]


def test_jobs_that_never_connect_are_given_up(programs: Path, tmp_path: Path) -> None:
    command(programs, "squeue", "")
    found = cluster([], {})
    jobs = SlurmJobs(found, 1, tmp_path)
    with pytest.raises(WorkerError, match=r"^3 jobs of Slurm ended before they connected to this process; what they "):
        for number in range(3):
            found.workers = {f"{number}": SimpleNamespace(job_id=str(number))}
            jobs.renew()
    assert found.scaled == [1, 1]


def test_what_sbatch_would_refuse_is_refused_in_a_line(programs: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    command(programs, "sbatch", f'cat >{asked}; echo "$@" >>{asked}; echo "invalid partition: long" >&2; exit 1')
    with (
        pytest.raises(InputError, match=r"^--cluster: sbatch refuses such jobs: invalid partition: long$"),
        slurm_jobs(SETTINGS, tmp_path / "folder"),
    ):
        pass
    script = asked.read_text()
    for line in ("-p long", "--cpus-per-task=4", "--mem=954M", "-t 01:00:00", "--gres=gpu:2", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    assert "--no-nanny" in script and "--tls-key" in script and script.endswith("--test-only\n")
    assert not list((tmp_path / "folder").glob("keys-*"))  # they end with the block


def test_an_interface_that_is_not_there_is_refused_in_a_line(programs: Path, tmp_path: Path) -> None:
    command(programs, "sbatch", "exit 0")
    other = SETTINGS.model_copy(update={"interface": "nowhere0"})
    with pytest.raises(InputError, match=r"no scheduler can be started: .*nowhere0"), slurm_jobs(other, tmp_path):
        pass
