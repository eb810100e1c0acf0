"""Figures of a report, drawn without pyplot: no state is shared with a program that imports this."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from albench.report.inputs import PLURALS, depths, unit_word
from albench.report.palette import GREY, ORACLE_NOTE, label, oracle_aided, order, style
from albench.results.layout import CEILING

WIDE, NARROW = "wide", "narrow"
_FOOTNOTE = Line2D([], [], linestyle="none", label=ORACLE_NOTE)

# matplotlib types the keys as a long literal, which a plain dictionary cannot meet
RC: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#9aa0a6",
    "axes.linewidth": 0.8,
    "axes.labelcolor": "#202124",
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "#3c4043",
    "ytick.labelcolor": "#3c4043",
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    # names come with the data: a dollar sign is one
    "text.parse_math": False,
    # the same table gives the same bytes
    "svg.hashsalt": "al-bench",
}


@dataclass(frozen=True)
class Panel:
    """One learning-curve plot.

    Attributes
    ----------
    title
        Shown above the axes; may be empty.
    curves
        Rows of :func:`albench.results.tables.mean_dice` of one data set and protocol, with or without ceiling.
    n_pool_units
        Size of the pool, mean over seeds.
    unit
        What is annotated: ``slice``, ``image``, ``patch`` or ``unit``.
    """

    title: str
    curves: pd.DataFrame
    n_pool_units: float
    unit: str = "slice"


def curves_figure(panels: list[Panel], layout: str = WIDE) -> Figure:
    """Dice against budget, one set of axes per panel, one legend for all."""
    with mpl.rc_context(RC):
        n_columns = 1 if layout == NARROW or len(panels) == 1 else 2
        n_rows = -(-len(panels) // n_columns)
        names = order([name for panel in panels for name in panel.curves["strategy"] if name != CEILING])
        per_row = 2 if layout == NARROW else 4 * n_columns
        legend_inches = 0.25 * -(-(len(names) + 1) // per_row) + 0.25
        width, height = (4.1, 3.9) if layout == NARROW else ((7.4, 4.5) if n_columns == 1 else (5.9, 4.2))
        size = (width * n_columns, height * n_rows + legend_inches)
        figure = new_figure(size)
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_panel(axes, panel, names)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        if names:
            figure.legend(
                handles=[*map(_handle, names), *([_FOOTNOTE] if any(map(oracle_aided, names)) else [])],
                loc="outside lower center",
                ncols=min(per_row, len(names)),
                columnspacing=1.6,
                handlelength=2.6,
            )
        return figure


def units_figure(queries: pd.DataFrame, layout: str = WIDE) -> Figure:
    """How many units of each case were annotated (left) and where in the case they lie (right), by strategy.

    Parameters
    ----------
    queries
        Queried units of one data set, the shared start left out; columns strategy, case, index, and for 3D patches
        start and stop.
    """
    unit, depth = unit_word(queries), depths(queries)
    units = PLURALS[unit]
    with mpl.rc_context(RC):
        names = order(list(queries["strategy"]))
        narrow, one = layout == NARROW, unit == "image"  # an image has no position in its case
        rows = len(names)
        height = 0.34 * rows + 1.3
        figure = new_figure((4.1, height if one else 2 * height + 0.3) if narrow else (8.6, max(height, 2.2)))
        shape = (1, 1) if one else (2, 1) if narrow else (1, 2)
        by_case, *others = figure.subplots(*shape, squeeze=False).flat
        counts = queries.groupby(["strategy", "case"]).size().reset_index(name="n")
        counts = counts.pivot_table(index="strategy", columns="case", values="n", fill_value=0).reindex(names)
        counts = counts[counts.sum().sort_values(ascending=False, kind="stable").index]
        _heat(by_case, counts.to_numpy(), names, figure=figure, unit=units)
        by_case.set_title(f"{units.capitalize()} by case")
        by_case.set_xlabel(f"cases ({counts.shape[1]}), most annotated first")
        by_case.set_xticks([])
        for by_position in others:
            edges = np.histogram_bin_edges(depth, bins=min(24, int(np.ptp(depth)) + 1))
            counted = [np.histogram(depth[queries["strategy"] == name], bins=edges)[0] for name in names]
            shares = np.stack([100 * n / n.sum() for n in counted])
            extent = (float(edges[0]), float(edges[-1]))
            _heat(by_position, shares, names, figure=figure, unit=f"% of {units}", extent=extent)
            by_position.set_title(f"{units.capitalize()} by position")
            where = "slice index" if unit == "slice" else f"middle of the {unit} along z"
            by_position.set_xlabel(f"{where} on the original grid")
        return figure


def as_svg(figure: Figure) -> bytes:
    """SVG with text as outlines, the same on every machine, and nothing that changes from run to run."""
    return _saved(figure, "svg", metadata={"Date": None, "Creator": None})


def as_png(figure: Figure, dpi: int = 200) -> bytes:
    """PNG at ``dpi`` dots per inch."""
    return _saved(figure, "png", dpi=dpi, metadata={"Software": None})


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(RC), warnings.catch_warnings():
        # of a script that the font has not, such as Chinese: boxes in the figure, while the page has the name
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def new_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure of so many inches; drawn on under `RC`."""
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.08))
    FigureCanvasAgg(figure)
    return figure


