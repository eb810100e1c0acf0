"""Ranks of strategies over data sets: Friedman's test and Nemenyi's critical difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

MIN_DATASETS = 5
"""With fewer, Friedman's chi-square is a poor approximation and the critical difference as wide as the scale."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Mean rank of each strategy over data sets, or why there is none.

    Attributes
    ----------
    ranks
        Strategy to mean rank, 1 the best, best first.
    p
        Of Friedman's test that all strategies rank alike.
    critical_difference
        Mean ranks further apart differ at 5 % by Nemenyi's test; NaN where Friedman's test does not reject.
    n_datasets
        Data sets that have all strategies.
    note
        Why there is no test; empty where there is one.
    """

    ranks: pd.Series
    p: float
    critical_difference: float
    n_datasets: int
    note: str

    def alike(self) -> list[tuple[int, int]]:
        """First and last place of every longest run of strategies that Nemenyi's test does not tell apart."""
        ranks = self.ranks.to_numpy()
        lasts = np.searchsorted(ranks, ranks + self.critical_difference, side="right") - 1
        return [
            (first, int(last))
            for first, last in enumerate(lasts)
            if last > first and (first == 0 or last > lasts[first - 1])
        ]


def rank_strategies(scores: pd.DataFrame, alpha: float = 0.05) -> Ranks:
    """Rank strategies by AUBC (Demšar, JMLR 2006).

    Parameters
    ----------
    scores
        dataset, strategy, aubc, one row a seed; a data set under several protocols counts once, by their mean.
    """
    table = scores.pivot_table(index="dataset", columns="strategy", values="aubc", aggfunc="mean")
    table = table.dropna(axis=1)  # strategies that some data set lacks
    n, k = table.shape
    nan = math.nan
    ranks = table.rank(axis=1, ascending=False).mean().sort_values()
    if n < MIN_DATASETS:
        return Ranks(ranks, nan, nan, n, f"{n} data set{'' if n == 1 else 's'}, {MIN_DATASETS} are needed")
    if k < 3:
        return Ranks(ranks, nan, nan, n, f"{k} strategies with a score on every data set, 3 are needed")
    p = float(stats.friedmanchisquare(*table.to_numpy().T).pvalue)
    return Ranks(ranks, p, nemenyi_difference(k, n, alpha) if p < alpha else nan, n, "")


def nemenyi_difference(n_strategies: int, n_datasets: int, alpha: float = 0.05) -> float:
    """Critical difference of mean ranks: q sqrt(k (k + 1) / (6 N)), q the studentised range over sqrt(2)."""
    q = float(stats.studentized_range.ppf(1 - alpha, n_strategies, np.inf)) / math.sqrt(2)
    return q * math.sqrt(n_strategies * (n_strategies + 1) / (6 * n_datasets))
