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
from scipy import stats

from albench.stats.grid import nan_mean

N_RESAMPLES = 2000
MIN_SEEDS = 3
"""With two seeds their variance has one degree of freedom: in simulations the test then rejects twice too often."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedResult:
    """A mean difference over seeds and cases.

    Attributes
    ----------
    mean
        Mean over classes of the mean over seeds and cases.
    low, high
        Bootstrap interval over seeds and cases.
    p, p_greater
        Two-sided, and one-sided against a mean of at most 0.
    df
        Degrees of freedom (Satterthwaite). It, p and the interval are NaN with fewer than `MIN_SEEDS` seeds or with a
        single case.
    n_seeds, n_cases, n_pairs, n_unpaired
        Seeds, cases and (seed, case, class) triples that count, and triples left out because some strategy or round
        has no value there.
    """

    mean: float
    low: float
    high: float
    p: float
    p_greater: float
    df: float
    n_seeds: int
    n_cases: int
    n_pairs: int
    n_unpaired: int


def crossed_test(difference: Values, rng: np.random.Generator, level: float = 0.95) -> CrossedResult:
    """Test a paired difference against 0 and give its interval.

    The test is the quasi-F of two crossed random factors (Clark, J Verbal Learning Verbal Behav 1973): the variance of
    the mean is (MS_seed + MS_case - MS_rest) / (seeds * cases), never below what seeds or cases alone give, with
    Satterthwaite's degrees of freedom.

    Parameters
    ----------
    difference
        float64 (seeds, cases, labels), as `DiceGrid.contrast` gives it; NaN does not count.
    """
    values = difference[~np.isnan(difference).all(axis=(1, 2))]
    values = values[:, ~np.isnan(values).all(axis=(0, 2))]
    n_seeds, n_cases = values.shape[:2]
    n_pairs = int((~np.isnan(values)).sum())
    counts = (n_seeds, n_cases, n_pairs, int(np.isnan(difference).sum()))
    if n_pairs == 0:
        return _untested(math.nan, *counts)
    mean = float(crossed_mean(values))
    if n_seeds < MIN_SEEDS or n_cases < 2:
        return _untested(mean, *counts)
    error, df = standard_error(values)
    t = mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
    low, high = quantile_interval(bootstrap_means(values, rng), df, n_seeds, level)
    return CrossedResult(mean, low, high, 2 * float(stats.t.sf(abs(t), df)), float(stats.t.sf(t, df)), df, *counts)


def _untested(mean: float, n_seeds: int, n_cases: int, n_pairs: int, n_unpaired: int) -> CrossedResult:
    nan = math.nan
    return CrossedResult(mean, nan, nan, nan, nan, nan, n_seeds, n_cases, n_pairs, n_unpaired)


def crossed_mean(values: Values) -> Values:
    """Mean over classes of the mean over seeds and cases; (seeds, cases, labels) gives a scalar array."""
    return nan_mean(nan_mean(values, (0, 1)), 0)


def standard_error(values: Values) -> tuple[float, float]:
    """Return the standard error of the mean over seeds, cases and classes, and its degrees of freedom.

    Values that are missing are handled by linearising the mean: each class's deviations from its own mean are divided
    by the share of seeds and cases that have it. At least two seeds and two cases.
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
    freedom = n_seeds - 1, n_cases - 1, (n_seeds - 1) * (n_cases - 1)
    of_seed = n_cases * float(np.square(rows - rows.mean()).sum()) / freedom[0]
    of_case = n_seeds * float(np.square(columns - columns.mean()).sum()) / freedom[1]
    of_rest = float(np.square(rest).sum()) / freedom[2]
    total = of_seed + of_case - of_rest
    if total > max(of_seed, of_case):
        df = total**2 / (of_seed**2 / freedom[0] + of_case**2 / freedom[1] + of_rest**2 / freedom[2])
    else:
        total, df = max((of_seed, float(freedom[0])), (of_case, float(freedom[1])))
    return math.sqrt(total / (n_seeds * n_cases)), df


def bootstrap_means(values: Values, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Values:
    """Means of resamples of seeds and, independently, of cases; float64 (n_resamples,).

    Owen's pigeonhole bootstrap (Ann Appl Stat 2007) for crossed factors. All of a seed or case comes along when it is
    drawn, so what its rounds and classes share stays together.
    """
    n_seeds, n_cases, n_labels = values.shape
    seeds, cases = (
        rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64) for n in (n_seeds, n_cases)
    )
    present = (~np.isnan(values)).astype(np.float64)
    sums = []
    for array in (np.where(present > 0, values, 0.0), present):
        by_case = (seeds @ array.reshape(n_seeds, -1)).reshape(n_resamples, n_cases, n_labels)
        sums.append(np.einsum("rc,rcl->rl", cases, by_case))
    means: Values = np.full(sums[0].shape, np.nan)
    # a resample may hold no case of a rare class, which is then left out, as in the mean Dice
    return nan_mean(np.divide(sums[0], sums[1], out=means, where=sums[1] > 0), 1)


def quantile_interval(draws: Values, df: float, n_seeds: int, level: float = 0.95) -> tuple[float, float]:
    """Quantiles of bootstrap means, widened for few seeds (expanded percentiles: Hesterberg, Am Stat 2015).

    A percentile interval of few values is too narrow: resampling underestimates their variance by (n - 1) / n and
    takes the normal for the t distribution. Both are put right where the tail is chosen.
    """
    expanded = float(stats.t.ppf((1 - level) / 2, df)) * math.sqrt(n_seeds / (n_seeds - 1))
    tail = float(stats.norm.cdf(expanded))
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return float(low), float(high)
