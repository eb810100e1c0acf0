"""What stages of a study take on this machine, measured on a few of its cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from albench.config import StartMethod
from albench.metrics.evaluate import evaluate, surface_settings
from albench.progress import SILENT, Reporter
from albench.scoring.request import Need, class_weights
from albench.seeding import generator
from albench.strategies import make_strategy
from albench.study.budget import check_budget, may_be_short
from albench.study.choosing import scoring_request
from albench.study.contention import slowdown
from albench.study.setup import start_units
from albench.study.study import Study
from albench.study.workers import visible_gpus
from albench.training.base import Model, Trainer
from albench.units.cost import labelled_voxels
from albench.units.pool import Pool, Split, Unit

_SAMPLE_CASES = 10
_SAMPLE_UNITS = 64
_SAMPLE_TESTS = 3
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
    slowdown
        How many times as long an iteration takes with all chains of a run side by side.
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
    slowdown: float = 1.0


def measure(
    study: Study,
    strategies: Sequence[str],
    folder: Path,
    reporter: Reporter = SILENT,
    seeds: Sequence[int] = (0,),
    n_beside: int = 1,
) -> Costs:
    """Take a few cases of the first seed through every stage; models are of no use and thrown away.

    Parameters
    ----------
    n_beside
        Chains that will run at the same time.

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
            _check_pools(study, sample, pool, seeds, folder / _WHOLE)
        began = time.perf_counter()
        rng = generator(study.dataset.name, "plan-start")
        as_drawn: StartMethod = "labelled" if method == "labelled" else "random"
        start = start_units(pool, min(protocol.pool.start, pool.n_disjoint), rng, as_drawn)
        trainer.preprocess(sample, pool, start, advance)
        prepare_s = (scan_s + time.perf_counter() - began) / n_cases
    n_bytes = _size(folder) - _size(folder / _WHOLE)
    slower = 1.0
    trained = folder / "sample.pth"
    with reporter.task(f"{title} {_ITERATIONS} iterations", _ITERATIONS) as advance:
        setup_s, iteration_s = _time_training(trainer, start, trained, advance)
    if n_beside > 1:
        with reporter.task(f"{title} iterations in {n_beside} processes"):
            gpus = visible_gpus(study.config.device)
            slower = slowdown(study, folder, start, iteration_s, n_beside, gpus)
    # as much work as so many different ones
    model = trainer.load(*[trained] * protocol.training.folds)
    middle = len(pool) // 2  # neighbours, as they are scored: a case is read for many of them
    first, units = pool.units[:_SAMPLE_UNITS], pool.units[middle : middle + _SAMPLE_UNITS]
    with reporter.task(f"{title} scoring and prediction"):
        score_s = {name: _time_scoring(study, model, pool, start, first, units, name) for name in strategies}
        surfaces = surface_settings(study.dataset, protocol.evaluation)
        tested = sample.test[1:] or sample.test
        evaluate(_Answering(model), sample.test[:1], study.dataset.labels, surfaces=surfaces)
        began = time.perf_counter()
        evaluate(_Answering(model), tested, study.dataset.labels, surfaces=surfaces)
        evaluate_s = (time.perf_counter() - began) / len(tested)
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
        slowdown=slower,
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


def _check_pools(study: Study, sample: Split, sampled: Pool, seeds: Sequence[int], folder: Path) -> None:
    """Count the units of every seed's whole pool, as `run` does, and refuse what it would refuse."""
    known = {sample.pool: sampled}
    for seed in seeds:
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
    study: Study,
    model: Model,
    pool: Pool,
    start: Sequence[Unit],
    first: Sequence[Unit],
    units: Sequence[Unit],
    name: str,
) -> float:
    """Seconds for one of `units`, once the `first` have been scored: batches of a shape not seen before take longer."""
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
    model.score(first, strategy.needs, plan, lambda: None)
    began = time.perf_counter()
    model.score(units, strategy.needs, plan, lambda: None)
    return (time.perf_counter() - began) / len(units)


def _size(folder: Path) -> int:
    """Bytes of the files below `folder`; links count nothing."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
