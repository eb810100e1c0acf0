"""Chains side by side: how much slower each is for the others, and when the last is over."""

from __future__ import annotations

import json
import math
import time
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np

from albench.machine.files import read_json
from albench.progress import SILENT, Reporter
from albench.study.processes import Processes
from albench.study.study import Study
from albench.units.pool import Unit

_OVERLAP_S = 3.0
_WARM_UP = 4
_MOST_ITERATIONS = 60


@dataclass(frozen=True)
class Probe:
    """A short training in a process of its own.

    Attributes
    ----------
    folder
        Preprocessed cases, as `albench.study.forecast.measure` leaves them.
    target
        Model to write, and beside it the times of its iterations.
    """

    study: Study
    folder: Path
    start: tuple[Unit, ...]
    iterations: int
    target: Path

    @property
    def times(self) -> Path:
        """Seconds of the machine's clock at which iterations ended, JSON."""
        return self.target.with_suffix(".json")


def run_probe(probe: Probe, reporter: Reporter) -> None:
    """Train, and write down when each iteration was over."""
    times: list[float] = []
    probe.study.make_trainer(probe.folder).train(
        probe.start,
        iterations=probe.iterations,
        key=("plan",),
        initial=None,
        target=probe.target,
        on_iteration=lambda loss: times.append(time.monotonic()),
    )
    probe.times.write_text(json.dumps(times), encoding="utf-8")


def slowdown(
    study: Study, folder: Path, start: Sequence[Unit], iteration_s: float, n_processes: int, gpus: Sequence[str] = ()
) -> float:
    """How many times as long an iteration takes while others train beside it; at least 1.

    Parameters
    ----------
    start
        Units to train on.
    iteration_s
        What one takes alone.
    n_processes
        That train at the same time.
    gpus
        As `albench.study.processes.Processes` takes them.
    """
    iterations = min(_MOST_ITERATIONS, 2 * _WARM_UP + math.ceil(_OVERLAP_S / max(iteration_s, 1e-6)))
    probes = [
        Probe(study, folder, tuple(start), iterations, folder / f"beside-{number}.pth") for number in range(n_processes)
    ]
    with Processes(n_processes, run_probe, SILENT, gpus) as workers:
        for future in [workers.submit(probe) for probe in probes]:
            future.result()
    return max(1.0, beside(np.array([read_json(probe.times) for probe in probes])) / iteration_s)


def beside(times: np.ndarray) -> float:
    """Mean seconds of an iteration while all processes iterate; of all iterations where they never do.

    Parameters
    ----------
    times
        float64 (n_processes, n_iterations): when each was over, on one clock.
    """
    began, ended = times[:, _WARM_UP - 1].max(), times[:, -1].min()
    lengths, ends = np.diff(times[:, _WARM_UP - 1 :], axis=1), times[:, _WARM_UP:]
    together = (ends - lengths >= began) & (ends <= ended)
    return float(lengths[together].mean() if together.any() else lengths.mean())


@dataclass(frozen=True)
class Work:
    """A job of a run.

    Attributes
    ----------
    seconds
        Alone on the machine.
    then
        Jobs that wait for its end, in order.
    """

    seconds: float
    then: tuple[Work, ...] = ()


def last_end_s(jobs: Sequence[Work], n_processes: int, slower: float = 1.0) -> float:
    """Seconds until all jobs are over, in the order in which `albench.study.workers.run_in_order` has them begin.

    Parameters
    ----------
    slower
        How many times as long a job takes with all processes at work; in between where fewer are.
    """
    waiting, running, now = list(enumerate(jobs)), list[tuple[float, int, Work]](), 0.0
    while waiting or running:
        while waiting and len(running) < n_processes:
            turn, job = waiting.pop(0)
            running.append((job.seconds, turn, job))
        pace = 1 + (slower - 1) * (len(running) - 1) / max(1, n_processes - 1)
        step = min(left for left, _, _ in running)
        now += step * pace
        for follower in [(turn, each) for left, turn, job in running if left <= step for each in job.then]:
            insort(waiting, follower, key=itemgetter(0))
        running = [(left - step, turn, job) for left, turn, job in running if left > step]
    return now
