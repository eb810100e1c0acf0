"""Student's t of a few values, as one has of seeds. One value has no interval: nothing here invents spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from albench.stats.crossed import ROUNDING


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; both ends are NaN where ``n`` is too small for one."""

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: npt.ArrayLike, smallest: float = -math.inf, largest: float = math.inf) -> Interval:
    """Average the values that are not NaN, with Student's 95 % interval where n is at least 2.

    A percentile bootstrap cannot leave the range of a handful of values: with three seeds it covers 75 % where it says
    95 %. Student's interval covers what it says with any number of values that are nearly normal, as means over many
    cases are.

    Parameters
    ----------
    values
        Independent of each other, one a seed, shape (n,).
    smallest, largest
        Values that the metric can take: the interval ends there.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[~np.isnan(x)]
    nan = math.nan
    if x.size == 0:
        return Interval(nan, nan, nan, 0)
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, nan, nan, 1)
    half = float(stats.t.ppf(0.975, x.size - 1)) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return Interval(mean, max(smallest, mean - half), min(largest, mean + half), int(x.size))


def paired_t(values: npt.NDArray[np.float64]) -> float:
    """Two-sided p of a t-test of differences against 0; NaN values do not count, fewer than two give NaN."""
    x = values[~np.isnan(values)]
    if x.size < 2:
        return math.nan
    # differences that are all the same leave no spread, and then rounding must not look like a finding
    error = max(float(x.std(ddof=1)) / math.sqrt(x.size), ROUNDING)
    return 2 * float(stats.t.sf(abs(float(x.mean())) / error, x.size - 1))
