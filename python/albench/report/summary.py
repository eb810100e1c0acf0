"""The tables of a report, as data: numbers unrounded, one row per data set, protocol and strategy."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from albench.report.palette import order
from albench.results.layout import CEILING
from albench.results.tables import OVERHEAD_STAGES, REFERENCE, STUDY_KEYS, mean_dice, rows_of
from albench.stats import curve_scores, mean_interval, share_of_ceiling
from albench.stats.pairs import Pair, pair_tables, pairs_of

DICE_AT = "dice@"
STRATEGY_KEYS = [*STUDY_KEYS, "strategy"]


def summary_table(results: pd.DataFrame) -> pd.DataFrame:
    """Learning curves and their scores.

    Parameters
    ----------
    results
        Rows of ``results.parquet``.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, n_seeds; ``dice@N``, the mean Dice after N annotated units (mean
        over seeds), for each N of the table, NaN where the row's data set has no such budget;
        final_units, final_dice, final_low, final_high; aubc, aubc_low, aubc_high (95 % t interval over
        seeds, NaN with one seed); ceiling_share; and of the AUBC against random, as the pair table has it,
        diff, diff_low, diff_high, p_two_sided, p_two_sided_holm, verdict, diff_seeds, diff_cases, diff_pairs,
        diff_unpaired.
    """
    curves = mean_dice(results)
    scores = curve_scores(curves)
    all_pairs = pair_tables(results)
    rows: list[dict[Hashable, object]] = []
    for study, of_study in scores.groupby(STUDY_KEYS):
        pairs = pairs_of(rows_of(all_pairs, study))
        ceiling = of_study[of_study["strategy"] == CEILING].set_index("seed")["final_dice"]
        for strategy in order(list(of_study["strategy"])):
            own = of_study[of_study["strategy"] == strategy].set_index("seed")
            final = mean_interval(own["final_dice"], 0.0, 1.0)
            area = mean_interval(own["aubc"], 0.0, 1.0)
            rows.append(
                {
                    **dict(zip(STUDY_KEYS, study, strict=True)),
                    "strategy": strategy,
                    "n_seeds": len(own),
                    "final_dice": final.mean,
                    "final_low": final.low,
                    "final_high": final.high,
                    "aubc": area.mean,
                    "aubc_low": area.low,
                    "aubc_high": area.high,
                    "ceiling_share": share_of_ceiling(own["final_dice"], ceiling),
                    **_against(pairs.get((strategy, REFERENCE))),
                }
            )
    measures = ["final_dice", "final_low", "final_high", "aubc", "aubc_low", "aubc_high", "ceiling_share"]
    measures += ["diff", "diff_low", "diff_high", "p_two_sided", "p_two_sided_holm", "verdict"]
    measures += ["diff_seeds", "diff_cases", "diff_pairs", "diff_unpaired"]
    table = pd.DataFrame(rows, columns=[*STRATEGY_KEYS, "n_seeds", *measures])
    table = table.merge(_at_budgets(curves), on=STRATEGY_KEYS, how="left")
    budgets = [column for column in table.columns if column.startswith(DICE_AT)]
    return table[[*STRATEGY_KEYS, "n_seeds", *budgets, "final_units", *measures]]


def _against(pair: Pair | None) -> dict[Hashable, object]:
    """Columns of the difference to the reference; none for the reference and the ceiling."""
    if pair is None:
        return {}
    return {
        "diff": pair.mean,
        "diff_low": pair.low,
        "diff_high": pair.high,
        "p_two_sided": pair.p,
        "p_two_sided_holm": pair.p_holm,
        "verdict": pair.verdict,
        "diff_seeds": pair.n_seeds,
        "diff_cases": pair.n_cases,
        "diff_pairs": pair.n_pairs,
        "diff_unpaired": pair.n_unpaired,
    }


def timing_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Where the time of each strategy went.

    A round that strategies share was spent once but counts for each of them. Scores of the first query that
    another strategy had computed already count for that one alone.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, n_seeds, n_rounds (trainings, over all seeds), seconds per seed in
        train_s, each stage and overhead_s, overhead_share (overhead over training), peak_rss_mib (the
        largest), device.
    """
    rows: list[dict[Hashable, object]] = []
    seconds = ["train_s", *OVERHEAD_STAGES, "overhead_s"]
    for study, of_study in runs.groupby(STUDY_KEYS):
        for strategy in order(list(of_study["strategy"])):
            own = of_study[of_study["strategy"] == strategy]
            n_seeds = own["seed"].nunique()
            total = own[seconds].sum()
            share = total["overhead_s"] / total["train_s"] if total["train_s"] > 0 else np.nan
            rows.append(
                {
                    **dict(zip(STUDY_KEYS, study, strict=True)),
                    "strategy": strategy,
                    "n_seeds": n_seeds,
                    "n_rounds": len(own),
                    **(total / n_seeds).to_dict(),
                    "overhead_share": share,
                    "peak_rss_mib": own["peak_rss_mib"].max(),
                    "device": ", ".join(sorted(set(own["device"]))),
                }
            )
    return pd.DataFrame(rows)


def budgets_of(table: pd.DataFrame) -> list[str]:
    """Budget columns that hold a number for some row of a (part of a) summary table, by budget."""
    return [column for column in table.columns if column.startswith(DICE_AT) and table[column].notna().any()]


def _at_budgets(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over seeds by annotated units (one column each), and the last of them.

    A round's budget is the mean over seeds: pools that differ by seed may end at different sizes.
    """
    by_round = (
        curves.groupby([*STRATEGY_KEYS, "round"])
        .agg(units=("n_annotated_units", "mean"), dice=("dice", "mean"))
        .reset_index()
    )
    by_round["units"] = by_round["units"].round().astype("int64")
    final = by_round.groupby(STRATEGY_KEYS)["units"].max().rename("final_units").reset_index()
    of_curves = by_round[by_round["strategy"] != CEILING]
    wide = of_curves.pivot_table(index=STRATEGY_KEYS, columns="units", values="dice")
    wide.columns = pd.Index([f"{DICE_AT}{units}" for units in wide.columns])
    return final.merge(wide.reset_index(), on=STRATEGY_KEYS, how="left")
