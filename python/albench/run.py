"""From the arguments of ``al-bench run`` to finished studies, tables and report."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from albench.config import StudyConfig, load_protocol
from albench.data import Dataset, load_dataset, verify_cases
from albench.errors import InputError, unknown_name
from albench.progress import Reporter
from albench.report import build_report, print_summary
from albench.results import read_results
from albench.strategies import get_strategy
from albench.study import Study, TrainerFactory
from albench.sweep import claim_folder, run_study

_LOCK = ".lock"


@dataclass(frozen=True)
class RunRequest:
    """Arguments of ``al-bench run``; None stands for the default."""

    datasets: Sequence[str]
    strategies: Sequence[str]
    protocol: str
    seeds: int
    rounds: int | None
    budget: int | None
    device: str
    data: Path | None
    out: Path
    cache: Path | None
    fresh: bool


def run_studies(request: RunRequest) -> None:
    """Check everything that can be checked before anything is computed, then run, then report."""
    reporter = Reporter()
    for name in request.strategies:
        get_strategy(name)
    protocol = load_protocol(request.protocol, rounds=request.rounds, budget=request.budget)
    device = choose_device(request.device)
    cache = request.cache or Path(os.environ.get("ALBENCH_CACHE", "~/.cache/al-bench")).expanduser()
    n_cores = len(os.sched_getaffinity(0))
    studies: list[Study] = []
    for name in request.datasets:
        with reporter.task(f"{name}: reading and verifying"):
            dataset = load_dataset(name, data_dir=request.data, cache_dir=cache)
            verify_cases(dataset, n_workers=n_cores)
        config = StudyConfig(
            dataset=dataset.name, dataset_checksum=dataset.checksum, trainer="nnunet", device=device, protocol=protocol
        )
        studies.append(Study(dataset, config, request.out, _nnunet(dataset, config), reporter))
    with output_folder(request.out, fresh=request.fresh):
        for study in studies:
            claim_folder(request.out, study.config)
        for study in studies:
            run_study(study, request.strategies, range(request.seeds))
        index = build_report(request.out)
    console = Console()
    print_summary(read_results(request.out), console)
    console.print(f"report: {index}", markup=False, highlight=False, soft_wrap=True)


def choose_device(name: str) -> Literal["cpu", "cuda"]:
    """Resolve ``auto``, and refuse a GPU that is not there."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise unknown_name("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: expected a CUDA device that torch can use, found none")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def output_folder(out: Path, *, fresh: bool) -> Iterator[None]:
    """Hold `out` for this process; with `fresh`, what is there is renamed to ``<out>.old-<n>`` first.

    Raises
    ------
    InputError
        If another process holds the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _lock(out):
        if fresh and any(entry.name != _LOCK for entry in out.iterdir()):
            number = 1
            while (aside := out.with_name(f"{out.name}.old-{number}")).exists():
                number += 1
            aside.mkdir()
            for entry in list(out.iterdir()):
                if entry.name != _LOCK:
                    entry.rename(aside / entry.name)
        yield


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    with (out / _LOCK).open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise InputError(f"--out {out}: in use by another al-bench, process {holder}") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _nnunet(dataset: Dataset, config: StudyConfig) -> TrainerFactory:
    import torch

    from albench.training.nnunet import NnunetTrainer

    return lambda work: NnunetTrainer(dataset, config.protocol, torch.device(config.device), work)
