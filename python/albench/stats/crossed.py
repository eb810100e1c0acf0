"""Whether a difference holds for other seeds and other cases at once.

Every seed is tested on the same cases, so a difference D(seed, case) varies with the seed (another start, another
training), with the case, and with both. Treating the cases of one seed, or the rounds of one chain, as independent
would count the same luck many times. Here seeds and cases are two crossed random factors, as readers and cases are in
reader studies: D = mean + seed + case + rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

from albench.stats.grid import nan_mean

MIN_SEEDS = 3
"""With two seeds their variance has one degree of freedom, and an interval leaves next to nothing out."""
LEAST_P = 1e-12
"""A smaller p is given as this."""
ROUNDING = 1e-12
"""Differences of Dice this small are those of its last digits."""

Values = NDArray[np.float64]
Components = tuple[tuple[float, int], tuple[float, int], float]


@dataclass(frozen=True)
class CrossedResult:
    """A mean difference over seeds and cases.

    Attributes
    ----------
    mean
        Mean over classes of the mean over seeds and cases.
    low, high
        95 % interval of the same test: it leaves 0 out just where p is below 0.05.
    p
        Two-sided. It and the interval are NaN with fewer than `MIN_SEEDS` seeds or a single case.
    n_seeds, n_cases, n_pairs, n_unpaired
        Seeds, cases and (seed, case, class) triples that count, and triples left out because some strategy or round
        has no value there.
    """

    mean: float
    low: float
    high: float
    p: float
    n_seeds: int
    n_cases: int
    n_pairs: int
    n_unpaired: int


def crossed_test(difference: Values) -> CrossedResult:
    """Test a paired difference, averaged over seeds and cases and then over classes, against 0.

    Parameters
    ----------
    difference
        float64 (seeds, cases, labels), as `DiceGrid.contrast` gives it; NaN does not count.
    """
    values = difference[~np.isnan(difference).all(axis=(1, 2))]
    values = values[:, ~np.isnan(values).all(axis=(0, 2))]
    n_seeds, n_cases = values.shape[:2]
    n_pairs = int((~np.isnan(values)).sum())
    mean = float(crossed_mean(values)) if n_pairs else math.nan
    half, p = math.nan, math.nan
    if n_seeds >= MIN_SEEDS and n_cases >= 2:
        components = variance_components(values)
        half, p = margin(components, 0.05), p_value(mean, components)
    unpaired = int(np.isnan(difference).sum())
    return CrossedResult(mean, mean - half, mean + half, p, n_seeds, n_cases, n_pairs, unpaired)


def margin(components: Components, alpha: float) -> float:
    """Half the width of the interval of level 1 - alpha.

    Banerjee's (Sankhya 1960): each source of variance has the squared quantile of Student's t with its own degrees of
    freedom, and these add up. One t with Satterthwaite's degrees of freedom is exact enough at 5 %, but not far out in
    the tails, where a correction for many pairs needs it: at 5 % over 28 pairs it rejects up to 13 times too often with
    3 seeds, as a few seeds that happen to be alike make it believe in the many degrees of freedom of the cases.
    """
    (of_seed, seeds), (of_case, cases), of_both = components
    t_seed, t_case = (float(stdtrit(df, alpha / 2)) for df in (seeds, cases))
    extra = max(of_case - of_both, 0.0)
    return math.sqrt(max(of_seed * t_seed**2 + extra * t_case**2, of_case * t_case**2))


def p_value(mean: float, components: Components) -> float:
    """Smallest alpha whose interval leaves 0 out, at least `LEAST_P`."""
    if abs(mean) <= ROUNDING:
        return 1.0
    if margin(components, LEAST_P) <= abs(mean):
        return LEAST_P
    return float(brentq(lambda alpha: margin(components, alpha) - abs(mean), LEAST_P, 1.0, xtol=1e-15, rtol=1e-10))


def crossed_mean(values: Values) -> Values:
    """Mean over classes of the mean over seeds and cases; (seeds, cases, labels) gives a scalar array."""
    return nan_mean(nan_mean(values, (0, 1)), 0)


def seed_spread(values: Values) -> float:
    """Return the standard deviation over seeds of a difference's mean over cases and classes; NaN of fewer than two."""
    of_seeds = nan_mean(nan_mean(values, 1), 1)
    of_seeds = of_seeds[~np.isnan(of_seeds)]
    return float(of_seeds.std(ddof=1)) if of_seeds.size > 1 else math.nan


def variance_components(values: Values) -> Components:
    """Return the variance of the mean as seeds, as cases, and as the rest give it, the first two with their freedom.

    They are mean squares of the two-way analysis over their number (Clark, J Verbal Learning Verbal Behav 1973): of
    seeds and of cases each holds the rest once. Values that are missing are handled by linearising the mean: each
    class's deviations from its own mean are divided by the share of seeds and cases that have it. At least two seeds
    and two cases.
    """
    n_seeds, n_cases = values.shape[:2]
    present = ~np.isnan(values)
    share = present.mean(axis=(0, 1))
    counted = share > 0
    center = nan_mean(values, (0, 1))
    deviation = np.where(present, values - center, 0.0)[:, :, counted] / share[counted]
    table = deviation.mean(axis=2)
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    rest = table - rows[:, None] - columns[None, :] + table.mean()
    freedom = n_seeds - 1, n_cases - 1
    of_seed = float(np.square(rows - rows.mean()).sum()) / freedom[0] / n_seeds
    of_case = float(np.square(columns - columns.mean()).sum()) / freedom[1] / n_cases
    of_rest = float(np.square(rest).sum()) / (freedom[0] * freedom[1]) / (n_seeds * n_cases)
    return (of_seed, freedom[0]), (of_case, freedom[1]), of_rest
