"""Whether results have fallen below a baseline.

Two kinds of row are checked, each against a band that noise alone leaves with a known, small probability:

- *Dice* of a strategy after a round, and its mean over the later rounds (a curve drops as a whole more visibly than
  in one point). Lower than the baseline by more than a one-sided t band. Where the baseline has repetitions, a seed is
  compared with itself, and the band is of what repetitions of a seed differ by; else the means over seeds are
  compared, and the band is of what seeds differ by, which is several times as wide.
- *First query*: the units chosen with the shared first model, over the seeds that both have. Other processors and
  libraries move most of them; a strategy that no longer does what it did agrees no better than chance. The number
  in common is compared with what unrelated choices have, a sum of hypergeometric numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from albench.check.baseline import START, Baseline, FirstQuery, cells_table, require_same_studies
from albench.errors import InputError
from albench.results.layout import CEILING
from albench.results.tables import STUDY_KEYS, rows_of

FALSE_ALARMS = 0.01
"""Probability that noise alone fails any Dice row of a whole check (Bonferroni over rows)."""

CHANCE = 0.01
"""A strategy's queries fail where unrelated choices have as many units in common with more than this probability."""

_CELL = [*STUDY_KEYS, "strategy", "round"]
_ROUNDING = 1e-9
_LATER = -1  # stands for the mean over the rounds after the first


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    what
        What is compared.
    round
        None for the mean over the rounds after the first.
    expected, found
        Mean Dice, or units of the baseline's queries, all seeds together, and how many of them were chosen again.
        `found` is NaN where there is no such result.
    threshold
        Smallest value that passes.
    """

    dataset: str
    strategy: str
    what: Literal["dice", "query"]
    round: int | None
    expected: float
    found: float
    threshold: float

    @property
    def passed(self) -> bool:
        """Whether the result is there and within the band."""
        return self.found >= self.threshold  # NaN is not

    @property
    def message(self) -> str:
        """One line."""
        where = f"{self.dataset} {self.strategy}"
        where += " rounds 1 and later" if self.round is None else f" round {self.round}"
        if math.isnan(self.found):
            return f"{where}: expected a result, found none"
        if self.what == "query":
            return (
                f"{where}: queries have {self.found:.0f} of {self.expected:.0f} units in common with the baseline's, "
                f"expected at least {self.threshold:.0f}"
            )
        return (
            f"{where}: mean foreground Dice {self.found:.4f}, expected at least {self.threshold:.4f} "
            f"({self.expected:.4f} less {self.expected - self.threshold:.4f})"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values; a result that is not there is null."""
        return asdict(self) | {"found": None if math.isnan(self.found) else self.found, "passed": self.passed}


def compare(measured: Baseline, baseline: Baseline) -> list[Row]:
    """Compare a summarised results folder with a baseline, row by row.

    Raises
    ------
    InputError
        If the two are of different configurations, or the baseline has a single seed and hence no spread.
    """
    require_same_studies(measured, baseline)
    return [*_dice_rows(cells_table(measured), cells_table(baseline)), *_query_rows(measured.queries, baseline.queries)]


def require_spread(baseline: Baseline) -> None:
    """Refuse a baseline that nothing can be compared with.

    Raises
    ------
    InputError
        A data set has a single seed and no repetition of it.
    """
    for study, cells in cells_table(baseline).groupby(STUDY_KEYS):
        if not _noise(cells, shared=set(cells["seed"])).freedom:
            raise _without_spread(str(study[0]))


def _without_spread(dataset: str) -> InputError:
    return InputError(
        f"--baseline: expected at least 2 finished seeds of {dataset} to know their spread; --seeds 2 runs them"
    )


