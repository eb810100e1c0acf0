"""Strategies x seeds x data sets: which job follows which, whoever works on them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, replace
from typing import Protocol

from albench.errors import WorkerError
from albench.progress import SILENT, Board, Reporter
from albench.results.collect import write_tables
from albench.results.layout import CEILING
from albench.strategies import make_strategy
from albench.study.chain import Chain
from albench.study.loop import run_ceiling, run_chain, run_start
from albench.study.processes import Processes
from albench.study.setup import setup_seed
from albench.study.study import Study

_TABLES_EVERY_S = 60.0


@dataclass(frozen=True)
class Job:
    """A part of a study that one worker does; can be sent anywhere.

    Attributes
    ----------
    strategy
        Label of the chain's strategy; None stands for what all chains of the seed share up to the first model.
    """

    study: Study
    seed: int
    strategy: str | None


def run_job(job: Job, reporter: Reporter) -> None:
    """Run a job to its end; finished stages are skipped."""
    setup = setup_seed(job.study, job.seed, reporter, verify=False)  # `run_studies` has done that
    chain = Chain(job.study, setup, make_strategy(job.strategy) if job.strategy else None, reporter)
    if job.strategy is None:
        run_start(chain.start)
    elif job.strategy == CEILING:
        run_ceiling(chain)
    else:
        run_chain(chain)


class Workers(Protocol):
    """Whoever runs jobs: this process, others of this machine, a cluster.

    Where an exception ends its block, what runs is stopped at once: it is on disk or done again.
    """

    def __enter__(self) -> Workers:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """End; with an exception, at once."""

    def submit(self, job: Job, /) -> Future[None]:
        """Have a job run; jobs begin in this order.

        The future raises what the job raised, or `concurrent.futures.BrokenExecutor` where its worker died.
        """


class Here:
    """Runs jobs in this process, each as it is submitted."""

    def __init__(self, run: Callable[[Job, Reporter], None], reporter: Reporter) -> None:
        self._run, self._reporter = run, reporter

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing runs any more."""

    def submit(self, job: Job) -> Future[None]:
        """Run a job; its future is over, or an interruption is raised."""
        future: Future[None] = Future()
        try:
            self._run(job, self._reporter)
            future.set_result(None)
        except Exception as error:
            future.set_exception(error)
        return future


def run_studies(
    studies: Sequence[Study],
    strategies: Sequence[str],
    seeds: Sequence[int],
    n_processes: int,
    board: Board = SILENT,
) -> None:
    """Run every strategy on every seed of every study; tables are written now and then, and at the end.

    Chains of a seed start when their common first model is there. One process runs everything here; more run in
    spawned ones, which share out the GPUs.
    """
    # Dearest first, so that no long chain is left to run alone at the end.
    chains = sorted(
        (name for name in strategies if name != CEILING),
        key=lambda name: -make_strategy(name).needs.value.bit_count(),
    )
    for study in studies:
        for seed in seeds:
            setup_seed(study, seed, board)
    first = [Job(study, seed, None) for study in studies for seed in seeds if chains]
    if CEILING in strategies:
        first = [Job(study, seed, CEILING) for study in studies for seed in seeds] + first

    workers: Workers = Here(run_job, board)
    if n_processes > 1:
        on_gpu = any(study.config.device == "cuda" for study in studies)
        workers = Processes(n_processes, run_job, board, _gpus() if on_gpu else ())
    last_written = time.monotonic()
    try:
        with workers:
            for job in run_in_order(workers, first, chains):
                if time.monotonic() - last_written > _TABLES_EVERY_S:
                    write_tables(job.study.out)
                    last_written = time.monotonic()
    finally:
        for line in [line for out in {study.out for study in studies} for line in write_tables(out)]:
            board.say(line)


def run_in_order(workers: Workers, jobs: Sequence[Job], chains: Sequence[str]) -> Iterator[Job]:
    """Run `jobs`, and as soon as a seed's start is done its `chains`, before other jobs that wait; yield what is done.

    Raises
    ------
    WorkerError
        A worker died; what a job raises is raised as it is.
    """
    waiting, running = deque(jobs), dict[Future[None], Job]()
    try:
        while waiting or running:
            if waiting:
                job = waiting.popleft()
                running[workers.submit(job)] = job
            done, _ = wait(running, timeout=0 if waiting else None, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                job = running.pop(future)
                if job.strategy is None:
                    waiting.extendleft(replace(job, strategy=name) for name in reversed(chains))
                yield job
    except BrokenExecutor:
        raise WorkerError(
            "a worker process died, most often for want of memory; finished stages are kept, and the same command "
            "resumes (fewer --jobs need less memory)"
        ) from None


def _gpus() -> tuple[str, ...]:
    from albench.training.runtime import visible_gpus  # torch takes seconds to load, and not every command needs it

    return visible_gpus()
