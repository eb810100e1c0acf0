"""What a run would cost, from a few measured iterations; nothing of the run itself is done."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.config import StartMethod, runs
from albench.metrics.evaluate import evaluate, surface_settings
from albench.progress import SILENT, Reporter
from albench.results.layout import CEILING
from albench.results.reading import require_plain_files
from albench.scoring.request import Need, class_weights
from albench.seeding import generator
from albench.stats.power import SPREADS, Power, power_of
from albench.strategies import make_strategy
from albench.study.budget import check_budget, may_be_short
from albench.study.choosing import scoring_request
from albench.study.done import find_done, trainings
from albench.study.request import RunRequest
from albench.study.run import resolve
from albench.study.setup import start_units
from albench.study.study import Study
from albench.training.base import Model, Trainer
from albench.units.cost import labelled_voxels
from albench.units.pool import Pool, Split, Unit

_SAMPLE_CASES = 10
_SAMPLE_UNITS = 64
_SAMPLE_TESTS = 2
_ITERATIONS = 14
_WARM_UP = 4
_WHOLE = "whole"


@dataclass(frozen=True)
class Costs:
    """Measured on a sample of a data set, one chain alone on the machine; seconds and bytes.

    Attributes
    ----------
    units_per_case
        Mean over the sampled pool cases.
    score_s_per_unit
        By strategy.
    prepared_bytes_per_case
        nnU-Net's raw and preprocessed files.
    n_labelled
        Units of the pool that are labelled already, where labels are partial.
    """

    units_per_case: float
    prepare_s_per_case: float
    train_setup_s: float
    iteration_s: float
    score_s_per_unit: dict[str, float]
    evaluate_s_per_case: float
    model_bytes: int
    prepared_bytes_per_case: float
    n_labelled: int | None = None


@dataclass(frozen=True)
class Forecast:
    """What one data set's part of a run amounts to.

    Attributes
    ----------
    n_pool_units
        Estimated from the sample where the pool has more cases than that.
    start
        Units annotated before the first training.
    budgets
        Units of each query.
    n_trainings, n_iterations
        Over all seeds, strategies and folds; the first round of a seed counts once.
    compute_s
        Summed over all chains, by what it is spent on; choosing itself is left out.
    wall_s
        With chains side by side.
    disk_bytes
        Checkpoints and preprocessed images at the end.
    n_done
        Trainings that the results folder has already; their share is not in the times.
    power
        What differences the seeds can find; None where no spread is known.
    """

    dataset: str
    protocol: str
    device: str
    n_pool_cases: int
    n_pool_units: int
    n_test_cases: int
    start: int
    rounds: int
    budgets: tuple[int, ...]
    n_seeds: int
    n_trainings: int
    n_iterations: int
    compute_s: dict[str, float]
    wall_s: float
    disk_bytes: int
    n_processes: int
    n_done: int = 0
    power: Power | None = None

    def as_json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self) | {"power": self.power and self.power.as_json()}

    def as_row(self) -> dict[str, str]:
        """Return a line for people."""
        parts = ", ".join(f"{what} {_duration(seconds)}" for what, seconds in self.compute_s.items())
        queries = "".join(f" + {n} x {budget}" for n, budget in runs(self.budgets))
        done = f" ({self.n_done} done already)" if self.n_done else ""
        return {
            "data set": f"{self.dataset}, {self.protocol}, {self.device}",
            "pool": f"{self.n_pool_cases} cases, about {self.n_pool_units} units; {self.n_test_cases} to test",
            "annotated": f"{self.start}{queries} units a seed; seeds: {self.n_seeds}",
            "trainings": f"{self.n_trainings}{done}, {self.n_iterations} iterations",
            "computing": parts,
            "to wait": f"{_duration(self.wall_s)}, {self.n_processes} side by side",
            "disk": f"{self.disk_bytes / 1e9:.1f} GB" if self.disk_bytes >= 1e9 else f"{self.disk_bytes / 1e6:.0f} MB",
            "can find": self.power.as_text()
            if self.power
            else "not known for this protocol; --sd says from what spread",
        }


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def forecast_studies(request: RunRequest, reporter: Reporter, sd: float | None = None) -> list[Forecast]:
    """Forecast of every data set that `request` names; checks all that `run` would check.

    Parameters
    ----------
    sd
        Standard deviation over seeds of a difference in AUBC; None: that of `SPREADS`, where it has the protocol.
    """
    if request.resume:
        require_plain_files(request.out)
    began = time.perf_counter()
    resolved = resolve(request, reporter)
    resolve_s = time.perf_counter() - began
    strategies, n_seeds = resolved.request.strategy, request.seeds
    forecasts = [
        forecast_study(study, strategies, n_seeds, resolved.n_processes, reporter) for study in resolved.studies
    ]
    if request.resume:
        forecasts = [
            _remaining(forecast, study, strategies, n_seeds, reporter)
            for forecast, study in zip(forecasts, resolved.studies, strict=True)
        ]
    with reporter.task("measuring how long a process takes to start"):
        startup_s = _startup_s()
    # The report is imported and drawn in about the time that the program takes to start.
    n_starts = 2 + (resolved.n_processes > 1)
    forecasts[0] = _with_fixed(forecasts[0], resolve_s + n_starts * startup_s)
    return [_with_power(forecast, SPREADS.get(forecast.protocol) if sd is None else sd) for forecast in forecasts]


def _with_power(forecast: Forecast, sd: float | None) -> Forecast:
    return forecast if sd is None else replace(forecast, power=power_of(forecast.n_seeds, sd))


def _remaining(
    forecast: Forecast, study: Study, strategies: Sequence[str], n_seeds: int, reporter: Reporter = SILENT
) -> Forecast:
    """Take off what the results folder has already, training by training."""
    done = find_done(study, strategies, n_seeds)
    for line in done.lines:
        reporter.say(line)
    rounds_left = 1 - done.n_trainings / forecast.n_trainings
    left = {
        "preprocess": 1 - done.n_prepared / n_seeds,
        "train": 1 - done.n_iterations / forecast.n_iterations,
    }
    compute_s = {what: seconds * left.get(what, rounds_left) for what, seconds in forecast.compute_s.items()}

    def in_chains(seconds: dict[str, float]) -> float:
        return sum(seconds.values()) - seconds["preprocess"]

    before, after = in_chains(forecast.compute_s), in_chains(compute_s)
    waiting_s = (forecast.wall_s - forecast.compute_s["preprocess"]) * (after / before if before else 0.0)
    return replace(forecast, n_done=done.n_trainings, compute_s=compute_s, wall_s=compute_s["preprocess"] + waiting_s)


def _with_fixed(forecast: Forecast, fixed_s: float) -> Forecast:
    """Add what a run takes however little it trains."""
    compute_s = forecast.compute_s | {"start and report": fixed_s}
    return replace(forecast, compute_s=compute_s, wall_s=forecast.wall_s + fixed_s)


def _startup_s() -> float:
    """Seconds until a process of this program is ready to train."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import albench.study.run, albench.training.nnunet"], check=False)
    return time.perf_counter() - began


