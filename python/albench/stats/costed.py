"""Curves against what annotating costs rather than against rounds: whether a gain is one of choosing or of more work.

A strategy that asks for slices with much foreground may be better by the slice and no better by the hour. Seconds
follow from a linear cost model that nobody measured here, so that what is said of them is said over a range of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.results.layout import CEILING
from albench.results.tables import REFERENCE

Values = NDArray[np.float64]

COUNTED = {
    "slice_s": "n_annotated_slices",
    "foreground_voxel_s": "n_annotated_fg_voxels",
    "border_voxel_s": "n_annotated_border_voxels",
}
"""Coefficient of the cost model to the column that it multiplies."""
FACTORS = (1 / 3, 1.0, 3.0)
"""What each coefficient is multiplied by, each combination once: a cost of ten times another may be as dear or as
cheap as that."""
COLUMNS = ["strategy", "n_seeds", "slices", "seconds", "seconds_low", "seconds_high"]


def area_between(cost: Values, dice: Values, low: float, high: float) -> float:
    """Mean height of a curve, linear between its rounds, over a range of costs.

    Parameters
    ----------
    cost, dice
        float64 (rounds,), cost ascending.
    low, high
        The range, within the costs.

    Returns
    -------
    float
        NaN where the range is empty or a Dice in it is missing.
    """
    if not high > low or np.isnan(dice).any():
        return float("nan")
    inner = (cost > low) & (cost < high)
    x = np.concatenate([[low], cost[inner], [high]])
    y = np.interp(x, cost, dice)
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (high - low))


def costed_areas(curves: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
    """Area of each strategy's curve less that of random, at the same slices and at the same seconds.

    Over the costs that both curves of a seed have: from the start they share to where the cheaper one ends.

    Parameters
    ----------
    curves
        `albench.results.tables.mean_dice` of one data set and protocol.
    seconds
        The coefficients by the names of `albench.config.CostSettings`.

    Returns
    -------
    DataFrame
        One row a strategy but random and the ceiling: n_seeds; slices and seconds, mean differences over seeds; and
        seconds_low, seconds_high, the least and the largest of such a mean with each coefficient a third, once and
        three times as large. Empty where the table does not say what annotating cost.
    """
    chains = curves[curves["strategy"] != CEILING]
    if not set(COUNTED.values()) <= set(chains) or chains[list(COUNTED.values())].isna().any(axis=None):
        return pd.DataFrame(columns=COLUMNS)
    own = np.array([seconds[name] for name in COUNTED])
    # by slices, as set, and with every coefficient smaller and larger
    costs = [
        np.array([1.0, 0.0, 0.0]),
        own,
        *(own * factors for factors in itertools.product(FACTORS, repeat=len(own))),
    ]
    runs = {key: run.sort_values("round") for key, run in chains.groupby(["strategy", "seed"])}
    rows: list[dict[str, Any]] = []
    for strategy in sorted(set(chains["strategy"]) - {REFERENCE}):
        seeds = [seed for name, seed in runs if name == strategy and (REFERENCE, seed) in runs]
        pairs = [(runs[strategy, seed], runs[REFERENCE, seed]) for seed in seeds]
        areas = np.array([[_difference(*pair, cost) for cost in costs] for pair in pairs]).reshape(-1, len(costs))
        areas = areas[~np.isnan(areas).any(axis=1)]
        if len(areas):
            slices, as_set, *band = areas.mean(axis=0).tolist()
            numbers = (strategy, len(areas), slices, as_set, min(band), max(band))
            rows.append(dict(zip(COLUMNS, numbers, strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _difference(own: pd.DataFrame, reference: pd.DataFrame, cost: Values) -> float:
    """Area of one seed's curve less the other's, over the costs that both have."""
    x, y = (each[list(COUNTED.values())].to_numpy(np.float64) @ cost for each in (own, reference))
    low, high = max(x[0], y[0]), min(x[-1], y[-1])
    areas = [area_between(at, each["dice"].to_numpy(np.float64), low, high) for at, each in ((x, own), (y, reference))]
    return areas[0] - areas[1]
