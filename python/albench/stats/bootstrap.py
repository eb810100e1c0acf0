"""Bootstrap intervals. What rests on one seed has no interval over seeds: nothing here invents spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

N_RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; both ends are NaN where ``n`` is too small for one."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: npt.ArrayLike, rng: np.random.Generator, level: float = 0.95, n_resamples: int = N_RESAMPLES
) -> Interval:
    """Average the values that are not NaN, with a percentile bootstrap interval where n is at least 2.

    With a handful of values the interval is too narrow (it cannot leave their range): say so beside it.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[~np.isnan(x)]
    nan = float("nan")
    if x.size == 0:
        return Interval(nan, nan, nan, 0)
    if x.size == 1:
        return Interval(float(x[0]), nan, nan, 1)
    means = x[rng.integers(x.size, size=(n_resamples, x.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(x.mean()), float(low), float(high), int(x.size))
