"""Whether results have fallen below a baseline.

Two kinds of row are checked, each against a band that noise alone leaves with a known, small probability:

- *Dice* of a strategy after a round, and its mean over the later rounds (a curve drops as a whole more visibly than
  in one point). Lower than the baseline by more than a one-sided t band from the baseline's spread over seeds.
- *First query*: for each seed that both have, the units chosen with the shared first model. Other processors and
  libraries move a few of them; a strategy that no longer does what it did agrees no better than chance. The number
  in common is compared with the hypergeometric distribution of two unrelated choices.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from scipy import stats

from albench.baseline import START, Baseline, Query, cells_table
from albench.config import difference
from albench.errors import InputError
from albench.results import CEILING, STUDY_KEYS

FALSE_ALARMS = 0.01
"""Probability that noise alone fails any Dice row of a whole check (Bonferroni over rows)."""

CHANCE = 1e-3
"""A query fails where two unrelated choices have as many units in common with more than this probability."""

_CELL = [*STUDY_KEYS, "strategy", "round"]
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
    seed
        None where seeds are averaged.
    expected, found
        Mean Dice, or units of the baseline's query and how many of them were chosen again. `found` is NaN where
        there is no such result.
    threshold
        Smallest value that passes.
    """

    dataset: str
    strategy: str
    what: Literal["dice", "query"]
    round: int | None
    seed: int | None
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
        where += "" if self.seed is None else f" seed {self.seed}"
        if math.isnan(self.found):
            return f"{where}: expected a result, found none"
        if self.what == "query":
            return (
                f"{where}: query has {self.found:.0f} of {self.expected:.0f} units in common with the baseline's, "
                f"expected at least {self.threshold:.0f}"
            )
        return (
            f"{where}: mean foreground Dice {self.found:.4f}, expected at least {self.threshold:.4f} "
            f"({self.expected:.4f} less {self.expected - self.threshold:.4f})"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values; a result that is not there is null."""
        return asdict(self) | {"found": None if math.isnan(self.found) else self.found, "passed": self.passed}


def compare(found: Baseline, baseline: Baseline) -> list[Row]:
    """Compare a summarised results folder with a baseline, row by row.

    Raises
    ------
    InputError
        If the two are of different configurations, or the baseline has a single seed and hence no spread.
    """
    for name, study in baseline.studies.items():
        if name not in found.studies:
            continue  # each of its rows fails by name
        changed = difference(study, found.studies[name])
        if changed:
            raise InputError(f"--baseline: made under another configuration of {name} ({'; '.join(changed)})")
    return [*_dice_rows(cells_table(found), cells_table(baseline)), *_query_rows(found.queries, baseline.queries)]


def _dice_rows(found: pd.DataFrame, baseline: pd.DataFrame) -> list[Row]:
    rows: list[Row] = []
    levels = [(baseline, found), (_later_rounds(baseline), _later_rounds(found))]
    n_rows = sum(old.groupby(_CELL).ngroups for old, _ in levels)
    for old, new in levels:
        of_cell = dict(list(new.groupby(_CELL)["dice"]))
        for study, old_study in old.groupby(STUDY_KEYS):
            spread, freedom = _spread(old_study)
            if not freedom:
                raise InputError(f"--baseline: expected at least 2 finished seeds of {study[0]} to know their spread")
            quantile = float(stats.t.ppf(1 - FALSE_ALARMS / n_rows, freedom))
            for key, before in old_study.groupby(_CELL)["dice"]:
                dataset, _, strategy, number = cast(tuple[str, str, str, int], key)
                after = of_cell.get(key, pd.Series(dtype="float64"))
                expected = float(before.mean())
                band = quantile * spread * math.sqrt(1 / len(before) + 1 / max(1, len(after)))
                rows.append(
                    Row(
                        dataset=dataset,
                        strategy=strategy,
                        what="dice",
                        round=None if number == _LATER else int(number),
                        seed=None,
                        expected=expected,
                        found=float(after.mean()),  # of nothing: NaN
                        threshold=expected - band,
                    )
                )
    return rows


def _later_rounds(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean over the rounds after the first, of chains that have them all."""
    chains = cells[(cells["strategy"] != START) & (cells["strategy"] != CEILING)]
    keys = [*STUDY_KEYS, "strategy"]
    n_rounds = chains.groupby(keys)["round"].transform("nunique")
    own_rounds = chains.groupby([*keys, "seed"])["round"].transform("nunique")
    means: pd.DataFrame = chains[own_rounds == n_rounds].groupby([*keys, "seed"], as_index=False)[["dice"]].mean()
    return means.assign(round=_LATER)


def _spread(cells: pd.DataFrame) -> tuple[float, float]:
    """Return the standard deviation over seeds, pooled over strategies and rounds, and its degrees of freedom.

    A single seed gives (NaN, 0).

    Cells of a seed resemble each other, so k of them are worth less than k times as many seeds. The degrees of
    freedom are those of the scaled chi-square with the pooled variance's first two moments (Box 1954, theorem 3.1):
    (seeds - 1) tr(C)^2 / tr(C^2) with C the covariance of the cells over seeds.
    """
    by_seed = cells.pivot_table(index="seed", columns=["strategy", "round"], values="dice").dropna()
    if len(by_seed) < 2:
        return math.nan, 0.0
    covariance = np.atleast_2d(np.cov(by_seed.to_numpy(), rowvar=False))
    total, squares = float(np.trace(covariance)), float(np.square(covariance).sum())
    freedom = (len(by_seed) - 1) * (total**2 / squares if squares > 0 else 1.0)
    return math.sqrt(total / len(covariance)), freedom


def _query_rows(found: tuple[Query, ...], baseline: tuple[Query, ...]) -> list[Row]:
    chosen = {(query.dataset, query.strategy, query.seed): set(query.units) for query in found}
    seeds = {(query.dataset, query.seed) for query in found}
    rows = []
    for query in baseline:
        if (query.dataset, query.seed) not in seeds:
            continue  # fewer seeds are a choice; the Dice band is the wider for it
        drawn = len(query.units)
        threshold = int(stats.hypergeom.isf(CHANCE, query.n_unlabelled, drawn, drawn)) + 1
        if threshold > drawn:
            continue  # so few units that even the same ones would prove nothing
        units = chosen.get((query.dataset, query.strategy, query.seed))
        rows.append(
            Row(
                dataset=query.dataset,
                strategy=query.strategy,
                what="query",
                round=1,
                seed=query.seed,
                expected=drawn,
                found=math.nan if units is None else len(units & set(query.units)),
                threshold=threshold,
            )
        )
    return rows
