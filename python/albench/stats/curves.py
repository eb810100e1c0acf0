"""Scores of one learning curve. One that lacks a round has no area: a shorter one's compares with nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from albench.results.layout import CEILING
from albench.results.tables import STUDY_KEYS


def aubc(dice: npt.ArrayLike) -> float:
    """Area under a budget curve: trapezoid at equal spacing, normalised: a constant gives itself.

    Parameters
    ----------
    dice
        Mean Dice of the rounds in order, shape (rounds,). Fewer than two, or a NaN among them, give NaN.
    """
    y = np.asarray(dice, dtype=np.float64)
    if y.ndim != 1:
        raise ValueError(f"dice: expected shape (rounds,), got {y.shape}")
    if y.size < 2:
        return float("nan")
    return float((y[0] / 2 + y[1:-1].sum() + y[-1] / 2) / (y.size - 1))


def curve_scores(curves: pd.DataFrame) -> pd.DataFrame:
    """AUBC and final Dice of every strategy and seed.

    Parameters
    ----------
    curves
        Output of :func:`albench.results.tables.mean_dice`.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, seed, aubc, final_dice. A seed that lacks a round which others
        of its data set and protocol have (a study still running) has NaN: the area of a shorter
        curve compares with nothing. The ceiling has a final Dice and no area.
    """
    rows = []
    for study, of_study in curves.groupby(STUDY_KEYS):
        rounds = np.sort(of_study.loc[of_study["strategy"] != CEILING, "round"].unique())
        for (strategy, seed), curve in of_study.groupby(["strategy", "seed"]):
            if strategy == CEILING:
                area, final = float("nan"), float(curve.sort_values("round")["dice"].iloc[-1])
            else:
                y = curve.set_index("round")["dice"].reindex(rounds).to_numpy()
                area, final = aubc(y), float(y[-1])
            rows.append((*study, strategy, seed, area, final))
    return pd.DataFrame(rows, columns=[*STUDY_KEYS, "strategy", "seed", "aubc", "final_dice"])


def share_of_ceiling(final: pd.Series, ceiling: pd.Series) -> float:
    """Mean final Dice as a share of the ceiling's, over the seeds that have both.

    Parameters
    ----------
    final, ceiling
        Final Dice by seed (the index).
    """
    both = pd.concat([final.rename("final"), ceiling.rename("ceiling")], axis=1, join="inner").dropna()
    if both.empty or both["ceiling"].mean() == 0:
        return float("nan")
    return float(both["final"].mean() / both["ceiling"].mean())
