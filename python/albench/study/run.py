"""From a request to finished studies, tables and report."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albench.config import Protocol, StudyConfig
from albench.data import Dataset, load_dataset, verify_cases
from albench.data.groups import case_groups
from albench.data.locate import cache_folder
from albench.data.verify import require_none_stops
from albench.errors import ChainsFailedError, InputError
from albench.machine.files import fenced
from albench.machine.limits import allow_open_files
from albench.machine.names import require_utf8
from albench.machine.placement import Machine, Placement, place
from albench.machine.scratch import use_scratch
from albench.progress import SILENT, Board, Reporter
from albench.protocols import load_protocol
from albench.report import build_report
from albench.results.claims import Claims
from albench.results.collect import write_tables
from albench.results.folder import examine_folder, joined_folder, output_folder
from albench.results.reading import require_plain_files
from albench.results.registered import RegisteredClaim
from albench.strategies import label_of, make_strategy
from albench.study.claim import claim_results
from albench.study.cluster.head import run_on_cluster
from albench.study.devices import choose_device, count_gpus, machine_precision, with_precision
from albench.study.events import require_tensorboard
from albench.study.file import own_protocol
from albench.study.joined import run_joined
from albench.study.parts import parts_of
from albench.study.request import RunRequest
from albench.study.study import Study
from albench.study.workers import run_studies
from albench.training.base import Trainer
from albench.training.feasible import planning_problems
from albench_core.cores import n_cores

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Resolved:
    """A request whose arguments and data have been checked; nothing is computed or written yet.

    Attributes
    ----------
    request
        With what was left to the machine decided: it asks for the same studies on any.
    n_processes
        Chains that run side by side.
    """

    request: RunRequest
    studies: tuple[Study, ...]
    n_processes: int


def labels_of(request: RunRequest) -> tuple[str, ...]:
    """Labels of the strategies that are asked for, each once."""
    return tuple(dict.fromkeys(label_of(make_strategy(text)) for text in request.strategy))


def protocols_of(request: RunRequest) -> dict[str, Protocol]:
    """Protocol of each data set that is asked for, by how it was named."""
    return {
        name: load_protocol(
            request.protocol,
            request.set,
            dataset=name,
            rounds=request.rounds,
            budget=request.budget,
            start_method=request.start,
            split_by=request.split_by,
            group_by=request.group_by,
        )
        for name in request.dataset
    }


def resolve(request: RunRequest, reporter: Reporter) -> Resolved:
    """Check everything that can be checked before anything is computed."""
    allow_open_files()
    require_utf8(request.out.absolute())
    if request.tensorboard:
        require_tensorboard()
    strategies = labels_of(request)
    require_asked(request.claims, strategies)
    device = choose_device(request.device)
    protocols = protocols_of(request)
    precision, settings = machine_precision(device), request.set
    if all(protocol.scoring.precision == "auto" for protocol in protocols.values()):
        settings = (*settings, f"scoring.precision={precision}")
    protocols = {name: with_precision(protocol, precision) for name, protocol in protocols.items()}
    placement = place(
        Machine.found(),
        n_chains=len(request.dataset) * len(strategies) * len(request.seed_range),
        n_threads=next(iter(protocols.values())).cpu_threads,
        n_gpus=count_gpus() if device == "cuda" else 0,
        jobs=request.jobs,
    )
    for note in placement.notes:
        reporter.say(note)
    cache = cache_folder(request.cache)
    studies: list[Study] = []
    for name in request.dataset:
        with reporter.task(f"{name}: reading and verifying"):
            dataset = load_dataset(name, data_dir=request.data, cache_dir=cache, reporter=reporter)
            namesake = next((study.dataset for study in studies if study.dataset.name == dataset.name), None)
            if namesake is not None:
                require_same_data(namesake, dataset)
                reporter.say(f"{name}: the same data as {namesake.root}, which is one study")
                continue
            verdict = verify_cases(
                dataset,
                n_workers=n_cores(),
                reporter=reporter,
                trust_image_geometry=request.trust_image_geometry,
            )
            require_none_stops(dataset, planning_problems(dataset, verdict.facts, protocols[name].network))
        if remarks := verdict.problems:
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
            dataset_kind=dataset.kind,
            dataset_root=str(dataset.root),
            trusted_geometry=verdict.n_of_geometry if request.trust_image_geometry else None,
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
                gallery=request.gallery,
                tensorboard=request.tensorboard,
                given=name,
                checkpoint_minutes=request.checkpoint_minutes,
            )
        )
    resolved = replace(request, strategy=strategies, device=device, set=settings)
    return Resolved(resolved, tuple(studies), placement.n_processes)


def run(request: RunRequest, reporter: Board = SILENT) -> Path:
    """Check a request, run its studies or what is left of them, and write tables and report.

    Parameters
    ----------
    reporter
        Says what is being done, in this process and in workers.

    Returns
    -------
    Path
        The report's page.

    Raises
    ------
    InputError
        Something of the request or its data is not as it has to be; before anything is computed.
    ChainsFailedError
        Some chains failed; all others are done, and in the report.
    WorkerError
        A process died; nothing that was finished is lost.
    """
    if ".." in request.out.parts:  # --fresh may move the current folder, from which the path counts
        request = replace(request, out=request.out.resolve())
    if request.scheduler is not None:
        return _start_on_cluster(request, reporter)
    if request.scratch is not None:
        use_scratch(request.scratch)
    resolved = resolve(request, reporter)
    if request.join and not request.resume:
        raise InputError("--join: expected no --fresh, which would take the folder from the others")
    for study in resolved.studies:
        if not request.resume and study.dataset.root.is_relative_to(request.out.resolve()):
            raise InputError(f"--fresh: would set {study.dataset.root} aside, which is read; choose another --out")
    protocol = own_protocol(request)  # now: it may lie in what --fresh sets aside
    if request.join:
        return _join(resolved, protocol, reporter)
    with output_folder(request.out, fresh=not request.resume) as replaced:
        require_plain_files(request.out)
        if replaced:
            reporter.say(f"what was in {request.out} under other settings is in {replaced} now")
        claim_results(resolved.request, resolved.studies, protocol, reporter)
        strategies, seeds = resolved.request.strategy, request.seed_range
        try:
            run_studies(resolved.studies, strategies, seeds, resolved.n_processes, reporter)
        except ChainsFailedError:
            with contextlib.suppress(InputError):  # nothing is done that it could show
                reporter.say(f"report of what is done: {build_report(request.out)}")
            raise
        return build_report(request.out)


def _start_on_cluster(request: RunRequest, reporter: Reporter) -> Path:
    """Look at what can be looked at here, where data and devices need not be, and have the cluster do the rest."""
    strategies = labels_of(request)
    protocols_of(request)
    require_utf8(request.out.absolute())
    return run_on_cluster(replace(request, strategy=strategies), own_protocol(request), reporter)


def _join(resolved: Resolved, protocol: dict[str, Any] | None, reporter: Board) -> Path:
    """Run what no other process has of the studies, wait for what others have, and see to tables and report."""
    request, configs = resolved.request, [study.config for study in resolved.studies]
    with joined_folder(request.out, request.claim_ttl) as claims:
        with claims.settings.held():
            claims.require_versions()
            require_plain_files(request.out)
            found = examine_folder(request.out, configs)
            changes = bool(found.changed or found.replaced)
            if changes and (others := claims.at_work()):
                raise InputError(
                    f"--out {request.out}: expected the settings of those at work, one on {others[0].place}, since "
                    f"they would go on under others"
                )
            claim_results(request, resolved.studies, protocol, reporter)
            if changes:
                claims.forget_work()
        parts = parts_of(resolved.studies, request.strategy, request.seed_range)
        try:
            done = run_joined(parts, claims, resolved.n_processes, reporter)
        except ChainsFailedError as error:
            with contextlib.suppress(InputError):  # nothing is done that it could show
                reporter.say(f"report of what is done: {report_once(claims, str(error), reporter)}")
            raise
        return report_once(claims, done, reporter)


def report_once(claims: Claims, of: str, reporter: Reporter) -> Path:
    """Write tables and report, unless another process that is joined did of the same, or does.

    Parameters
    ----------
    of
        Names what they show.

    Returns
    -------
    Path
        The report's page.
    """
    run, of = claims.run, hashlib.sha256(of.encode()).hexdigest()
    page = run.report / "index.html"
    while True:
        history = claims.report.history()
        last = history[-1].end if history else None
        if last and last.get("of") == of and page.is_file():
            return page
        if (claim := claims.report.take()) is not None:
            break
        time.sleep(_LOOK_EVERY_S)
    with claim.renewed() as held, fenced(held.check):
        try:
            for line in write_tables(run.path):
                reporter.say(line)
            page = build_report(run.path)
            claim.end("done", of=of)
        finally:
            claim.end("left")
    return page


def require_asked(claims: Sequence[RegisteredClaim], strategies: Sequence[str]) -> None:
    """Refuse claims about strategies that the run does not have.

    Raises
    ------
    InputError
        For such a claim.
    """
    for number, claim in enumerate(claims, start=1):
        for name in (claim.strategy, claim.against):
            if name not in strategies:
                raise InputError(
                    f"claims {number}: expected a strategy of the study ({', '.join(strategies)}), got {name}"
                )


def require_same_data(first: Dataset, second: Dataset) -> None:
    """Refuse two data sets that would be one in every table and folder, since they have one name.

    Raises
    ------
    InputError
        Their content differs.
    """
    if first.checksum != second.checksum:
        raise InputError(
            f"--dataset: expected another name for each data set, found two called {second.name}, {first.root} and "
            f"{second.root}; rename the folder of one"
        )


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
