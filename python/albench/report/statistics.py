"""The statistics of a report: tables for papers and the section of the page, from the result tables alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from albench.machine.spreadsheet import csv_bytes
from albench.report.cells import P_HOLM, Cells, markdown, study_title
from albench.report.figures import as_svg
from albench.report.latex import latex
from albench.report.palette import label, oracle_aided, order
from albench.report.ranks import ranks_figure
from albench.report.texts import NBSP, NONE, count_text, interval_text, number_text, p_text
from albench.results.tables import REFERENCE, STUDY_KEYS, rows_of
from albench.stats.budget import TARGETS
from albench.stats.crossed import MIN_SEEDS
from albench.stats.grid import Endpoint
from albench.stats.pairs import PRIMARY, Pair, pairs_of
from albench.stats.ranks import Ranks
from albench.stats.tables import Statistics, compute_statistics

RANKS_FIGURE = "ranks.svg"

MEASURES = {
    "n_annotated_units": "units",
    "n_annotated_slices": "slices",
    "n_annotated_voxels": "voxels",
    "n_annotated_fg_voxels": "foreground voxels",
    "n_annotated_border_voxels": "border voxels",
    "annotation_s": "hours of annotation",
}
_ENDPOINTS: dict[Endpoint, str] = {"aubc": "AUBC", "final": "final Dice"}


@dataclass(frozen=True)
class StatisticsTable:
    """A table as people read it.

    Attributes
    ----------
    file
        Stem of the files it is written to; parts with the same stem go into one file.
    note
        What was tested, and how to read it.
    folded
        Shown closed on the page.
    """

    file: str
    title: str
    cells: Cells
    note: str
    folded: bool = False


@dataclass(frozen=True)
class StatisticsSection:
    """What the page shows: tables, and the critical-difference diagram or why there is none."""

    tables: list[StatisticsTable]
    ranks_svg: bytes | None
    ranks_note: str

    def files(self, statistics: Statistics) -> dict[str, bytes]:
        """Content of every file beside the page, by name: CSV of unrounded numbers; Markdown and LaTeX as shown."""
        files: dict[str, bytes] = {}
        for name in ("scores", "budget", "costed", "pairs", "penalty", "claims"):
            files[f"{name}.csv"] = csv_bytes(getattr(statistics, name))
            shown = [table for table in self.tables if table.file == name]
            if not shown:
                continue
            parts = [f"{markdown(table.title, table.cells)}\n{table.note}\n" for table in shown]
            files[f"{name}.md"] = "\n".join(parts).encode()
            files[f"{name}.tex"] = "\n".join(
                latex(f"{table.title}. {table.note}", table.cells) for table in shown
            ).encode()
        files["ranks.csv"] = csv_bytes(statistics.ranks.ranks.rename("mean_rank").reset_index())
        if self.ranks_svg is not None:
            files[RANKS_FIGURE] = self.ranks_svg
        return files


def build_statistics(
    results: pd.DataFrame, runs: pd.DataFrame, seconds: Mapping[tuple[str, str], Mapping[str, float]] | None = None
) -> tuple[StatisticsSection, Statistics]:
    """Compute the statistics and lay them out.

    Parameters
    ----------
    results, runs
        Rows of ``results.parquet`` and ``rounds.parquet``, of one study or several.
    seconds
        As of `compute_statistics`.
    """
    statistics = compute_statistics(results, runs, oracle_aided, seconds)
    tables = _claims(statistics.claims)
    for key, scores in statistics.scores.groupby(STUDY_KEYS):
        study = (str(key[0]), str(key[1]))
        title = study_title(*study)
        strategies = order(list(scores["strategy"]))
        tables += _scores(title, scores.set_index("strategy").loc[strategies])
        tables += _budgets(title, rows_of(statistics.budget, study), strategies)
        tables += _costed(title, rows_of(statistics.costed, study), strategies)
        tables += _pairs(title, rows_of(statistics.pairs, study), strategies)
        tables += _penalty(title, rows_of(statistics.penalty, study), strategies)
    svg, note = _ranks(statistics.ranks)
    return StatisticsSection(tables, svg, note), statistics


def _claims(claims: pd.DataFrame) -> list[StatisticsTable]:
    if claims.empty:
        return []
    rows = [
        [
            str(row["claim"]),
            str(row["verdict"]),
            interval_text(row["estimate"], row["low"], row["high"], sign=True),
            p_text(row["p_two_sided"]),
            p_text(row["p_two_sided_holm"]),
            ", ".join(count_text(row[f"n_{word}"], word) for word in ("seeds", "cases", "strategies")),
            str(row["test"]),
            study_title(row["dataset"], row["protocol"]),
        ]
        for _, row in claims.iterrows()
    ]
    header = ["claim", "verdict", "difference in AUBC [95 %]", "p, two-sided", P_HOLM, "n", "test", "data"]
    note = (
        "Fixed beforehand, about AUBC; strategies that read ground truth are left out. A claim is supported where its "
        "difference is above 0 and the corrected p below 0.05, contradicted where the difference is below 0; with "
        f"fewer than {MIN_SEEDS} seeds nothing is said. 'Most' and 'every' are counted in the pairs of strategies, and "
        "show the pair that decides as it stands there, corrected over all pairs. Averages have a crossed test of "
        "their own, corrected over the averages of the same data."
    )
    return [StatisticsTable("claims", "Claims of the paper", Cells(header, rows), note)]


def _scores(title: str, scores: pd.DataFrame) -> list[StatisticsTable]:
    header = ["strategy", "seeds", "Dice", "NSD", "HD95 mm", "γ", "points"]
    rows = []
    for strategy, row in scores.iterrows():
        metrics = [
            interval_text(
                row[f"final_{metric}"], row[f"final_{metric}_low"], row[f"final_{metric}_high"], digits=digits
            )
            for metric, digits in (("dice", 3), ("nsd", 3), ("hd95", 2))
        ]
        fit = NONE if math.isnan(row["gamma"]) else f"{row['gamma']:.3g} ± {row['gamma_error']:.2g}"
        points = str(row["gamma_points"]) if row["gamma_points"] else NONE
        rows.append([label(str(strategy)), str(row["n_seeds"]), *metrics, fit, points])
    reasons = sorted(set(scores["gamma_reason"].dropna()) - {""})
    note = (
        "Last round; 95 % intervals: Student's t over seeds. NSD and HD95 are empty where distances in mm mean nothing "
        "or were not measured. γ: nnActive's foreground efficiency ± its standard error (points of a chain are not "
        "independent, which that error does not know)."
    )
    note += f" No γ: {'; '.join(reasons)}." if reasons else ""
    return [StatisticsTable("scores", f"Metrics and foreground efficiency, {title}", Cells(header, rows), note)]


def _budgets(title: str, budget: pd.DataFrame, strategies: Sequence[str]) -> list[StatisticsTable]:
    tables = []
    measures = [name for name in MEASURES if len(budget) and (budget["measure"] == name).any()]
    for target in TARGETS if len(budget) and budget["n_seeds"].any() else ():
        rows = []
        for strategy in strategies:
            of_strategy = budget[(budget["strategy"] == strategy) & (budget["target"] == target)]
            own = {row["measure"]: row for _, row in of_strategy.iterrows()}
            if own:
                first = own[measures[0]]
                reached = f"{first['n_reached']} of {first['n_seeds']}"
                rows.append([label(strategy), reached, *(_budget_text(own[name], name) for name in measures)])
        header = ["strategy", "seeds that reach it", *(MEASURES[name] for name in measures)]
        note = (
            f"Mean over seeds of the smallest budget at which the curve, linear between rounds, has {target:.0%} of "
            f"its seed's ceiling; in brackets what is saved against {REFERENCE}, over the seeds in which both do. "
            "≤: some seed has it after its first round, so that it needs that much or less. Hours by the cost model of "
            "the configuration, an order of magnitude."
        )
        name = f"Budget to {target:.0%} of the ceiling, {title}".replace("%", f"{NBSP}%")
        tables.append(StatisticsTable("budget", name, Cells(header, rows), note.replace("0%", f"0{NBSP}%")))
    return tables


def _budget_text(row: pd.Series[Any], measure: str) -> str:
    if row["n_reached"] < row["n_seeds"]:
        text = "not reached" if row["n_reached"] == 0 else "not by all"
    else:
        value = row["budget"] / 3600 if measure == "annotation_s" else row["budget"]
        text = ("≤ " if row["n_at_start"] else "") + (f"{value:.1f}" if measure == "annotation_s" else f"{value:,.0f}")
    no_news = row["n_at_start"] and row["saved"] == 0  # both have it at the start that they share
    return text if no_news or math.isnan(row["saved"]) else f"{text} [{100 * row['saved']:+.0f}{NBSP}%]"


def _costed(title: str, costed: pd.DataFrame, strategies: Sequence[str]) -> list[StatisticsTable]:
    rows = [
        [
            label(row["strategy"]),
            number_text(row["slices"], 4, sign=True),
            interval_text(row["seconds"], row["seconds_low"], row["seconds_high"], sign=True, digits=4),
            str(row["n_seeds"]),
        ]
        for name in strategies
        for _, row in (costed[costed["strategy"] == name] if len(costed) else costed).iterrows()
    ]
    header = ["strategy", "at the same number", "at the same seconds [least, most]", "seeds"]
    note = (
        f"Area of the curve less {REFERENCE}'s, over the costs that both curves of a seed have, means over seeds. "
        "Seconds by the cost model of the configuration; in brackets the least and the most with each of its three "
        "coefficients a third, once and three times as large. A description: nothing is tested."
    )
    return [StatisticsTable("costed", f"By what annotating costs, {title}", Cells(header, rows), note)] if rows else []


def _pairs(title: str, table: pd.DataFrame, strategies: Sequence[str]) -> list[StatisticsTable]:
    tables = []
    for endpoint, words in _ENDPOINTS.items():
        pairs = pairs_of(table, endpoint)
        rows = []
        for pair, strategy in [(pairs.get((name, REFERENCE)), name) for name in strategies]:
            if pair is not None:
                n = ", ".join(count_text(getattr(pair, f"n_{word}"), word) for word in ("seeds", "cases", "pairs"))
                difference = interval_text(pair.mean, pair.low, pair.high, sign=True)
                verdict = [pair.verdict] * (endpoint == PRIMARY)
                found = number_text(pair.detectable)
                rows.append([label(strategy), difference, p_text(pair.p), p_text(pair.p_holm), *verdict, found, n])
        note = (
            "Paired on seed, case, round and class. p and interval: for other seeds and other cases (quasi-F of two "
            f"crossed random factors), none with fewer than {MIN_SEEDS} seeds; the interval is that of one comparison "
            f"alone. Holm: over the {len(pairs) // 2} pairs of strategies. Detectable: the difference that so many "
            "seeds find in four of five studies, one comparison at two-sided 5 %, by this pair's spread over seeds. "
        )
        note += "All pairs: pairs.csv." if endpoint == PRIMARY else "Described beside AUBC, which verdicts rest on."
        if rows:
            header = [
                "strategy",
                "difference [95 %]",
                "p, two-sided",
                P_HOLM,
                *["verdict"] * (endpoint == PRIMARY),
                "detectable",
                "n",
            ]
            name = f"{words} against {REFERENCE}, {title}"
            tables.append(StatisticsTable("pairs", name, Cells(header, rows), note, folded=endpoint != PRIMARY))
    return [*tables, *_all_pairs(title, table, strategies)]


def _all_pairs(title: str, table: pd.DataFrame, strategies: Sequence[str]) -> list[StatisticsTable]:
    pairs = pairs_of(table)
    names = [name for name in strategies if any(name in pair for pair in pairs)]
    rows = [[label(one), *(_pair_text(pairs.get((one, other))) for other in names)] for one in names]
    note = "Row minus column, and p, two-sided, corrected by Holm over all pairs."
    header = ["", *map(label, names)]
    tables = [StatisticsTable("pairs", f"AUBC, all pairs, {title}", Cells(header, rows), note, folded=True)]
    return tables if pairs else []


def _pair_text(pair: Pair | None) -> str:
    return (
        NONE if pair is None or not pair.n_pairs else f"{number_text(pair.mean, sign=True)} [p {p_text(pair.p_holm)}]"
    )


def _penalty(title: str, penalty: pd.DataFrame, strategies: Sequence[str]) -> list[StatisticsTable]:
    if penalty.empty or penalty["wins"].isna().all():
        return []
    wins = {(row["strategy"], row["reference"]): row["wins"] for _, row in penalty.iterrows()}
    names = [name for name in strategies if any(name in pair for pair in wins)]
    rows = [[label(a), *(number_text(wins.get((a, b), math.nan), 2) for b in names)] for a in names]
    beaten = [sum(wins[(a, b)] for a in names if a != b) / (len(names) - 1) for b in names]
    rows.append(["mean: how often beaten", *(number_text(value, 2) for value in beaten)])
    note = (
        "Share of the budgets after the first at which the row's strategy beats the column's: two-sided paired t-test "
        "over seeds, p below 0.05, not corrected: a description, which no verdict rests on. Lower in the last row is "
        "better."
    )
    header = ["beats", *map(label, names)]
    return [StatisticsTable("penalty", f"Pairwise penalty matrix, {title}", Cells(header, rows), note, folded=True)]


def _ranks(ranks: Ranks) -> tuple[bytes | None, str]:
    """Critical-difference diagram, or why there is none."""
    if ranks.note:
        return None, f"No critical-difference diagram: {ranks.note}."
    n = f"{ranks.n_datasets} data sets, {len(ranks.ranks)} strategies"
    if math.isnan(ranks.critical_difference):
        return (
            None,
            f"No critical-difference diagram: Friedman's test does not reject equal ranks (p {ranks.p:.2g}, {n}).",
        )
    note = (
        f"Mean ranks of AUBC over {n}; a bar joins strategies that Nemenyi's test does not tell apart (critical "
        f"difference {ranks.critical_difference:.2f} at 5 %). Friedman's test: p {p_text(ranks.p)}."
    )
    return as_svg(ranks_figure(ranks)), note
