"""The head of a study on a cluster: it keeps joined processes at work until one of them says that the study is over."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from albench.data.locate import DATA_VARIABLE, cache_folder
from albench.errors import ChainsFailedError, InputError, WorkerError
from albench.progress import Reporter
from albench.results.claims import deciding_versions
from albench.results.layout import RunFolder
from albench.study.cluster.pool import SLURM, Pool, Task, open_pool, require_packages
from albench.study.cluster.settings import ClusterSettings, read_cluster, require_job
from albench.study.cluster.task import Order, Outcome
from albench.study.cluster.watch import Watch
from albench.study.file import write_study
from albench.study.request import RunRequest

_RENEW_EVERY_S = 30.0
_LOOK_EVERY_S = 1.0
_TO_END_S = 60.0
_MOST_DEATHS = 3
"""So often a process dies, for each worker, before a round is done; then there is no use in another."""


def run_on_cluster(request: RunRequest, protocol: dict[str, Any] | None, reporter: Reporter) -> Path:
    """Start joined processes on a cluster's workers and watch them until the study is over.

    Nothing depends on this process: it may be killed and started again, and what the workers do is not done again.

    Parameters
    ----------
    protocol
        `albench.study.file.own_protocol` of the request.

    Returns
    -------
    Path
        The report's page, which the last joined process has written.

    Raises
    ------
    InputError
        The cluster cannot be used, or the joined processes refuse the request; with their reason.
    ChainsFailedError
        Some chains failed; all others are done, and in the report.
    WorkerError
        The scheduler is gone, or joined processes die again and again.
    """
    assert request.scheduler is not None
    if request.join or not request.resume:
        raise InputError("--scheduler: expected neither --join nor --fresh: it joins, and takes the folder from nobody")
    settings = read_cluster(request.cluster) if request.cluster else ClusterSettings()
    if request.scheduler == SLURM:
        require_job(request.cluster, settings)
    require_packages()
    run = RunFolder(request.out.absolute())
    folder = run.claims / "cluster"
    order = Order(_written(request, folder, protocol), _arguments(request, settings), deciding_versions())
    with open_pool(request.scheduler, settings, folder) as pool:
        head = Head(pool, order, Watch(request.out, reporter), reporter)
        try:
            outcome = head.await_end()
        except BaseException:
            pool.stop(order.study)
            raise
        head.await_others()
    if outcome.status != 0:
        raise ChainsFailedError("\n".join(outcome.lines))
    return run.report / "index.html"


def _written(request: RunRequest, folder: Path, protocol: dict[str, Any] | None) -> Path:
    """Write the request for the joined processes, with what this one's environment adds to it."""
    data = request.data or (Path(os.environ[DATA_VARIABLE]) if os.environ.get(DATA_VARIABLE) else None)
    cache = cache_folder(request.cache) if request.cache or "ALBENCH_CACHE" in os.environ else None
    data, cache = (path and path.expanduser().absolute() for path in (data, cache))
    return write_study(replace(request, out=request.out.absolute(), data=data, cache=cache), folder, protocol)


def _arguments(request: RunRequest, settings: ClusterSettings) -> tuple[str, ...]:
    """Return the options of a joined process that its study file has not."""
    ttl = settings.claim_ttl or request.claim_ttl
    jobs = request.jobs or settings.chains or (1 if request.scheduler == SLURM else None)
    scratch = str(request.scratch) if request.scratch else settings.scratch
    return (
        *("--join", "--claim-ttl", str(ttl), "--checkpoint-minutes", str(request.checkpoint_minutes)),
        *(("--jobs", str(jobs)) if jobs else ()),
        *(("--scratch", scratch) if scratch else ()),
    )


@dataclass
class Head:
    """Gives each worker a joined process, and another where that died."""

    pool: Pool
    order: Order
    watch: Watch
    reporter: Reporter
    working: dict[str, Task] = field(default_factory=dict)
    refused: dict[str, Outcome] = field(default_factory=dict)

    def await_end(self) -> Outcome:
        """Keep processes at work until one says that the study is over.

        Raises
        ------
        InputError
            All that there are refuse the study.
        WorkerError
            They die again and again, or the scheduler is gone.
        """
        renewed, n_done, deaths = float("-inf"), -1, 0
        while True:
            workers = self.pool.workers()
            if time.monotonic() - renewed >= _RENEW_EVERY_S:
                self.pool.renew()
                done = self.watch.tell()
                renewed, n_done, deaths = time.monotonic(), done, deaths if done == n_done else 0
            self._forget_lost(workers)
            self._give(workers)
            for outcome in self._ended():
                if outcome.is_over:
                    self.watch.tell()
                    return outcome
                if not outcome.is_refused:
                    deaths += 1
                    self.reporter.say(f"a joined process on {outcome.host} ended ({_reason(outcome)})")
            if self.refused and workers <= set(self.refused):
                raise InputError(" ".join(next(iter(self.refused.values())).lines))
            if deaths >= _MOST_DEATHS * max(1, len(workers)):
                raise WorkerError(
                    f"{deaths} joined processes died and no round was done meanwhile; finished stages are kept, the "
                    f"workers' logs say more"
                )
            time.sleep(_LOOK_EVERY_S)

    def await_others(self) -> None:
        """Let the processes that find the study over end by themselves, for a while."""
        end = time.monotonic() + _TO_END_S
        while self.working and time.monotonic() < end:
            list(self._ended())
            time.sleep(_LOOK_EVERY_S / 5)
        self.pool.stop(self.order.study)

    def _forget_lost(self, workers: set[str]) -> None:
        for address, task in list(self.working.items()):
            if address not in workers or task.is_lost:
                self.working.pop(address).cancel()
                self.reporter.say(f"{address}: lost; others take over what it had")
        for address in set(self.refused) - workers:
            del self.refused[address]

    def _give(self, workers: set[str]) -> None:
        free = sorted(workers - set(self.working) - set(self.refused))
        most = len(free) if self.pool.most is None else self.pool.most - len(self.working)
        for address in free[: max(0, most)]:
            self.working[address] = self.pool.start(self.order, address)

    def _ended(self) -> Sequence[Outcome]:
        over = {address: outcome for address, task in self.working.items() if (outcome := task.outcome()) is not None}
        for address, outcome in over.items():
            del self.working[address]
            if outcome.is_refused:
                self.refused[address] = outcome
                self.reporter.say(f"{outcome.host or address}: {' '.join(outcome.lines)}")
        return list(over.values())


def _reason(outcome: Outcome) -> str:
    said = f": {outcome.lines[-1]}" if outcome.lines else ""
    signal = f"signal {-outcome.status}" if outcome.status < 0 else f"status {outcome.status}"
    return f"{signal}{said}"
