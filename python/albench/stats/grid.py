"""Dice of a study as one array, which every comparison between strategies starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.results.layout import CEILING

Endpoint = Literal["aubc", "final"]
ENDPOINTS: tuple[Endpoint, ...] = ("aubc", "final")
"""What of a curve is compared: its area, all rounds together, or its last round alone."""

_AXES = ["strategy", "seed", "round", "case", "label"]


@dataclass(frozen=True, eq=False)
class DiceGrid:
    """Dice of one data set and protocol, the ceiling left out.

    Attributes
    ----------
    dice
        float64 (strategies, seeds, rounds, cases, labels), foreground labels alone; NaN where a run is missing or the
        class absent from reference and prediction.
    """

    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: tuple[int, ...]
    cases: tuple[str, ...]
    labels: tuple[int, ...]
    dice: NDArray[np.float64]

    def contrast(self, weights: Mapping[str, float], endpoint: Endpoint) -> NDArray[np.float64]:
        """Weighted sum of strategies' Dice, paired on seed, case, round and class.

        Parameters
        ----------
        weights
            Strategy to weight, e.g. ``{"usim-f": 1, "random": -1}`` for a difference.
        endpoint
            ``aubc`` weighs rounds as the area does (trapezoids at equal spacing), ``final`` takes the last one.

        Returns
        -------
        ndarray
            float64 (seeds, cases, labels); NaN where any of the runs or rounds that count lacks a value.
        """
        rows = [self.strategies.index(name) for name in weights]
        by_round = np.tensordot(np.array(list(weights.values()), dtype=np.float64), self.dice[rows], axes=1)
        of_rounds = round_weights(len(self.rounds), endpoint)
        # a round that does not count may lack a value: 0 times NaN would be NaN
        counts = of_rounds > 0
        return np.asarray(np.tensordot(of_rounds[counts], by_round[:, counts], axes=([0], [1])))


def dice_grid(results: pd.DataFrame) -> DiceGrid:
    """Lay the rows of one data set and protocol out as an array."""
    rows = results[(results["strategy"] != CEILING) & (results["label"] > 0)]
    levels = [np.sort(rows[axis].unique()) for axis in _AXES]
    dice = np.full([len(level) for level in levels], np.nan)
    places = tuple(np.searchsorted(level, rows[axis].to_numpy()) for level, axis in zip(levels, _AXES, strict=True))
    dice[places] = rows["dice"].to_numpy(dtype=np.float64)
    strategies, seeds, rounds, cases, labels = (tuple(level.tolist()) for level in levels)
    return DiceGrid(strategies, seeds, rounds, cases, labels, dice)


def round_weights(n_rounds: int, endpoint: Endpoint) -> NDArray[np.float64]:
    """Weight of each round in an endpoint, float64 (rounds,), sum 1; a single round is its own end."""
    weights = np.zeros(n_rounds)
    if endpoint == "final" or n_rounds == 1:
        weights[-1] = 1.0
        return weights
    weights[:] = 1.0
    weights[[0, -1]] = 0.5
    weights /= weights.sum()
    return weights


def seed_means(grid: DiceGrid) -> NDArray[np.float64]:
    """Mean Dice of every run: over classes of the mean over cases; float64 (strategies, seeds, rounds)."""
    return nan_mean(nan_mean(grid.dice, axis=3), axis=3)


def nan_mean(values: NDArray[np.float64], axis: int | Sequence[int]) -> NDArray[np.float64]:
    """Mean over the values that are not NaN; NaN without a warning where there are none."""
    axes = tuple(axis) if isinstance(axis, Sequence) else axis
    present = ~np.isnan(values)
    counts = present.sum(axis=axes)
    sums = np.where(present, values, 0.0).sum(axis=axes)
    means: NDArray[np.float64] = np.full(np.shape(sums), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
