"""Budget that a curve needs to reach a share of the ceiling, and how much of random's it saves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from albench.results.layout import CEILING
from albench.results.tables import ANNOTATED, COSTS, REFERENCE, STUDY_KEYS

TARGETS = (0.90, 0.95)
MEASURES = [*ANNOTATED, *COSTS]
"""What a budget can be counted in."""


def budget_to_reach(budget: npt.ArrayLike, dice: npt.ArrayLike, target: float) -> float:
    """Smallest budget at which a curve, linear between its rounds, has reached `target`.

    Parameters
    ----------
    budget, dice
        Ascending budgets and the mean Dice there, shape (rounds,).

    Returns
    -------
    float
        NaN where it is not reached. The first budget where the curve starts above the target: what fewer labels would
        have reached was not tried.
    """
    x, y = np.asarray(budget, dtype=np.float64), np.asarray(dice, dtype=np.float64)
    reached = np.flatnonzero(y >= target)
    if not reached.size or np.isnan(x).any() or np.isnan(target):
        return math.nan
    after = int(reached[0])
    if after == 0:
        return float(x[0])
    before = after - 1
    if np.isnan(y[before]):
        return math.nan
    return float(x[before] + (target - y[before]) / (y[after] - y[before]) * (x[after] - x[before]))


def budget_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Budgets to 90 and 95 % of each seed's ceiling, and what is saved against random.

    A seed whose own ceiling was not trained takes the mean of the others'.

    Parameters
    ----------
    curves
        Output of :func:`albench.results.tables.mean_dice`.

    Returns
    -------
    DataFrame
        One row per data set, protocol, strategy, target and measure: n_seeds with a ceiling to compare with,
        n_reached, n_at_start (of these, seeds whose first round already reaches it: an upper bound), budget (mean over
        seeds, NaN unless all reach it), saved (mean over seeds of 1 - budget / random's, over the n_saved seeds in
        which both reach it).
    """
    rows: list[dict[str, Any]] = []
    for study, of_study in curves.groupby(STUDY_KEYS):
        ceilings = of_study[of_study["strategy"] == CEILING].groupby("seed")["dice"].last()
        of_curves = of_study[of_study["strategy"] != CEILING].sort_values("round")
        for target in TARGETS:
            for measure in [name for name in MEASURES if name in of_curves and of_curves[name].notna().any()]:
                needed = _needed(of_curves, ceilings, target, measure)
                for strategy, own in needed.items():
                    key = dict(zip(STUDY_KEYS, study, strict=True))
                    row = {**key, "strategy": strategy, "target": target, "measure": measure}
                    rows.append(row | _summary(own, needed.get(REFERENCE), strategy == REFERENCE))
    columns = [*STUDY_KEYS, "strategy", "target", "measure", "n_seeds", "n_reached", "n_at_start", "budget", "saved"]
    return pd.DataFrame(rows, columns=[*columns, "n_saved"])


def _needed(curves: pd.DataFrame, ceilings: pd.Series, target: float, measure: str) -> dict[str, pd.DataFrame]:
    """Budget needed by strategy, one row a seed: needed, and whether it is the first round's."""
    budgets: dict[str, pd.DataFrame] = {}
    for strategy, of_strategy in curves.groupby("strategy"):
        by_seed = {}
        for seed, curve in of_strategy.groupby("seed"):
            ceiling = float(ceilings.get(seed, ceilings.mean())) if len(ceilings) else math.nan
            if not math.isnan(ceiling):
                needed = budget_to_reach(curve[measure], curve["dice"], target * ceiling)
                by_seed[seed] = (needed, needed == curve[measure].iloc[0])
        budgets[str(strategy)] = pd.DataFrame.from_dict(by_seed, orient="index", columns=["needed", "at_start"])
    return budgets


def _summary(own: pd.DataFrame, reference: pd.DataFrame | None, is_reference: bool) -> dict[str, Any]:
    needed = own["needed"].astype("float64")
    n_reached = int(needed.notna().sum())
    saved = pd.Series(dtype="float64")
    if reference is not None and not is_reference:
        saved = (1 - needed / reference["needed"].astype("float64")).dropna()
    return {
        "n_seeds": len(own),
        "n_reached": n_reached,
        "n_at_start": int(own["at_start"].sum()),
        "budget": float(needed.mean()) if len(own) and n_reached == len(own) else math.nan,
        "saved": float(saved.mean()),
        "n_saved": len(saved),
    }
