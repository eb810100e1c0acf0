"""Strategies x seeds x data sets, side by side in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from albench.errors import WorkerError
from albench.progress import SILENT, Board, Reporter
from albench.results.collect import write_tables
from albench.results.layout import CEILING
from albench.strategies import make_strategy
from albench.study.chain import Chain
from albench.study.loop import run_ceiling, run_chain, run_start
from albench.study.relay import Remote, relay
from albench.study.setup import setup_seed
from albench.study.study import Study

_TABLES_EVERY_S = 60.0


@dataclass(frozen=True)
class Job:
    """A part of a study that one process works on.

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

    last_written = time.monotonic()

    def following(job: Job) -> list[Job]:
        nonlocal last_written
        if time.monotonic() - last_written > _TABLES_EVERY_S:
            write_tables(job.study.out)
            last_written = time.monotonic()
        return [replace(job, strategy=name) for name in chains] if job.strategy is None else []

    try:
        if n_processes == 1:
            _run_here(first, following, board)
        else:
            on_gpu = any(study.config.device == "cuda" for study in studies)
            _run_in_processes(first, following, n_processes, _gpus() if on_gpu else (), board)
    finally:
        for out in {study.out for study in studies}:
            write_tables(out)


def _gpus() -> tuple[str, ...]:
    from albench.training.runtime import visible_gpus  # torch takes seconds to load, and not every command needs it

    return visible_gpus()


def _run_here(jobs: list[Job], following: Callable[[Job], list[Job]], reporter: Reporter) -> None:
    while jobs:
        job = jobs.pop(0)
        run_job(job, reporter)
        jobs = following(job) + jobs


def _run_in_processes(
    jobs: list[Job], following: Callable[[Job], list[Job]], n_processes: int, gpus: Sequence[str], board: Board
) -> None:
    context = multiprocessing.get_context("spawn")
    with (
        relay(board) as events,
        ProcessPoolExecutor(
            n_processes, context, initializer=_initialise, initargs=(events, os.getpid(), gpus)
        ) as executor,
    ):
        running: dict[Future[None], Job] = {}
        try:
            running = {_submit(executor, job): job for job in jobs}
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    future.result()
                    running |= {_submit(executor, new): new for new in following(job)}
        except BrokenProcessPool:
            # The executor misses workers that it starts while it takes note of the death, and would wait for them.
            _kill(executor)
            raise WorkerError(
                "a worker process died, most often for want of memory; finished stages are kept, and the same "
                "command resumes (fewer --jobs need less memory)"
            ) from None
        except BaseException:
            _kill(executor)
            raise


def _submit(executor: ProcessPoolExecutor, job: Job) -> Future[None]:
    try:
        return executor.submit(_work, job)
    except BrokenPipeError as error:  # a worker that died before it had read what to do
        raise BrokenProcessPool(str(error)) from None


def _kill(executor: ProcessPoolExecutor) -> None:
    """Stop workers at once: whatever they were doing is either on disk or done again."""
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


_EVENTS: Connection


def _initialise(events: Connection, parent: int, gpus: Sequence[str]) -> None:
    global _EVENTS  # noqa: PLW0603
    _EVENTS = events
    if gpus:
        from albench.training.runtime import take_gpu

        take_gpu(gpus)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process soon after its parent: nobody would read what an orphan computes, and a rerun would race it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(job: Job) -> None:
    run_job(job, Remote(_EVENTS))
