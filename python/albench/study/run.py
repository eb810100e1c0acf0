"""From the arguments of ``al-bench run`` to finished studies, tables and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from albench.config import Protocol, StudyConfig
from albench.data import Dataset, load_dataset, verify_cases
from albench.data.groups import case_groups
from albench.data.locate import cache_folder
from albench.errors import InputError, unknown_name
from albench.machine.placement import Machine, Placement, place
from albench.progress import Reporter
from albench.protocols import load_protocol
from albench.report import build_report, print_summary
from albench.results.folder import claim_folder, output_folder
from albench.results.tables import read_results
from albench.strategies import label_of, make_strategy
from albench.study.events import require_tensorboard
from albench.study.setup import Study
from albench.study.workers import run_studies
from albench.terminal.progress import Terminal
from albench.training.base import Trainer
from albench_core.cores import n_cores


@dataclass(frozen=True)
class RunRequest:
    """Arguments of ``al-bench run``; None stands for the default."""

    datasets: Sequence[str]
    strategies: Sequence[str]
    protocol: str
    seeds: int
    rounds: int | None
    budget: int | None
    start: str | None
    device: str
    data: Path | None
    out: Path
    cache: Path | None
    jobs: int | None
    fresh: bool
    settings: Sequence[str] = ()
    gallery: int = 8
    tensorboard: bool = False
    split_by: str | None = None
    group_by: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A request whose arguments and data have been checked; nothing is computed or written yet.

    Attributes
    ----------
    n_processes
        Chains that run side by side.
    """

    studies: tuple[Study, ...]
    strategies: tuple[str, ...]
    n_processes: int


def prepare(request: RunRequest, reporter: Reporter) -> Prepared:
    """Check everything that can be checked before anything is computed."""
    if request.tensorboard:
        require_tensorboard()
    strategies = tuple(dict.fromkeys(label_of(make_strategy(text)) for text in request.strategies))
    device = choose_device(request.device)
    protocols = {}
    for name in request.datasets:
        protocol = load_protocol(
            request.protocol,
            request.settings,
            dataset=name,
            rounds=request.rounds,
            budget=request.budget,
            start_method=request.start,
            split_by=request.split_by,
            group_by=request.group_by,
        )
        protocols[name] = resolve_precision(protocol, device)
    placement = place(
        Machine.found(),
        n_chains=len(request.datasets) * len(strategies) * request.seeds,
        n_threads=next(iter(protocols.values())).cpu_threads,
        n_gpus=count_gpus() if device == "cuda" else 0,
        jobs=request.jobs,
    )
    for note in placement.notes:
        reporter.say(note)
    cache = cache_folder(request.cache)
    studies: list[Study] = []
    for name in request.datasets:
        with reporter.task(f"{name}: reading and verifying"):
            dataset = load_dataset(name, data_dir=request.data, cache_dir=cache, reporter=reporter)
            remarks = verify_cases(dataset, n_workers=n_cores(), reporter=reporter)
        if remarks:
            reporter.say(
                f"{name}: {len(remarks)} remarks, `al-bench datasets verify {name}` lists them; first: "
                f"{remarks[0].message}"
            )
        for note in dataset.notes:
            reporter.say(f"{name}: {note}")
        protocols[name] = resolve_start(protocols[name], dataset, request.start, strategies)
        grouped = case_groups(dataset, protocols[name].pool.group_by)
        if grouped.note:
            reporter.say(f"{name}: {grouped.note}")
        config = StudyConfig(
            dataset=dataset.name,
            dataset_checksum=dataset.checksum,
            groups=grouped.digest,
            trainer="nnunet",
            device=device,
            protocol=protocols[name],
        )
        factory = NnunetFactory(dataset, config, placement)
        studies.append(
            Study(
                dataset,
                config,
                request.out,
                factory,
                reporter,
                gallery=request.gallery,
                tensorboard=request.tensorboard,
            )
        )
    return Prepared(tuple(studies), strategies, placement.n_processes)


def run(request: RunRequest) -> None:
    """Check, run, report."""
    prepared = prepare(request, Terminal())
    with output_folder(request.out, fresh=request.fresh):
        claim_folder(request.out, [study.config for study in prepared.studies])
        run_studies(prepared.studies, prepared.strategies, range(request.seeds), prepared.n_processes)
        index = build_report(request.out)
    console = Console()
    print_summary(read_results(request.out), console)
    console.print(f"report: {index}", markup=False, highlight=False, soft_wrap=True)


def resolve_precision(protocol: Protocol, device: str) -> Protocol:
    """Replace precision ``auto`` by what this machine gets, so that the stored configuration says it."""
    from albench.training.runtime import has_bfloat16

    if protocol.scoring.precision != "auto":
        return protocol
    precision = "bfloat16" if device == "cpu" and has_bfloat16() else "float32"
    scoring = protocol.scoring.model_copy(update={"precision": precision})
    return protocol.model_copy(update={"scoring": scoring})


def resolve_start(protocol: Protocol, dataset: Dataset, given: str | None, strategies: Sequence[str]) -> Protocol:
    """Start from what is labelled already where labels are partial; refuse what needs labels that are not there."""
    if not dataset.is_partial:
        if protocol.pool.start_method == "labelled":
            raise InputError(
                f"--start labelled: expected a data set with partial labels (nnU-Net's ignore label), "
                f"{dataset.name} is labelled completely"
            )
        return protocol
    if given not in (None, "labelled"):
        raise InputError(
            f"--start {given}: expected labelled, or no --start, for {dataset.name}: what is labelled is the start"
        )
    if protocol.pool.patch_grid == "overlapping":
        raise InputError(
            f"pool.patch_grid: expected tiling for {dataset.name}, which has partial labels, since patches that are "
            f"labelled already may overlap"
        )
    for name in strategies:
        strategy = make_strategy(name)
        if strategy.oracle_aided or strategy.whole_pool:
            raise InputError(f"strategy '{name}': expected complete labels, {dataset.name} has partial ones")
    return protocol.model_copy(update={"pool": protocol.pool.model_copy(update={"start_method": "labelled"})})


def count_gpus() -> int:
    """GPUs that this process may use."""
    from albench.training.runtime import visible_gpus

    return len(visible_gpus())


def choose_device(name: str) -> Literal["cpu", "cuda"]:
    """Resolve ``auto``, and refuse a GPU that is not there."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise unknown_name("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: expected a CUDA device that torch can use, found none")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class NnunetFactory:
    """Makes nnU-Net trainers; can be sent to another process.

    Attributes
    ----------
    placement
        Processes that the cores are shared out among.
    """

    dataset: Dataset
    config: StudyConfig
    placement: Placement

    def __call__(self, work: Path) -> Trainer:
        """Make a trainer that works in the folder `work`."""
        import torch

        from albench.training.nnunet import NnunetTrainer
        from albench.training.runtime import configure_cpu

        if self.config.device == "cpu":
            configure_cpu(self.config.protocol.cpu_threads)
        return NnunetTrainer(
            self.dataset,
            self.config.protocol,
            torch.device(self.config.device),
            work,
            self.placement.n_loaders,
            shared_memory=self.placement.shared_memory,
        )