def _dice_rows(measured: pd.DataFrame, baseline: pd.DataFrame) -> list[Row]:
    rows: list[Row] = []
    levels = [(baseline, measured), (_later_rounds(baseline), _later_rounds(measured))]
    cells = [(_by_cell(old), _by_cell(new)) for old, new in levels]
    n_rows = sum(len(before) for before, _ in cells)
    for (old, new), (before, after) in zip(levels, cells, strict=True):
        for study, old_study in old.groupby(STUDY_KEYS):
            noise = _noise(old_study, shared=set(rows_of(new, study)["seed"]))
            if not noise.freedom:
                raise _without_spread(str(study[0]))
            quantile = float(stats.t.ppf(1 - FALSE_ALARMS / n_rows, noise.freedom))
            for key in sorted(key for key in before if key[:2] == study):
                dataset, _, strategy, round_number = key
                expected, value, scale = (_paired if noise.paired else _unpaired)(before[key], after.get(key, {}))
                rows.append(
                    Row(
                        dataset=dataset,
                        strategy=strategy,
                        what="dice",
                        round=None if round_number == _LATER else int(round_number),
                        expected=expected,
                        found=value,
                        threshold=expected - quantile * noise.deviation * scale,
                    )
                )
    return rows


Values = dict[int, list[float]]
"""Dice of a cell's repetitions by seed."""


def _by_cell(table: pd.DataFrame) -> dict[tuple[str, str, str, int], Values]:
    """Values of every cell, in the order of the table."""
    by_cell: dict[tuple[str, str, str, int], Values] = {}
    for *key, seed, dice in table[[*_CELL, "seed", "dice"]].itertuples(index=False, name=None):
        by_cell.setdefault(cast(tuple[str, str, str, int], tuple(key)), {}).setdefault(seed, []).append(dice)
    return by_cell


def _paired(before: Values, after: Values) -> tuple[float, float, float]:
    """Means over the seeds of both, and the standard error of their difference in standard deviations of one run.

    Found is NaN where no seed is in both.
    """
    seeds = before.keys() & after.keys()
    if not seeds:
        return _mean(before), math.nan, 1.0
    scale = math.sqrt(sum(1 / len(after[seed]) + 1 / len(before[seed]) for seed in seeds)) / len(seeds)
    return _mean({seed: before[seed] for seed in seeds}), _mean({seed: after[seed] for seed in seeds}), scale


def _unpaired(before: Values, after: Values) -> tuple[float, float, float]:
    """Return the same of all seeds of either; the standard deviation is that of a seed."""
    return _mean(before), _mean(after), math.sqrt(1 / len(before) + 1 / max(1, len(after)))


def _mean(values: Values) -> float:
    """Mean over seeds of the mean over repetitions; NaN of nothing."""
    return float(np.mean([np.mean(of_seed) for of_seed in values.values()])) if values else math.nan