def forecast_study(
    study: Study, strategies: Sequence[str], n_seeds: int, n_processes: int, reporter: Reporter = SILENT
) -> Forecast:
    """Measure and extrapolate, in a temporary folder that is removed again."""
    with tempfile.TemporaryDirectory(prefix="al-bench-plan-") as folder:
        costs = measure(study, strategies, Path(folder), reporter, n_seeds)
    return forecast(study, strategies, n_seeds, n_processes, costs)


def measure(
    study: Study, strategies: Sequence[str], folder: Path, reporter: Reporter = SILENT, n_seeds: int = 1
) -> Costs:
    """Take a few cases of the first seed through every stage; models are of no use and thrown away.

    Raises
    ------
    InputError
        The pool of one of the seeds has too few units, as `run` would say.
    """
    protocol = study.config.protocol
    split = study.split(0)
    method = protocol.pool.start_method
    names = sorted(set(split.pool).intersection(study.dataset.annotated_cases))
    picked = generator(study.dataset.name, "plan").permutation(len(names))[:_SAMPLE_CASES]
    sample = Split(tuple(names[i] for i in sorted(picked)), split.test[:_SAMPLE_TESTS])
    n_cases = len(sample.pool) + len(sample.test)
    trainer = study.make_trainer(folder)
    title = f"{study.dataset.name}: measuring"
    with reporter.task(f"{title} {n_cases} cases", len(sample.pool) + n_cases) as advance:
        began = time.perf_counter()
        scanned = trainer.scan(sample, advance, describe=method in ("k-centre", "typical"))
        pool = scanned.pool
        scan_s = time.perf_counter() - began
        if may_be_short(study, pool, len(split.pool)):
            _check_pools(study, sample, pool, n_seeds, folder / _WHOLE)
        began = time.perf_counter()
        rng = generator(study.dataset.name, "plan-start")
        as_drawn: StartMethod = "labelled" if method == "labelled" else "random"
        start = start_units(pool, min(protocol.pool.start, pool.n_disjoint), rng, as_drawn)
        trainer.preprocess(sample, pool, start, advance)
        prepare_s = (scan_s + time.perf_counter() - began) / n_cases
    n_bytes = _size(folder) - _size(folder / _WHOLE)
    trained = folder / "sample.pth"
    with reporter.task(f"{title} {_ITERATIONS} iterations", _ITERATIONS) as advance:
        setup_s, iteration_s = _time_training(trainer, start, trained, advance)
    # as much work as so many different ones
    model = trainer.load(*[trained] * protocol.training.folds)
    units = pool.units[:: max(1, len(pool) // _SAMPLE_UNITS)][:_SAMPLE_UNITS]
    with reporter.task(f"{title} scoring and prediction"):
        score_s = {name: _time_scoring(study, model, pool, start, units, name) for name in strategies}
        surfaces = surface_settings(study.dataset, protocol.evaluation)
        began = time.perf_counter()
        evaluate(_Answering(model), sample.test, study.dataset.labels, surfaces=surfaces)
        evaluate_s = (time.perf_counter() - began) / len(sample.test)
    return Costs(
        units_per_case=len(pool) / len(sample.pool),
        prepare_s_per_case=prepare_s,
        train_setup_s=setup_s,
        iteration_s=iteration_s,
        score_s_per_unit=score_s,
        evaluate_s_per_case=evaluate_s,
        model_bytes=trained.stat().st_size,
        prepared_bytes_per_case=n_bytes / n_cases,
        n_labelled=round(len(start) / len(sample.pool) * len(names)) if method == "labelled" else None,
    )


class _Answering:
    """A model that takes its time and then knows the answer: surfaces of noise take longer than of a structure."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.warnings = model.warnings
        self.reference, self.score, self.view = model.reference, model.score, model.view

    def predict(self, case: str) -> NDArray[np.uint8]:
        """Predict, and return the true labels."""
        self._model.predict(case)
        return self._model.reference(case)


def _check_pools(study: Study, sample: Split, sampled: Pool, n_seeds: int, folder: Path) -> None:
    """Count the units of every seed's whole pool, as `run` does, and refuse what it would refuse."""
    known = {sample.pool: sampled}
    for seed in range(n_seeds):
        split = study.split(seed)
        if split.pool not in known:
            known[split.pool] = study.make_trainer(folder / str(seed)).scan(split, lambda: None).pool
        check_budget(study, known[split.pool])


def _time_training(
    trainer: Trainer, start: Sequence[Unit], target: Path, advance: Callable[[], None]
) -> tuple[float, float]:
    """Seconds of a training that are spent however long it is, and of one iteration once the first few are over."""
    times: list[float] = []

    def tick(loss: float) -> None:
        times.append(time.perf_counter())
        advance()

    began = time.perf_counter()
    trainer.train(start, iterations=_ITERATIONS, key=("plan",), initial=None, target=target, on_iteration=tick)
    training_s = time.perf_counter() - began
    iteration_s = float(np.mean(np.diff(times)[_WARM_UP:]))  # not the median: what is slow now and then adds up
    return max(0.0, training_s - _ITERATIONS * iteration_s), iteration_s


def _time_scoring(
    study: Study, model: Model, pool: Pool, start: Sequence[Unit], units: Sequence[Unit], name: str
) -> float:
    strategy = make_strategy(name)
    if strategy.needs == Need.NOTHING:
        return 0.0
    plan = scoring_request(
        study.config.protocol, class_weights(labelled_voxels(pool, start)), ("plan",), start, strategy.gradients
    )
    # The Fisher diagonal takes so many units whatever the pool: here as many as is their share of the whole pool.
    n_units = len(pool) / len(pool.cases) * len(study.split(0).pool)
    n_fisher_units = max(1, round(len(units) * min(1.0, plan.n_fisher_units / n_units)))
    plan = replace(plan, n_fisher_units=n_fisher_units)
    model.score(units[:4], strategy.needs, plan, lambda: None)  # the first pass of all is slower
    began = time.perf_counter()
    model.score(units, strategy.needs, plan, lambda: None)
    return (time.perf_counter() - began) / len(units)


def forecast(study: Study, strategies: Sequence[str], n_seeds: int, n_processes: int, costs: Costs) -> Forecast:
    """Extrapolate `costs` over the whole run."""
    protocol = study.config.protocol
    split = study.split(0)
    chains = [name for name in strategies if name != CEILING]
    n_ceilings = int(CEILING in strategies)
    rounds = list(trainings(study, strategies, 0))
    n_start, budgets, n_trained = protocol.pool.start, protocol.budgets, protocol.rounds - 1
    if costs.n_labelled is not None:  # the first query asks for labels that nobody has given yet
        n_start, budgets, n_trained = costs.n_labelled, budgets[:1], 0
    n_units = round(costs.units_per_case * len(split.pool))
    n_cases = len(split.pool) + len(split.test)
    n_folds = protocol.training.folds
    n_rounds, n_iterations = len(rounds), sum(iterations for _, iterations in rounds)
    # A query scores what is unlabelled by then; fewer where patches overlap, and how many fewer is the choices' doing.
    n_scored = sum(max(0, n_units - n_start - sum(budgets[:query])) for query in range(len(budgets)))
    scoring = {name: costs.score_s_per_unit[name] * n_scored for name in chains}
    one_round_s = n_folds * costs.train_setup_s + costs.evaluate_s_per_case * len(split.test)
    iteration_s = n_folds * costs.iteration_s
    compute_s = {
        "preprocess": n_seeds * costs.prepare_s_per_case * n_cases,
        "train": n_seeds * n_iterations * iteration_s,
        "score": n_seeds * sum(scoring.values()),
        "set up and evaluate": n_seeds * n_rounds * one_round_s,
    }
    first_s = protocol.training.first_iterations * iteration_s + one_round_s if chains else 0.0
    chain_s = n_trained * (protocol.training.round_iterations * iteration_s + one_round_s)
    ceiling_s = n_ceilings * (protocol.ceiling_iterations * iteration_s + one_round_s)
    longest_s = max(ceiling_s, first_s + max((chain_s + seconds for seconds in scoring.values()), default=0.0))
    parallel_s = sum(compute_s.values()) - compute_s["preprocess"]
    return Forecast(
        dataset=study.dataset.name,
        protocol=protocol.name,
        device=study.config.device,
        n_pool_cases=len(split.pool),
        n_pool_units=n_units,
        n_test_cases=len(split.test),
        start=n_start,
        rounds=len(budgets) + 1,
        budgets=budgets,
        n_seeds=n_seeds,
        n_trainings=n_seeds * n_rounds * n_folds,
        n_iterations=n_seeds * n_iterations * n_folds,
        compute_s=compute_s,
        wall_s=compute_s["preprocess"] + max(parallel_s / n_processes, longest_s),
        disk_bytes=round(n_seeds * (n_rounds * n_folds * costs.model_bytes + n_cases * costs.prepared_bytes_per_case)),
        n_processes=n_processes,
    )


def _size(folder: Path) -> int:
    """Bytes of the files below `folder`; links count nothing."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
