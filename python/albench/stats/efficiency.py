"""Foreground efficiency: how fast a curve nears the ceiling for the foreground it has queried."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Efficiency:
    """Fitted rate with its standard error, both NaN where there is no fit; the number of points; why there is none."""

    gamma: float
    standard_error: float
    n_points: int
    reason: str = ""


def foreground_efficiency(share: Values, dice: Values, start: tuple[float, float], ceiling: float) -> Efficiency:
    """Fit nnActive's y(x) = y_full - (y_full - y_0) exp(-gamma (x - x_0)); gamma is the only free parameter.

    Parameters
    ----------
    share, dice
        Queried share of the pool's foreground voxels and mean Dice, one value a seed and round.
    start
        x_0, y_0: the smallest share of the whole study and the mean Dice there, the same for all its strategies.
    ceiling
        y_full.

    Notes
    -----
    The standard error is the root of the variance that scipy's `curve_fit` estimates; nnActive's published code reports
    the variance itself under the name of a standard deviation. Points of one chain are not independent, so that it is
    too small.
    """
    x, y = share[~np.isnan(share + dice)], dice[~np.isnan(share + dice)]
    x_0, y_0 = start
    nan = math.nan
    if x.size < 2:
        return Efficiency(nan, nan, int(x.size), "fewer than 2 points")
    if not ceiling > y_0:
        return Efficiency(nan, nan, int(x.size), "no ceiling above the start")
    if not (x > x_0).any():
        return Efficiency(nan, nan, int(x.size), "nothing queried after the start")

    def curve(x: Values, gamma: float) -> Values:
        # an exponent beyond this is a search gone astray, whose error is large enough
        exponent = np.clip(-gamma * (x - x_0), None, 100)
        return np.asarray(ceiling - (ceiling - y_0) * np.exp(exponent))

    guess = 1 / float((x - x_0)[x > x_0].mean())
    try:
        # scipy only warns where the rate has no bound, as of a curve that is at the ceiling at once
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            fitted, covariance = curve_fit(curve, x, y, p0=[guess])
    except (RuntimeError, OptimizeWarning):
        return Efficiency(nan, nan, int(x.size), "the fit did not converge")
    variance = float(covariance[0, 0])
    return Efficiency(float(fitted[0]), math.sqrt(variance) if math.isfinite(variance) else nan, int(x.size))


def study_start(share: Values, dice: Values) -> tuple[float, float]:
    """Smallest queried share of a study and the mean Dice there; NaN without any point."""
    present = ~np.isnan(share + dice)
    if not present.any():
        return math.nan, math.nan
    smallest = float(share[present].min())
    return smallest, float(dice[present & (share == smallest)].mean())
