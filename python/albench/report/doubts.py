"""What makes a study's numbers mean little, in sentences: it learned nothing, or its ceiling is none."""

from __future__ import annotations

import pandas as pd

from albench.report.palette import order
from albench.results.layout import CEILING
from albench.results.tables import mean_dice

_DIGITS = 3  # as tables show them
_CLOSE = 0.02
"""Share of the ceiling's Dice by which a curve that has reached it may end above it."""


def doubts(results: pd.DataFrame) -> list[str]:
    """Warn of a ceiling below a strategy, and of classes that were not learned.

    Parameters
    ----------
    results
        Rows of ``results.parquet`` of one data set under one protocol.

    Returns
    -------
    list of str
        A sentence each; none for a study in order.
    """
    last = results["round"] == results.groupby(["strategy", "seed"])["round"].transform("max")
    ends = results[last & (results["label"] > 0)]
    dice = mean_dice(ends).pivot_table(index="seed", columns="strategy", values="dice")
    return [*_low_ceiling(dice), *_unlearned(ends)]


def trusted_geometry(n_cases: int | None) -> list[str]:
    """Say that labels were laid over images against what their headers say; nothing where none were."""
    if not n_cases:
        return []
    cases = "1 case says" if n_cases == 1 else f"{n_cases} cases say"
    return [
        f"The header of a label or channel of {cases} another position, orientation or spacing than the image, which "
        "was taken for right (--trust-image-geometry): distances in mm are by the image's spacing."
    ]


def _low_ceiling(dice: pd.DataFrame) -> list[str]:
    """Compare on the seeds that strategy and ceiling share."""
    if CEILING not in dice:
        return []
    above, largest = [], 0.0
    for name in order(list(dice.columns.drop(CEILING))):
        own, ceiling = dice[[name, CEILING]].dropna().mean().round(_DIGITS)
        if own > ceiling:
            above.append(f"{name} ({own:.3f})")
            largest = max(largest, own / ceiling - 1 if ceiling else float("inf"))
    if not above:
        return []
    line = f"Training on all labels ends at a mean Dice of {dice[CEILING].mean():.3f}, below {', '.join(above)}"
    if largest < _CLOSE:
        return [f"{line}: a strategy has reached it, and shares above 100 % are noise or the ceiling's short training."]
    return [
        f"{line}: it is no ceiling here, and shares of it mean nothing. Its training is too short "
        "(training.full_iterations), or nobody has learned the task."
    ]


def _unlearned(ends: pd.DataFrame) -> list[str]:
    """Classes that the ceiling, or without one every strategy, does not find in any case."""
    has_ceiling = bool((ends["strategy"] == CEILING).any())
    judged = ends[ends["strategy"] == CEILING] if has_ceiling else ends
    best = judged.groupby(["label", "label_name"])["dice"].max().reset_index()
    missed = list(best.loc[best["dice"].round(_DIGITS) == 0, "label_name"])
    if not missed:
        return []
    who = "training on all labels" if has_ceiling else "any strategy's last round"
    return [
        f"Dice is 0 in every test case for {', '.join(missed)} after {who}: it was not learned, so differences between "
        "strategies say nothing about it. Train longer (training.first_iterations, training.round_iterations), or look "
        "at its labels."
    ]
