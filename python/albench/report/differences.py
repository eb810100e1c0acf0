"""Figure of what every strategy gains over the reference, seed by seed."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from albench.report.figures import NARROW, RC, WIDE, new_figure
from albench.report.palette import GREY, label, style
from albench.results.tables import REFERENCE, STUDY_KEYS, rows_of
from albench.stats.grid import dice_grid, nan_mean
from albench.stats.pairs import pairs_of


@dataclass(frozen=True, eq=False)
class Gain:
    """Final Dice of a strategy less that of the reference.

    Attributes
    ----------
    seeds
        float64 (seeds,): means over classes and cases, paired; seeds that both have.
    mean, low, high
        As in the pair table: its 95 % interval is for other seeds and other cases, NaN with few seeds.
    """

    strategy: str
    seeds: NDArray[np.float64]
    mean: float
    low: float
    high: float


def gains_of(results: pd.DataFrame, pairs: pd.DataFrame, study: tuple[str, str]) -> list[Gain]:
    """Gains of one study, the largest first; none where the reference did not run.

    Parameters
    ----------
    results
        Rows of ``results.parquet``.
    pairs
        Rows of `albench.stats.pairs.pair_tables`.
    """
    grid = dice_grid(rows_of(results, study))
    known = pairs_of(rows_of(pairs, study), "final")
    gains = []
    for name in grid.strategies:
        pair = known.get((name, REFERENCE))
        if pair is None or not pair.n_pairs:
            continue
        by_seed = nan_mean(grid.contrast({name: 1.0, REFERENCE: -1.0}, "final"), axis=(1, 2))
        gains.append(Gain(name, by_seed[~np.isnan(by_seed)], pair.mean, pair.low, pair.high))
    return sorted(gains, key=lambda gain: -gain.mean)


def all_gains(results: pd.DataFrame, pairs: pd.DataFrame) -> dict[tuple[str, str], list[Gain]]:
    """Gains of every study, by data set and protocol, in the order of the tables."""
    keys = [(str(study[0]), str(study[1])) for study, _ in results.groupby(STUDY_KEYS)]
    return {key: gains_of(results, pairs, key) for key in keys}


def differences_figure(studies: list[tuple[str, list[Gain]]], layout: str = WIDE) -> Figure:
    """Draw one set of axes a study, one line a strategy: seeds as dots, the mean and its interval.

    Parameters
    ----------
    studies
        Title, which may be empty, and gains of each.
    """
    with mpl.rc_context(RC):
        heights = [0.27 * len(gains) + (0.85 if title else 0.6) for title, gains in studies]
        figure = new_figure((4.1 if layout == NARROW else 7.4, sum(heights) + 0.2))
        grid = figure.subplots(len(studies), 1, squeeze=False, height_ratios=heights)
        for axes, (title, gains) in zip(grid.flat, studies, strict=True):
            _draw(axes, title, gains)
        return figure


def _draw(axes: Axes, title: str, gains: list[Gain]) -> None:
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.axvline(0, color=GREY, linewidth=1)
    for row, gain in enumerate(gains):
        look = style(gain.strategy)
        # neither hidden by the line of the mean nor by each other where they agree
        spread = np.linspace(-0.2, 0.2, gain.seeds.size) if gain.seeds.size > 1 else np.zeros(gain.seeds.size)
        axes.scatter(gain.seeds, row + spread, s=9, color=look.color, alpha=0.45, linewidths=0, zorder=2)
        axes.plot([gain.low, gain.high], [row, row], color=look.color, linewidth=2, zorder=3)
        axes.plot(
            [gain.mean],
            [row],
            linestyle="none",
            marker=look.marker,
            markersize=7,
            color=look.color,
            markeredgecolor="white",
            zorder=4,
        )
    axes.set_yticks(range(len(gains)), [label(gain.strategy) for gain in gains])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(gains) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.spines["top"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"final Dice less that of {REFERENCE}")
    if title:
        axes.set_title(title, pad=8)


def describe(title: str, gains: list[Gain]) -> str:
    """Text for those who cannot see the figure."""
    parts = [f"{gain.strategy} {gain.mean:+.3f}" for gain in gains]
    return f"Final Dice of each strategy less that of {REFERENCE}, {title}: {'; '.join(parts)}."