def _handle(strategy: str) -> Line2D:
    look = style(strategy)
    return Line2D([], [], label=label(strategy), **_line(look.color, look.marker, look.line))


def _line(color: str, marker: str, line: str) -> dict[str, Any]:
    return {
        "color": color,
        "linestyle": line,
        "linewidth": 1.8,
        "marker": marker,
        "markersize": 6,
        "markeredgecolor": "white",
        "markeredgewidth": 0.7,
    }


def _draw_panel(axes: Axes, panel: Panel, names: list[str]) -> None:
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    curves = panel.curves
    for name in names:
        own = curves[curves["strategy"] == name]
        if own.empty:
            continue
        look = style(name)
        n_seeds = own["seed"].nunique()
        by_round = own.groupby("round").agg(
            units=("n_annotated_units", "mean"), mean=("dice", "mean"), spread=("dice", "std")
        )
        if n_seeds > 1:
            for _, seed in own.groupby("seed"):
                x, y = seed["n_annotated_units"], seed["dice"]
                axes.plot(x, y, color=look.color, linewidth=0.7, alpha=0.45)
            low, high = by_round["mean"] - by_round["spread"], by_round["mean"] + by_round["spread"]
            axes.fill_between(by_round["units"], low, high, color=look.color, alpha=0.13, linewidth=0)
        line = _line(look.color, look.marker, look.line)
        axes.plot(by_round["units"], by_round["mean"], zorder=3, **line)
    _draw_ceiling(axes, curves[curves["strategy"] == CEILING])
    budgets = curves.loc[curves["strategy"] != CEILING].groupby("round")["n_annotated_units"].mean()
    own_ticks = 0 < len(budgets) <= 10
    if own_ticks:
        axes.set_xticks(budgets.to_numpy())
    axes.set_title(panel.title, pad=10)
    axes.set_xlabel(f"annotated {PLURALS[panel.unit]}{' (units)' * (panel.unit != 'unit')}")
    axes.set_ylabel("mean foreground Dice")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.margins(x=0.04, y=0.08)
    if panel.n_pool_units > 0 and len(budgets):
        scale = 100 / panel.n_pool_units
        share = axes.secondary_xaxis("top", functions=(_times(scale), _times(1 / scale)))
        share.set_xlabel(f"% of the pool ({panel.n_pool_units:,.0f} units)", fontsize=9)
        share.tick_params(labelsize=9)
        if own_ticks:
            shares = budgets.to_numpy() * scale
            digits = 1 if shares[0] < 10 else 0
            share.set_xticks(shares, [f"{value:.{digits}f}" for value in shares])


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor


def _draw_ceiling(axes: Axes, ceiling: pd.DataFrame) -> None:
    if ceiling.empty:
        return
    value = ceiling["dice"].mean()
    axes.axhline(value, color=style(CEILING).color, linestyle=style(CEILING).line, linewidth=1.3)
    n_seeds = len(ceiling)
    axes.annotate(
        f"all labels: {value:.3f} ({n_seeds} seed{'s' if n_seeds > 1 else ''})",
        xy=(0, value),
        xycoords=("axes fraction", "data"),
        xytext=(5, 4),
        textcoords="offset points",
        color="#3c4043",
        fontsize=9,
    )


def _heat(
    axes: Axes,
    values: np.ndarray[tuple[int, int], np.dtype[np.generic]],
    names: list[str],
    *,
    figure: Figure,
    unit: str,
    extent: tuple[float, float] | None = None,
) -> None:
    left, right = extent or (0.0, float(values.shape[1]))
    image = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap="Blues",
        vmin=0,
        extent=(left, right, len(names) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_yticks([index + 0.5 for index in range(len(names) - 1)], minor=True)
    axes.grid(which="minor", axis="y", color="white", linewidth=2)
    axes.tick_params(axis="y", which="both", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=14, label=unit)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(nbins=4, integer=True)
    bar.update_ticks()
