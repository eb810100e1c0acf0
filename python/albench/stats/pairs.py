"""All strategies against each other, in pairs that agree in seed, case and round."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from albench.seeding import generator
from albench.stats.crossed import crossed_test
from albench.stats.grid import ENDPOINTS, DiceGrid, nan_mean

P_COLUMNS = ["p", "p_seeds", "p_cases"]


def pair_table(grid: DiceGrid, *name: str) -> pd.DataFrame:
    """Test every pair of strategies, once for the area of the curves and once for the last round.

    Parameters
    ----------
    name
        Of the data set and protocol, for the random stream of the bootstrap.

    Returns
    -------
    DataFrame
        One row per endpoint and pair: endpoint, strategy, reference; mean (strategy minus reference), low, high, p, df,
        n_seeds, n_cases, n_pairs, n_unpaired of `crossed_test`; p_seeds of a paired t-test over seeds (other
        trainings on these cases), p_cases of a Wilcoxon signed-rank test over cases averaged over seeds (other cases
        with these trainings); and each p with the suffix ``_holm``, corrected over the pairs of the endpoint.
    """
    tables = []
    for endpoint in ENDPOINTS:
        rows: list[dict[str, Any]] = []
        for one, other in itertools.combinations(grid.strategies, 2):
            difference = grid.contrast({one: 1.0, other: -1.0}, endpoint)
            result = asdict(crossed_test(difference, generator(*name, endpoint, one, other)))
            del result["p_greater"]
            tests = {"p_seeds": seed_test(difference), "p_cases": case_test(difference)}
            rows.append({"endpoint": endpoint, "strategy": one, "reference": other, **result, **tests})
        table = pd.DataFrame(rows)
        if rows:
            table = table.assign(**{f"{column}_holm": holm(table[column].to_numpy()) for column in P_COLUMNS})
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def seed_test(difference: NDArray[np.float64]) -> float:
    """Two-sided paired t-test over seeds of the mean over cases and classes; NaN with fewer than two seeds.

    Parameters
    ----------
    difference
        float64 (seeds, cases, labels).
    """
    return paired_t(nan_mean(nan_mean(difference, 1), 1))


def paired_t(values: NDArray[np.float64]) -> float:
    """Two-sided p of a t-test of differences against 0; NaN values do not count, fewer than two give NaN."""
    x = values[~np.isnan(values)]
    if x.size < 2:
        return math.nan
    error = float(x.std(ddof=1)) / math.sqrt(x.size)
    mean = float(x.mean())
    # equal differences leave no spread: whatever is above rounding is no chance
    if error <= 1e-12:
        return 0.0 if abs(mean) > 1e-9 else 1.0
    return 2 * float(stats.t.sf(abs(mean) / error, x.size - 1))


def case_test(difference: NDArray[np.float64]) -> float:
    """Two-sided Wilcoxon signed-rank test over cases, each averaged over seeds and classes; NaN with fewer than two."""
    by_case = nan_mean(nan_mean(difference, 0), 1)
    x = by_case[~np.isnan(by_case)]
    if x.size < 2:
        return math.nan
    return float(stats.wilcoxon(x, zero_method="zsplit").pvalue) if x.any() else 1.0


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's correction over the values that are not NaN (Scand J Stat 1979)."""
    corrected = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected
