"""Pairwise penalty matrix: how often each strategy significantly beats each other one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from albench.stats.grid import DiceGrid, seed_means
from albench.stats.intervals import paired_t

ALPHA = 0.05


def penalty_matrix(grid: DiceGrid) -> NDArray[np.float64]:
    """Share of the budgets at which the row's strategy beats the column's.

    At every budget but the first, which all share, a two-sided paired t-test over seeds of the mean Dice; a win at
    5 % adds 1 / number of budgets (Ash et al., ICLR 2020). nnActive's figures count the shared round among the budgets
    unless told to skip it. Not corrected for the number of tests: 5 % of the comparisons of equal strategies are won by
    one of them.

    Returns
    -------
    ndarray
        float64 (strategies, strategies). NaN on the diagonal, and everywhere where no budget has two seeds.
    """
    means = seed_means(grid)[:, :, 1:]
    n_strategies, _, n_budgets = means.shape
    wins = np.zeros((n_strategies, n_strategies))
    tested = False
    for row in range(n_strategies):
        for column in range(row):
            difference = means[row] - means[column]
            for budget in range(n_budgets):
                p = paired_t(difference[:, budget])
                tested |= not np.isnan(p)
                if p < ALPHA:
                    winner, loser = (row, column) if np.nanmean(difference[:, budget]) > 0 else (column, row)
                    wins[winner, loser] += 1 / n_budgets
    np.fill_diagonal(wins, np.nan)
    return wins if tested else np.full_like(wins, np.nan)
