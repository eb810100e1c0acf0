"""Critical-difference diagram: mean ranks of the strategies, and which of them a test does not tell apart."""

from __future__ import annotations

from matplotlib.figure import Figure

from albench.report.palette import GREY, label, style
from albench.stats.ranks import Ranks


def ranks_figure(ranks: Ranks) -> Figure:
    """Draw Demšar's diagram (JMLR 2006): ranks, best left, and bars that join what Nemenyi's test holds alike."""
    values, bars = ranks.ranks, ranks.alike()
    n, low, high = len(values), values.min(), values.max()
    figure = Figure(figsize=(7.5, 0.9 + 0.15 * len(bars) + 0.13 * n), layout="constrained")
    axes = figure.add_subplot()
    for place, (strategy, rank) in enumerate(values.items()):
        is_left = place < (n + 1) // 2
        y = -0.6 * len(bars) - 1 - (place if is_left else n - 1 - place)
        edge = low - 0.05 * (high - low) if is_left else high + 0.05 * (high - low)
        name, color = str(strategy), style(str(strategy)).color
        axes.plot([rank, rank, edge], [0, y, y], color=color, marker="o", markevery=[0], markersize=4, clip_on=False)
        axes.text(edge, y, f" {label(name)} ", color=color, ha="right" if is_left else "left", va="center")
    for level, (first, last) in enumerate(bars):
        axes.plot([values.iloc[first], values.iloc[last]], [-0.6 * (level + 1)] * 2, color="black", linewidth=2.5)
    end, above = low + ranks.critical_difference, 2.2
    axes.plot([low, end], [above, above], color=GREY, marker="|")
    axes.text(end, above, f"  critical difference {ranks.critical_difference:.2f}", va="center", color=GREY)
    axes.yaxis.set_visible(False)
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    axes.spines["top"].set_position(("data", 0))
    axes.xaxis.set_ticks_position("top")
    return figure
