"""Which job follows which, and what becomes of failures, on workers that only pretend."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any, cast

import pytest

from albench.errors import ChainsFailedError, ExhaustedError, InputError, WorkerError
from albench.progress import SILENT, Reporter
from albench.study.workers import Here, Job, run_in_order


class Named(SimpleNamespace):
    __hash__ = object.__hash__


STUDY = cast(Any, Named(dataset=Named(name="d")))


def job(seed: int, strategy: str | None = None) -> Job:
    return Job(STUDY, seed, strategy)


CHAINS = ("dear", "cheap")


class Pretending:
    """Has `n` jobs run at a time; the one submitted last is over first."""

    def __init__(self, n: int, failures: dict[Job, BaseException] | None = None) -> None:
        self.n, self.failures = n, failures or {}
        self.submitted: list[Job] = []
        self.running: list[tuple[Job, Future[None]]] = []
        self.ended_by: object = "not yet"

    def __enter__(self) -> Pretending:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.ended_by = kind

    def submit(self, job: Job) -> Future[None]:
        future: Future[None] = Future()
        self.submitted.append(job)
        self.running.append((job, future))
        if len(self.running) == self.n:
            last, of_last = self.running.pop()
            if error := self.failures.get(last):
                of_last.set_exception(error)
            else:
                of_last.set_result(None)
        return future


def test_what_follows_a_job_comes_before_what_waits() -> None:
    workers = Pretending(1)
    assert list(run_in_order(workers, [job(0), job(1)], CHAINS)) == workers.submitted
    assert workers.submitted == [
        *(job(0), job(0, "dear"), job(0, "cheap")),
        *(job(1), job(1, "dear"), job(1, "cheap")),
    ]


def test_nothing_follows_what_still_runs() -> None:
    workers = Pretending(2)
    order = run_in_order(workers, [job(0), job(1)], CHAINS)
    assert next(order) == job(1)
    assert workers.submitted == [job(0), job(1)]
    assert next(order) == job(1, "dear")
    assert next(order) == job(1, "cheap")
    assert workers.submitted == [job(0), job(1), job(1, "dear"), job(1, "cheap")]
    workers.running[0][1].set_result(None)
    assert next(order) == job(0)


def test_with_room_for_two_whole_seeds_come_first() -> None:
    """Whichever of two starts is over first, chains of the earlier seed come before those of the later ones."""
    workers = Pretending(2)
    jobs = [job(seed, name) for seed in range(3) for name in ("full", None)]
    order = run_in_order(workers, jobs, CHAINS, at_once=2)
    assert next(order) == job(0)
    assert next(order) == job(0, "dear")
    assert next(order) == job(0, "cheap")
    assert next(order) == job(1, "full"), "the ceiling of seed 0 still runs, and nothing else is handed out"
    assert workers.submitted == [job(0, "full"), job(0), job(0, "dear"), job(0, "cheap"), job(1, "full")]


@pytest.mark.parametrize("death", [BrokenExecutor(), BrokenProcessPool()])
def test_a_death_is_a_worker_error(death: BaseException) -> None:
    workers = Pretending(1, {job(0, "dear"): death})
    with pytest.raises(WorkerError, match=r"a worker process died.*the same command resumes"), workers:
        list(run_in_order(workers, [job(0), job(1)], CHAINS))
    assert workers.submitted == [job(0), job(0, "dear")]
    assert workers.ended_by is WorkerError


class Broken(Pretending):
    def submit(self, job: Job) -> Future[None]:
        raise BrokenProcessPool


def test_workers_that_take_no_job_any_more_are_dead() -> None:
    with pytest.raises(WorkerError):
        list(run_in_order(Broken(1), [job(0)], CHAINS))


def test_a_job_that_fails_stops_no_other_and_is_told_when_all_are_over() -> None:
    failures = {job(0, "dear"): InputError("out of memory"), job(1): ValueError("odd\nthing")}
    workers = Pretending(1, failures)
    ended: list[Job] = []
    with pytest.raises(ChainsFailedError) as found:
        ended.extend(run_in_order(workers, [job(0), job(1), job(2)], CHAINS))
    assert workers.submitted == [
        *(job(0), job(0, "dear"), job(0, "cheap"), job(1)),
        *(job(2), job(2, "dear"), job(2, "cheap")),
    ]
    assert str(found.value).splitlines() == [
        "d dear seed 0: out of memory",
        "d shared seed 1: ValueError: odd thing (--debug shows where); 2 chains that begin with it were not begun",
        "2 failed; what did not depend on them is done, and the same command runs what is left",
    ]
    cause = found.value.__cause__
    assert isinstance(cause, ExceptionGroup) and cause.exceptions == tuple(failures.values())


@pytest.mark.parametrize("end", [ExhaustedError("no space left"), KeyboardInterrupt(), SystemExit(3)])
def test_what_would_stop_every_job_stops_at_once(end: BaseException) -> None:
    workers = Pretending(1, {job(0): end})
    with pytest.raises(type(end)), workers:
        list(run_in_order(workers, [job(0), job(1)], CHAINS))
    assert workers.submitted == [job(0)]
    assert workers.ended_by is type(end)


def test_what_is_done_already_is_not_run_but_what_follows_it_is() -> None:
    workers = Pretending(1)
    finished = [job(0), job(0, "cheap"), job(1, "dear")]
    ended = list(run_in_order(workers, [job(0), job(1)], CHAINS, finished.__contains__))
    assert workers.submitted == [job(0, "dear"), job(1), job(1, "cheap")]
    assert sorted(map(repr, ended)) == sorted(map(repr, [*workers.submitted, *finished]))


def test_here_jobs_run_as_they_are_submitted() -> None:
    done: list[Job] = []

    def run(job: Job, reporter: Reporter) -> None:
        assert reporter is SILENT
        if job.seed == 2:
            raise InputError("seed 2")
        if job.seed == 3:
            raise KeyboardInterrupt
        done.append(job)

    with Here(run, SILENT) as workers:
        assert list(run_in_order(workers, [job(0), job(1)], CHAINS)) == done
        assert [each.seed for each in done] == [0, 0, 0, 1, 1, 1]
        with pytest.raises(ChainsFailedError, match="d shared seed 2: seed 2"):
            list(run_in_order(workers, [job(2)], CHAINS))
        with pytest.raises(KeyboardInterrupt):
            workers.submit(job(3))
