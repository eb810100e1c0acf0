"""Faults planted in the fake trainer and in a strategy are caught; other seeds and reruns are not.

Real trainings and many simulated comparisons: benchmarks/check_rates.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albench.check.baseline import Baseline, repeated, summarise
from albench.check.compare import Row, compare
from albench.data import Dataset
from albench.strategies import Choice, PoolView
from albench.strategies.usim import UsimF
from albench.study.workers import run_studies
from albench.training.base import TrainingReport
from albench.training.fake import FakeTrainer
from tests.support.fake_study import fake_protocol, fake_study

STRATEGIES = ["random", "usim-f"]
N_SEEDS = 12
N_COMPARISONS = 50
NOISE = 0.005


def run(dataset: Dataset, out: Path, seeds: range) -> Baseline:
    study = replace(fake_study(dataset, out, fake_protocol(rounds=2, budget=20)), gallery=0)
    run_studies([study], STRATEGIES, seeds, n_processes=1)
    return summarise(out)


def part(study: Baseline, seeds: list[int]) -> Baseline:
    cells = tuple(cell.model_copy(update={"dice": {seed: cell.dice[seed] for seed in seeds}}) for cell in study.cells)
    queries = tuple(query for query in study.queries if query.seed in seeds)
    return study.model_copy(update={"cells": cells, "queries": queries})


def failed(found: Baseline, baseline: Baseline) -> list[Row]:
    return [row for row in compare(found, baseline) if not row.passed]


@pytest.fixture(scope="module")
def sound(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return run(phantom, tmp_path_factory.mktemp("sound"), range(N_SEEDS))


def noisy(study: Baseline, rng: np.random.Generator) -> Baseline:
    """The same seeds again on a machine that rounds otherwise, as the deterministic fake trainer has none."""
    cells = [
        cell.model_copy(update={"dice": {s: (v + rng.normal(scale=NOISE),) for s, (v,) in cell.dice.items()}})
        for cell in study.cells
    ]
    return study.model_copy(update={"cells": tuple(cells)})


def caught(found: Baseline, sound: Baseline, rng: np.random.Generator) -> int:
    """Comparisons with a failed row: of two seeds of a run with a baseline of six seeds and three repetitions."""
    total = 0
    for _ in range(N_COMPARISONS):
        seeds = rng.permutation(N_SEEDS)[:6].tolist()
        first, *others = (noisy(part(sound, seeds), rng) for _ in range(3))
        baseline = repeated(repeated(first, others[0]), others[1])
        total += bool(failed(noisy(part(found, seeds[:2]), rng), baseline))
    return total


@pytest.mark.slow
def test_noise_is_no_fault(sound: Baseline) -> None:
    assert failed(sound, sound) == []
    assert caught(sound, sound, np.random.default_rng(0)) <= 2


def test_other_seeds_are_no_fault(sound: Baseline) -> None:
    """Without a seed in common the band is of what seeds differ by."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(N_COMPARISONS):
        seeds = rng.permutation(N_SEEDS).tolist()
        alarms += bool(failed(part(sound, seeds[:2]), part(sound, seeds[2:])))
    assert alarms <= 2


@pytest.mark.slow
def test_half_the_iterations_are_caught(
    sound: Baseline, phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer is at fault, not the configuration: that is the same, and so is the report of iterations."""
    train: Callable[..., TrainingReport] = FakeTrainer.train

    def lazy(self: FakeTrainer, *arguments: Any, iterations: int, **others: Any) -> TrainingReport:
        report = train(self, *arguments, iterations=iterations // 2, **others)
        return replace(report, iterations=iterations)

    monkeypatch.setattr(FakeTrainer, "train", lazy)
    weak = run(phantom, tmp_path, range(N_SEEDS))
    assert weak.studies == sound.studies
    assert caught(weak, sound, np.random.default_rng(2)) >= 48
    whole = [row for row in failed(weak, sound) if row.what == "dice"]
    assert {row.strategy for row in whole} == {"(start)", "random", "usim-f"}


def test_random_choices_under_usims_name_are_caught(
    sound: Baseline, phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def random_choice(self: UsimF, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        return Choice(indices=rng.choice(len(view.units), budget, replace=False))

    monkeypatch.setattr(UsimF, "select", random_choice)
    disguised = run(phantom, tmp_path, range(2))
    rows = failed(disguised, sound)
    assert ("usim-f", "query") in {(row.strategy, row.what) for row in rows}
    assert {row.strategy for row in rows} == {"usim-f"}
    assert failed(part(sound, [0, 1]), sound) == []


def test_repetitions_catch_what_the_spread_of_seeds_hides(sound: Baseline) -> None:
    rng = np.random.default_rng(3)
    cells = [
        cell.model_copy(update={"dice": {s: (value - 4 * NOISE,) for s, (value,) in cell.dice.items()}})
        for cell in sound.cells
    ]
    fallen = part(sound.model_copy(update={"cells": tuple(cells)}), [0, 1])
    assert failed(fallen, sound) == []
    baseline = repeated(repeated(noisy(sound, rng), noisy(sound, rng)), noisy(sound, rng))
    assert {row.what for row in failed(fallen, baseline)} == {"dice"}
