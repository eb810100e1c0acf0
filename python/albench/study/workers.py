"""Strategies x seeds x data sets: which job follows which, whoever works on them."""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Protocol

from albench.errors import ChainsFailedError, ExhaustedError, InputError, WorkerError
from albench.progress import SILENT, Board, Reporter, Silent
from albench.results.collect import write_tables
from albench.results.layout import CEILING, SHARED
from albench.strategies import make_strategy
from albench.study.chain import Chain, UnfinishedError
from albench.study.loop import run_ceiling, run_chain, run_start
from albench.study.processes import Processes
from albench.study.setup import SeedSetup, setup_seed
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

    @property
    def title(self) -> str:
        """Name that lines give it."""
        return f"{self.study.dataset.name} {(self.strategy or SHARED).removeprefix('_')} seed {self.seed}"


def run_job(job: Job, reporter: Reporter) -> None:
    """Run a job to its end; finished stages are skipped."""
    # `run_studies` has compared the preprocessed files
    _run(job, setup_seed(job.study, job.seed, reporter, verify=False), reporter)


def _run(job: Job, setup: SeedSetup, reporter: Reporter, *, only_look: bool = False) -> None:
    strategy = make_strategy(job.strategy) if job.strategy else None
    chain = Chain(job.study, setup, strategy, reporter, only_look)
    if job.strategy is None:
        run_start(chain.start)
    elif job.strategy == CEILING:
        run_ceiling(chain)
    else:
        run_chain(chain)


class _Listening(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep one line."""
        self.lines.append(text)


def is_done(job: Job, setup: SeedSetup, reporter: Reporter) -> bool:
    """Whether nothing of a job has to run: its own code says so, and every file is compared with its checksum."""
    study = job.study
    number = 0 if job.strategy is None else study.config.protocol.rounds - 1
    last = study.folder.chain(job.strategy or SHARED, job.seed).round(number)
    asks = study.config.protocol.pool.start_method == "labelled" and last.number > 0  # it ends with a query
    if not (asks or last.trained_in.stage("evaluate").exists()):  # no checksum is worth its time
        return False
    listening = _Listening()
    try:
        _run(job, setup, listening, only_look=True)
    except (UnfinishedError, InputError):  # whoever runs it will meet the same, and say so
        return False
    for line in listening.lines:
        reporter.say(line)
    return True


class Workers(Protocol):
    """Whoever runs jobs: this process, others of this machine, a cluster.

    Where an exception ends its block, what runs is stopped: at once, but for trainings, which are saved first. It is on
    disk or done again.
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

    Chains of a seed start when their common first model is there, and before those of later seeds. One process runs
    everything here; more run in spawned ones, which share out the GPUs.
    """
    chains = dearest_first([name for name in strategies if name != CEILING])
    setups = {(study.dataset.name, seed): setup_seed(study, seed, board) for study in studies for seed in seeds}
    # seed by seed: a run that is stopped has whole seeds, whose strategies can be compared
    heads = [*([CEILING] if CEILING in strategies else []), *([None] if chains else [])]
    first = [Job(study, seed, name) for seed in seeds for study in studies for name in heads]

    def done(job: Job) -> bool:
        return is_done(job, setups[job.study.dataset.name, job.seed], board)

    workers: Workers = Here(run_job, board)
    if n_processes > 1:
        on_gpu = any(study.config.device == "cuda" for study in studies)
        workers = Processes(n_processes, run_job, board, visible_gpus("cuda" if on_gpu else "cpu"))
    last_written = time.monotonic()
    try:
        with workers:
            for job in run_in_order(workers, first, chains, done, at_once=n_processes):
                if time.monotonic() - last_written > _TABLES_EVERY_S:
                    write_tables(job.study.out)
                    last_written = time.monotonic()
    finally:
        for line in [line for out in {study.out for study in studies} for line in write_tables(out)]:
            board.say(line)


def run_in_order(
    workers: Workers,
    jobs: Sequence[Job],
    chains: Sequence[str],
    done: Callable[[Job], bool] = lambda job: False,
    *,
    at_once: int | None = None,
) -> Iterator[Job]:
    """Run `jobs`, and as soon as a seed's start is done its `chains`, before later jobs that wait; yield what is done.

    Parameters
    ----------
    done
        Says of a job whose turn it is that it need not run.
    at_once
        Jobs that workers have at most, so that what becomes possible need not queue up behind later seeds; None: any
        number.

    Raises
    ------
    ChainsFailedError
        Jobs raised something, and all others are over.
    WorkerError
        A worker died.
    ExhaustedError
        A job raised it: others would too.
    """
    waiting, running = list(enumerate(jobs)), dict[Future[None], tuple[int, Job]]()
    failures = list[tuple[Job, Exception]]()
    try:
        while waiting or running:
            over: list[tuple[int, Job]] = []
            has_room = bool(waiting) and (at_once is None or len(running) < at_once)
            if has_room:
                turn, job = waiting.pop(0)
                if done(job):
                    over.append((turn, job))
                else:
                    running[workers.submit(job)] = turn, job
            ended, _ = wait(running, timeout=0 if has_room else None, return_when=FIRST_COMPLETED)
            for future in ended:
                turn, job = running.pop(future)
                if (error := _failed(future)) is None:
                    over.append((turn, job))
                else:
                    failures.append((job, error))
            for turn, job in over:
                followers = chains if job.strategy is None else ()
                for name in followers:
                    insort(waiting, (turn, replace(job, strategy=name)), key=itemgetter(0))
                yield job
    except BrokenExecutor:
        raise WorkerError(
            "a worker process died, most often for want of memory; finished stages are kept, and the same command "
            "resumes (fewer --jobs need less memory)"
        ) from None
    if failures:
        lines = [_failure(job, error, len(chains)) for job, error in failures]
        end = "what did not depend on them is done, and the same command runs what is left"
        raise ChainsFailedError("\n".join([*lines, f"{len(failures)} failed; {end}"])) from ExceptionGroup(
            "failed chains", [error for _, error in failures]
        )


def _failed(future: Future[None]) -> Exception | None:
    """Return what a job raised, if anything; raise it where others would meet the same."""
    error = future.exception()
    if error is not None and (not isinstance(error, Exception) or isinstance(error, (BrokenExecutor, ExhaustedError))):
        raise error
    return error


def _failure(job: Job, error: Exception, n_chains: int) -> str:
    """Return what became of a job, in one line."""
    text = " ".join(str(error).split())
    text = text if isinstance(error, InputError) else f"{type(error).__name__}: {text} (--debug shows where)"
    line = text if text.startswith(job.title) else f"{job.title}: {text}"
    return line if job.strategy else f"{line}; {n_chains} chains that begin with it were not begun"


def dearest_first(strategies: Sequence[str]) -> list[str]:
    """Strategies in the order in which their chains begin: so no long one is left to run alone at the end."""
    return sorted(strategies, key=lambda name: -make_strategy(name).needs.value.bit_count())


def visible_gpus(device: str) -> tuple[str, ...]:
    """GPUs for processes of a study on `device`: none for cpu."""
    if device != "cuda":
        return ()
    from albench.training import runtime  # torch takes seconds to load, and not every command needs it

    return runtime.visible_gpus()
