"""Data of the interactive curves: what `report.js` draws and says of each point."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from albench.report.figures import Panel
from albench.report.inputs import PLURALS
from albench.report.palette import label, order, style, swatch_path
from albench.results.layout import CEILING

_BUDGETS = {
    "n_annotated_units": "units",
    "n_annotated_voxels": "voxels",
    "n_annotated_fg_voxels": "foreground voxels",
    "annotation_s": "seconds by the cost model",
}
_PREFIXES = ("n_annotated_", "annotation_")
_DASHES = {"-": "", "--": "7 4", "-.": "7 3 1.5 3", ":": "1.5 3"}
_DIGITS = 5


def budget_columns(curves: pd.DataFrame) -> dict[str, str]:
    """Columns of a table of curves that count budget, each with its name for readers.

    Known ones first; others are those whose names start with ``n_annotated_`` or ``annotation_``. Left out are columns
    with a gap, and those that say the same as an earlier one, as slices do where units are slices.
    """
    others = [name for name in curves.columns if name.startswith(_PREFIXES) and name not in _BUDGETS]
    names = _BUDGETS | {name: name.removeprefix("n_").replace("_", " ").removeprefix("annotated ") for name in others}
    budgets: dict[str, str] = {}
    for column, name in names.items():
        if column not in curves.columns or curves[column].isna().any():
            continue
        if not any((curves[column] == curves[earlier]).all() for earlier in budgets):
            budgets[column] = name
    return budgets


def chart_data(panel: Panel) -> dict[str, Any]:
    """Return one plot as JSON values: axes to choose from, and per strategy the points of mean and of every seed.

    Points that have no number (an unfinished round) are left out. ``sd`` is None with one seed.
    """
    columns = budget_columns(panel.curves)
    curves = panel.curves.dropna(subset=["dice"])
    units = PLURALS[panel.unit]
    names = order([name for name in curves["strategy"] if name != CEILING])
    ceiling = curves.loc[curves["strategy"] == CEILING, "dice"]
    return {
        "units": units,
        "pool": _number(panel.n_pool_units, 1),
        "axes": [_axis(key, units if key == "n_annotated_units" else name) for key, name in columns.items()],
        "strategies": [_strategy(name, curves[curves["strategy"] == name], list(columns)) for name in names],
        "ceiling": None
        if ceiling.empty
        else {"dice": _number(ceiling.mean()), "sd": _number(ceiling.std()), "n": len(ceiling)},
    }


def _axis(key: str, name: str) -> dict[str, str]:
    """Name of an axis among the choices, and below the plot."""
    title = f"annotation in {name}" if key.startswith("annotation_") else f"annotated {name}"
    return {"key": key, "label": name, "title": title}


def _strategy(name: str, own: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    look = style(name)
    points = []
    for round_number, cell in own.groupby("round"):
        points.append(
            {
                "round": int(str(round_number)),
                "x": [_number(cell[column].mean(), 1) for column in columns],
                "dice": _number(cell["dice"].mean()),
                "sd": _number(cell["dice"].std()),
                "low": _number(cell["dice"].min()),
                "high": _number(cell["dice"].max()),
                "n": len(cell),
            }
        )
    seeds = [
        [
            {"x": [_number(row[column], 1) for column in columns], "dice": _number(row["dice"])}
            for _, row in chain.sort_values("round").iterrows()
        ]
        for _, chain in own.groupby("seed")
    ]
    return {
        "name": name,
        "label": label(name),
        "color": look.color,
        "dash": _DASHES[look.line],
        "marker": swatch_path(name),
        "points": points,
        "seeds": seeds,
    }


def _number(value: float, digits: int = _DIGITS) -> float | None:
    """Round for the page; JSON has no NaN."""
    return None if math.isnan(value) else round(float(value), digits)
