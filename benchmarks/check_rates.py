"""How often `al-bench check` is wrong: false alarms without a change, and planted faults that it misses.

    python benchmarks/check_rates.py            writes benchmarks/results/check.md

The real results it rests on are those of the regression study (benchmarks/regression.yaml, phantoms, 5 seeds):
repetitions that were kept from the processor's newer instructions (benchmarks/results/check/repetition-*.json), which
differ in rounding alone and hence by all that training makes of it, and a run with half the iterations, as a broken
trainer would do. Simulated comparisons draw from the means and the
covariance of those; real ones take all pairs of seeds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from albench.check.baseline import Baseline, Cell, Query, load_baseline, repeated
from albench.check.compare import Row, compare
from albench.seeding import generator

HERE = Path(__file__).parent
BASELINE = HERE / "baselines" / "phantom.json"
PARTS = HERE / "results" / "check"
RESULT = HERE / "results" / "check.md"
N_SIMULATED, N_MANY, N_SEEDS = 100, 1000, 2
USIM, RANDOM = "usim-f", "random"
SOUND, HALF, DISGUISED = "nothing", "half the iterations", "random choices under USIM's name"


def chosen_seeds(study: Baseline, seeds: Iterable[int]) -> Baseline:
    """A study of these seeds alone."""
    kept = set(seeds)
    cells = [
        cell.model_copy(update={"dice": {seed: values for seed, values in cell.dice.items() if seed in kept}})
        for cell in study.cells
    ]
    queries = tuple(query for query in study.queries if query.seed in kept)
    return study.model_copy(update={"cells": tuple(cells), "queries": queries})


def disguised(study: Baseline) -> Baseline:
    """Planted fault: what goes by USIM's name is the random strategy's."""
    cells = {cell.strategy: cell for cell in study.cells}
    queries = [query for query in study.queries if query.strategy == RANDOM]
    return study.model_copy(
        update={
            "cells": tuple(
                cell.model_copy(update={"dice": cells[RANDOM].dice}) if cell.strategy == USIM else cell
                for cell in study.cells
            ),
            "queries": (*queries, *(query.model_copy(update={"strategy": USIM}) for query in queries)),
        }
    )


class Simulation:
    """Draws studies like the real ones: a mean for each seed and cell, noise with the real covariance of cells."""

    def __init__(self, repetitions: list[Baseline], half: Baseline) -> None:
        self._cells = repetitions[0].cells
        self._queries = repetitions[0].queries
        values = np.stack([_values(study) for study in repetitions])  # repetition, seed, cell
        self._means = values.mean(axis=0)
        deviations = (values - self._means).reshape(-1, values.shape[2])
        self._covariance = deviations.T @ deviations / ((len(values) - 1) * values.shape[1])
        self._half = _values(half)
        self.n_repetitions = len(repetitions)
        self.overlaps = [
            len(set(query.units) & set(other.units))
            for study in repetitions[1:]
            for query, other in zip(_sorted(self._queries), _sorted(study.queries), strict=True)
            if query.strategy == USIM
        ]

    @property
    def drawn(self) -> int:
        """Units of a query."""
        return len(self._queries[0].units)

    def described(self) -> list[tuple[str, float]]:
        """Name and standard deviation of each cell with nothing changed."""
        names = [f"{cell.strategy} round {cell.round}" for cell in self._cells]
        return list(zip(names, np.sqrt(np.diag(self._covariance)).tolist(), strict=True))

    def _study(self, means: NDArray[np.float64], repetitions: int, rng: np.random.Generator) -> tuple[Cell, ...]:
        noise = rng.multivariate_normal(np.zeros(means.shape[1]), self._covariance, size=(repetitions, len(means)))
        drawn = np.clip(means + noise, 0, 1)
        return tuple(
            cell.model_copy(update={"dice": {s: tuple(drawn[:, s, number].tolist()) for s in range(len(means))}})
            for number, cell in enumerate(self._cells)
        )

    def baseline(self, like: Baseline, repetitions: int, rng: np.random.Generator) -> Baseline:
        """A baseline as large as the real one."""
        return like.model_copy(update={"cells": self._study(self._means, repetitions, rng), "queries": self._queries})

    def run(self, like: Baseline, rng: np.random.Generator, *, half: bool = False, disguise: bool = False) -> Baseline:
        """A run of two of the seeds."""
        means = (self._half if half else self._means).copy()
        names = [cell.strategy for cell in self._cells]
        if disguise:
            means[:, names.index(USIM)] = means[:, names.index(RANDOM)]
        queries = [self._query(query, rng, disguise) for query in self._queries]
        study = like.model_copy(update={"cells": self._study(means, 1, rng), "queries": tuple(queries)})
        return chosen_seeds(study, rng.choice(len(means), N_SEEDS, replace=False).tolist())

    def _query(self, query: Query, rng: np.random.Generator, disguise: bool) -> Query:
        """As many of the units again as real repetitions have, or none but by chance; others have made-up names."""
        drawn = len(query.units)
        if query.strategy != USIM:
            return query  # of the seed alone
        if disguise:
            n = int(rng.hypergeometric(drawn, query.n_unlabelled - drawn, drawn))
        else:
            n = int(rng.choice(self.overlaps))
        kept = [query.units[i] for i in rng.permutation(drawn)[:n]]
        return query.model_copy(update={"units": (*kept, *(("another", i) for i in range(drawn - n)))})


def _sorted(queries: Iterable[Query]) -> list[Query]:
    return sorted(queries, key=lambda query: (query.strategy, query.seed))


def _values(study: Baseline) -> NDArray[np.float64]:
    """Dice of the first repetition; float64 (seed, cell), cells in the order of the study."""
    return np.array([[values[0] for _, values in sorted(cell.dice.items())] for cell in study.cells]).T


def verdict(rows: list[Row]) -> tuple[bool, bool]:
    """Whether any row failed, and whether any of Dice did."""
    failed = [row for row in rows if not row.passed]
    return bool(failed), any(row.what == "dice" for row in failed)


def count(verdicts: Iterable[tuple[bool, bool]]) -> tuple[int, int, int]:
    """Comparisons, those with a failed row, those with a failed row of Dice."""
    found = list(verdicts)
    return len(found), sum(any_row for any_row, _ in found), sum(dice for _, dice in found)


def simulate(
    draw: Callable[[np.random.Generator], tuple[Baseline, Baseline]], name: str, n: int
) -> tuple[int, int, int]:
    """Count over `n` comparisons of a drawn run with a drawn baseline."""
    rng = generator("check-rates", name)
    return count(verdict(compare(found, baseline)) for baseline, found in (draw(rng) for _ in range(n)))


def real(repetitions: list[Baseline], half: Baseline, fault: str, n_repetitions: int) -> tuple[int, int, int]:
    """Count over all pairs of seeds, each run against a baseline of up to so many repetitions that it is none of."""
    pairs = []
    for number, repetition in enumerate(repetitions):
        others = [study for other, study in enumerate(repetitions) if other != number]
        pairs.append((disguised(repetition) if fault == DISGUISED else repetition, others))
    if fault == HALF:
        pairs = [(half, repetitions)]
    compared = []
    for found, others in pairs:
        if len(others) < min(2, n_repetitions):
            continue  # nothing is known of how far a seed moves by itself
        baseline = others[0]
        for study in others[1:n_repetitions]:
            baseline = repeated(baseline, study)
        compared += [
            verdict(compare(chosen_seeds(found, seeds), baseline))
            for seeds in itertools.combinations(range(5), N_SEEDS)
        ]
    return count(compared)


def measure(n: int = N_SIMULATED) -> pd.DataFrame:
    """Rates of both rules for noise and for both faults, simulated and real.

    Returns
    -------
    DataFrame
        comparison, rule, kind (simulated or real), n, failed, failed_dice.
    """
    repetitions, half = real_results()
    first, simulation = repetitions[0], Simulation(repetitions, half)
    rows = []
    for fault, arguments in {SOUND: {}, HALF: {"half": True}, DISGUISED: {"disguise": True}}.items():
        for rule, n_repetitions in {"seeds against seeds": 1, "a seed against itself": len(repetitions)}.items():

            def draw(
                rng: np.random.Generator, arguments: dict[str, bool] = arguments, n_repetitions: int = n_repetitions
            ) -> tuple[Baseline, Baseline]:
                baseline = simulation.baseline(first, n_repetitions, rng)
                return baseline, simulation.run(first, rng, **arguments)

            rows.append((fault, rule, "simulated", *simulate(draw, fault, n)))
            rows.append((fault, rule, "real", *real(repetitions, half, fault, n_repetitions)))
    table = pd.DataFrame(rows, columns=["comparison", "rule", "kind", "n", "failed", "failed_dice"])
    return table[table["n"] > 0]


def real_results() -> tuple[list[Baseline], Baseline]:
    """The repetitions, and the run with half the iterations, which is made to look like one of the same settings."""
    whole = load_baseline(BASELINE)
    cells = [
        cell.model_copy(update={"dice": {seed: values[:1] for seed, values in cell.dice.items()}})
        for cell in whole.cells
    ]
    first = whole.model_copy(update={"cells": tuple(cells)})
    # settings that came later, with defaults that change no result, are in the baseline's configuration alone
    *others, half = [
        load_baseline(path).model_copy(update={"studies": first.studies})
        for path in (*sorted(PARTS.glob("repetition-*.json")), PARTS / "half.json")
    ]
    return [first, *others], half


def shown(n: int, failed: int) -> str:
    """Percentage with its 95 % Wilson interval."""
    interval = stats.binomtest(failed, n).proportion_ci(method="wilson")
    return f"{failed} of {n}: {100 * failed / n:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def document(measured: pd.DataFrame, many: pd.DataFrame, simulation: Simulation, seconds: float) -> str:
    """The result page."""
    lines = [
        "# How often `al-bench check` is wrong",
        "",
        f"Made by `python benchmarks/check_rates.py` in {seconds:.0f} s from real results of the regression study",
        f"(`benchmarks/regression.yaml`: nnU-Net on phantoms, 5 seeds): {simulation.n_repetitions} repetitions that",
        "differ in the processor's instructions alone, as machines do, and a run with half the iterations. A run under",
        "check has 2 of the 5 seeds, as in `.ci/run`.",
        "",
        "- *seeds against seeds*: the baseline has one repetition; the band is of what seeds differ by.",
        "- *a seed against itself*: the baseline has repetitions; the band is of what those differ by.",
        "- *simulated*: baseline and run drawn from a normal distribution with the real means and covariance.",
        "- *real*: each repetition (or the run with half the iterations) in pairs of seeds, against a baseline of the",
        "  other repetitions. These comparisons share data, so their interval is too narrow.",
        "",
        "What should fail is at the bottom; brackets are 95 % Wilson intervals.",
        "",
        f"| what changed | rule | kind | failed | failed by Dice alone | {N_MANY} simulated: failed |",
        "|---|---|---|---:|---:|---:|",
    ]
    keys = ["comparison", "rule", "kind"]
    rates = many.set_index(keys)
    for _, row in measured.iterrows():
        key = tuple(row[keys])
        larger = shown(*rates.loc[key, ["n", "failed"]]) if row["kind"] == "simulated" else ""
        cells = [*key, shown(row["n"], row["failed"]), shown(row["n"], row["failed_dice"]), larger]
        lines.append(f"| {' | '.join(cells)} |")
    spread = ", ".join(f"{cell} {value:.3f}" for cell, value in simulation.described())
    lines += [
        "",
        f"Standard deviation of a repetition: {spread}. Units of USIM's first query that a repetition chose again, of",
        f"{simulation.drawn}: {', '.join(map(str, sorted(simulation.overlaps)))}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    started = time.perf_counter()
    simulation = Simulation(*real_results())
    text = document(measure(N_SIMULATED), measure(N_MANY), simulation, time.perf_counter() - started)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