def _later_rounds(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean over the rounds after the first, where there are several, of chains that have them all."""
    chains = cells[(cells["strategy"] != START) & (cells["strategy"] != CEILING)]
    keys = [*STUDY_KEYS, "strategy"]
    n_rounds = chains.groupby(keys)["round"].transform("nunique")
    own_rounds = chains.groupby([*keys, "seed", "repetition"])["round"].transform("nunique")
    whole = chains[(own_rounds == n_rounds) & (n_rounds > 1)]
    means: pd.DataFrame = whole.groupby([*keys, "seed", "repetition"], as_index=False)[["dice"]].mean()
    return means.assign(round=_LATER)


@dataclass(frozen=True)
class _Noise:
    """Standard deviation of a Dice value with nothing changed, its degrees of freedom, and whether seeds are paired."""

    deviation: float
    freedom: float
    paired: bool


def _noise(cells: pd.DataFrame, shared: set[int]) -> _Noise:
    """Pool the variance over strategies and rounds: within seeds where they were repeated, else between seeds.

    A single seed without repetition has no degree of freedom. Strategies may have different seeds and repetitions.

    Parameters
    ----------
    shared
        Seeds of the run that is checked: pairs need some of them in the baseline.
    """
    runs = cells.pivot_table(index=["seed", "repetition"], columns=["strategy", "round"], values="dice")
    if shared & set(runs.index.get_level_values("seed")):
        within = _pooled([of_seed.to_numpy() for _, of_seed in runs.groupby(level="seed")], paired=True)
        if within.freedom:
            return within
    return _pooled([runs.groupby(level="seed").mean().to_numpy()], paired=False)


def _pooled(blocks: Sequence[NDArray[np.float64]], *, paired: bool) -> _Noise:
    """Pool the variance around the mean of each block and cell.

    Cells of a seed resemble each other, so k of them are worth less than k times as many seeds. The degrees of
    freedom are those of the scaled chi-square with the mean and the variance of the sum of squares (Box 1954, theorem
    3.1): with products S of the cells' deviations, which estimate their covariance C times the shared degrees of
    freedom T, they are tr(S)^2 / sum of C^2 T; n tr(C)^2 / tr(C^2) where every cell has the same runs.

    Parameters
    ----------
    blocks
        Runs by cells, NaN where a cell lacks the run.
    """
    n_cells = blocks[0].shape[1]
    products, shared = np.zeros((n_cells, n_cells)), np.zeros((n_cells, n_cells))
    for block in blocks:
        there = ~np.isnan(block)
        n = np.maximum(there.sum(axis=0), 1)
        values = np.where(there, block, 0.0)
        deviations = np.where(there, values - values.sum(axis=0) / n, 0.0)
        both = there.astype(np.float64).T @ there
        products += deviations.T @ deviations
        shared += both * (1 - 1 / n[:, None] - 1 / n) + both**2 / np.outer(n, n)  # trace of two centrings, one by one
    freedom, total = float(np.trace(shared)), float(np.trace(products))
    if freedom < 0.5:  # a whole number, but for rounding
        return _Noise(math.nan, 0.0, paired)
    known = shared > _ROUNDING
    squares = float((np.square(products[known]) / shared[known]).sum())
    return _Noise(math.sqrt(total / freedom), total**2 / squares if squares > 0 else freedom, paired)


def _query_rows(measured: tuple[FirstQuery, ...], baseline: tuple[FirstQuery, ...]) -> list[Row]:
    chosen = {(query.dataset, query.strategy, query.seed): set(query.units) for query in measured}
    seeds = {(query.dataset, query.seed) for query in measured}
    by_strategy: dict[tuple[str, str], list[FirstQuery]] = {}
    for query in baseline:
        if (query.dataset, query.seed) in seeds:  # fewer seeds are a choice
            by_strategy.setdefault((query.dataset, query.strategy), []).append(query)
    rows = []
    for (dataset, strategy), of_all in by_strategy.items():
        # where the strategy has other seeds, fewer of them are a choice too
        queries = [query for query in of_all if (dataset, strategy, query.seed) in chosen] or of_all
        drawn = sum(len(query.units) for query in queries)
        threshold = _least_beyond_chance(queries)
        if threshold > drawn:
            continue  # so few units that even the same ones would prove nothing
        units = [chosen.get((dataset, strategy, query.seed)) for query in queries]
        common = [
            math.nan if own is None else len(own & set(query.units)) for own, query in zip(units, queries, strict=True)
        ]
        rows.append(
            Row(
                dataset=dataset,
                strategy=strategy,
                what="query",
                round=1,
                expected=drawn,
                found=float(sum(common)),
                threshold=threshold,
            )
        )
    return rows


def _least_beyond_chance(queries: Sequence[FirstQuery]) -> int:
    """Units in common, over all queries, that unrelated choices reach with a probability of at most `CHANCE`."""
    total = np.ones(1)
    for query in queries:
        drawn = len(query.units)
        total = np.convolve(total, stats.hypergeom.pmf(np.arange(drawn + 1), query.n_unlabelled, drawn, drawn))
    at_least = np.append(np.cumsum(total[::-1])[::-1], 0.0)
    return int(np.argmax(at_least <= CHANCE))
