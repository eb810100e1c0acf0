"""What a study's rows show, in sentences, and no more than they show."""

from __future__ import annotations

from typing import Any

import pandas as pd

from albench.report.palette import oracle_aided
from albench.report.texts import NBSP, count_text, interval_text, p_text
from albench.results.layout import CEILING
from albench.results.tables import REFERENCE
from albench.stats.crossed import MIN_SEEDS


def findings(part: pd.DataFrame, n_pool_units: float, units: str = "slices") -> list[str]:
    """Say what the summary table's rows of one study show; the first sentence is the headline.

    The strategy named is picked after the fact: the sentence says from how many, and its test is the pair table's,
    corrected for all pairs and so for the picking.
    """
    if len(part) and (part["strategy"] == CEILING).all():
        return [f"Training on all labels of the pool reaches a mean Dice of {part['final_dice'].iloc[0]:.3f}."]
    curves = part[(part["strategy"] != CEILING) & part["final_dice"].notna()]
    practicable = curves[~curves["strategy"].map(oracle_aided).astype(bool)]
    areas = practicable["aubc"].dropna()
    if practicable.empty:
        return ["No strategy has reached the last round yet."]
    if areas.empty:
        reached = practicable.iloc[0]
        return [f"One round so far: mean Dice {reached['final_dice']:.3f} after {reached['final_units']:,} {units}."]
    best = practicable.loc[areas.index].iloc[int(areas.argmax())]
    picked = f", the best of {len(areas)} strategies, picked after the fact" if len(areas) > 1 else ""
    lines = [f"Largest area under the learning curve: {best['strategy']}, AUBC {best['aubc']:.3f}{picked}."]
    if best["diff_pairs"] > 0:
        lines.append(_against_reference(best, len(areas)))
    elif best["strategy"] == REFERENCE and len(areas) > 1:
        lines.append(f"No strategy's AUBC is above that of {REFERENCE}.")
    share = f" ({100 * best['final_units'] / n_pool_units:.0f} % of the pool)" if n_pool_units > 0 else ""
    last = f"After {best['final_units']:,} annotated {units}{share} its mean Dice is {best['final_dice']:.3f}"
    if 0 < best["ceiling_share"] <= 1:  # above, `albench.report.doubts` says what it means
        last += f", {100 * best['ceiling_share']:.1f} % of what training on all labels reaches"
    lines.append(f"{last}.")
    if curves["n_seeds"].max() == 1:
        lines.append("1 seed: how much training noise moves these numbers was not measured.")
    return lines


def _against_reference(best: pd.Series[Any], n_picked_from: int) -> str:
    """Difference of the named strategy to the reference, its test and the verdict."""
    difference = interval_text(best["diff"], best["diff_low"], best["diff_high"], sign=True)
    n = " and ".join(count_text(n, word) for word in ("seeds", "cases") if (n := best[f"diff_{word}"]))
    n = n.replace(NBSP, " ")
    text = f"AUBC against {REFERENCE} on the same {n}: {difference}"
    if best["verdict"] == "not tested":
        return f"{text}. Not tested: that takes {MIN_SEEDS} seeds and 2 cases, so nothing is said of a difference."
    text += f", two-sided p {p_text(best['p_two_sided'])}"
    if n_picked_from > 1:
        text += f", {p_text(best['p_two_sided_holm'])} corrected by Holm for all pairs and so for the picking"
    ending = {
        "better": f"{best['strategy']} is better than {REFERENCE}",
        "worse": f"{best['strategy']} is worse than {REFERENCE}",
        "no evidence": "no evidence of a difference",
    }
    return f"{text}: {ending[best['verdict']]}."
