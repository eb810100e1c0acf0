"""Looking at a study several times without testing it more often than it says: group-sequential boundaries.

A study whose p is looked at three times, each at 2.5 %, finds something in twice as many studies of nothing as it says.
O'Brien and Fleming's boundaries (Biometrics 35, 1979) ask for much at the first look and nearly nothing more than usual
at the last: with looks at equal steps the sum of all differences so far has to reach the same height at every look.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, t

Values = NDArray[np.float64]

POWER = 0.8
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(201)
_FAR = 9.0
"""Standard deviations beyond which a normal variable has nothing."""
_MOST_SEEDS = 10**6


@cache
def nominal_levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """Return the one-sided p that shows a claim at each look.

    Parameters
    ----------
    looks
        Numbers of seeds, ascending; information is taken to grow as they do.
    alpha
        Chance, over all looks, that a claim is shown where strategies are equal.

    Notes
    -----
    At information fraction t_k the boundary of the standardised difference is C / sqrt(t_k), and C is such that the
    chance of reaching any is `alpha` (Jennison and Turnbull, Group Sequential Methods, 2000, chapters 2 and 19). For
    looks at 8, 16 and 24 seeds and 2.5 %, C is 2.004 and twice the levels are .0005, .0141 and .0451. Levels are
    applied to the p of Student's t (Jennison and Turnbull, section 3.8), which keeps `alpha` well.

    Examples
    --------
    >>> [round(2 * level, 4) for level in nominal_levels((8, 16, 24), 0.025)]
    [0.0005, 0.0141, 0.0451]
    """
    fractions = np.asarray(looks, dtype=np.float64) / looks[-1]
    bounds = _height(tuple(fractions.tolist()), alpha) / np.sqrt(fractions)
    return tuple(float(level) for level in norm.sf(bounds))


@cache
def _height(fractions: tuple[float, ...], alpha: float) -> float:
    """Return C of `nominal_levels`."""
    times = np.array(fractions)

    def excess(height: float) -> float:
        return crossing(times, height / np.sqrt(times), 0.0) - alpha

    return float(brentq(excess, norm.isf(alpha) - 1e-9, norm.isf(alpha / len(fractions)) * 2 + 1, xtol=1e-10))


def crossing(times: Values, bounds: Values, drift: float) -> float:
    """Chance that a standardised difference reaches its upper boundary at some look.

    Parameters
    ----------
    times
        float64 (looks,), information fractions, ascending.
    bounds
        float64 (looks,), boundaries of the standardised difference.
    drift
        Its mean at time 1, where that is reached.

    Notes
    -----
    The score B(t) = Z sqrt(t) has independent increments of mean drift * dt and variance dt. Its density among studies
    that reached no boundary yet is carried from look to look by Gauss and Legendre's quadrature (Armitage, McPherson
    and Rowe, J R Stat Soc A 132, 1969).
    """
    total, ends, mass = 0.0, np.zeros(1), np.ones(1)
    before = 0.0
    for time, height in zip(times, bounds * np.sqrt(times), strict=True):
        step, mean = math.sqrt(time - before), ends + drift * (time - before)
        total += float((mass * norm.sf((height - mean) / step)).sum())
        low, high = drift * time - _FAR * math.sqrt(time), drift * time + _FAR * math.sqrt(time)
        half = max(min(height, high) - low, 0.0) / 2
        nodes = low + half * (1 + _NODES)
        density = norm.pdf((nodes[:, None] - mean[None, :]) / step) / step
        ends, mass, before = nodes, half * _WEIGHTS * (density * mass).sum(axis=1), time
    return total


def power(difference: float, sd: float, looks: Sequence[int], alpha: float, n_seeds: int | None = None) -> float:
    """Chance that a true `difference` is shown by the last look.

    Parameters
    ----------
    sd
        Standard deviation over seeds of the paired difference.
    n_seeds
        Looks at more seeds than so many do not take place; None: all do.

    Notes
    -----
    At each look the chance is that of the noncentral t (Abramowitz and Stegun, 26.7.10), as each look estimates the
    standard deviation by its own seeds; between looks the differences go together as normal ones do.
    """
    taken = [look for look in looks if n_seeds is None or look <= n_seeds]
    times, df = np.asarray(taken, dtype=np.float64) / looks[-1], np.asarray(taken) - 1
    drift = difference / sd * math.sqrt(looks[-1])
    quantiles, means = t.isf(nominal_levels(tuple(looks), alpha)[: len(taken)], df), drift * np.sqrt(times)
    bounds = means + (quantiles * (1 - 1 / (4 * df)) - means) / np.sqrt(1 + quantiles**2 / (2 * df))
    return crossing(times, bounds, drift)


def detectable(sd: float, looks: Sequence[int], alpha: float, n_seeds: int | None = None) -> float:
    """Smallest difference that is shown with 80 % power; arguments as of `power`. NaN where no look takes place."""
    if n_seeds is not None and n_seeds < looks[0]:
        return math.nan

    def missing(difference: float) -> float:
        return power(difference, sd, looks, alpha, n_seeds) - POWER

    enough = sd
    while missing(enough) < 0:
        enough *= 2
    return float(brentq(missing, 0.0, enough, xtol=1e-6 * sd))


def seeds_needed(difference: float, sd: float, looks: Sequence[int], alpha: float) -> int:
    """Seeds of a last look, with looks at the same shares of it, that show `difference` with 80 % power.

    At least three; a million where more are needed.
    """

    def planned(last: int) -> tuple[int, ...]:
        return tuple(sorted({max(3, round(look * last / looks[-1])) for look in looks}))

    def finds(last: int) -> bool:
        return power(difference, sd, planned(last), alpha) >= POWER

    enough = 3
    while enough < _MOST_SEEDS and not finds(enough):
        enough *= 2
    return bisect_left(range(min(enough, _MOST_SEEDS)), True, lo=3, key=finds)


def conditional_power(mean: float, sd: float, n: int, looks: Sequence[int], alpha: float, difference: float) -> float:
    """Chance that the last look shows a claim, after `n` seeds, if what is to come differs by `difference` on average.

    Parameters
    ----------
    mean, sd
        Mean and standard deviation over the `n` seeds' paired differences.

    Notes
    -----
    Lan and Wittes (Biometrics 44, 1988), for the last boundary alone; 1 or 0 with nothing to come.
    """
    last = looks[-1]
    error = sd / math.sqrt(last)
    bound = float(t.isf(nominal_levels(tuple(looks), alpha)[-1], last - 1))
    fraction = min(n / last, 1.0)
    score = mean * fraction / error + (1 - fraction) * difference / error
    if fraction == 1.0:
        return float(score >= bound)
    return float(norm.sf((bound - score) / math.sqrt(1 - fraction)))
