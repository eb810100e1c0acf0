"""Every statistic of a report, as tables of unrounded numbers, from the result tables alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from albench.config import CostSettings
from albench.results.layout import CEILING
from albench.results.tables import METRICS, RUN_KEYS, STUDY_KEYS, mean_metric, rows_of
from albench.stats.budget import budget_table
from albench.stats.claims import MIN_DATASETS, Claim, joint_claims, study_claims
from albench.stats.costed import costed_areas
from albench.stats.curves import curve_scores
from albench.stats.efficiency import foreground_efficiency, study_start
from albench.stats.grid import DiceGrid, dice_grid
from albench.stats.intervals import mean_interval
from albench.stats.pairs import pair_tables, pairs_of
from albench.stats.penalty import penalty_matrix
from albench.stats.ranks import Ranks, rank_strategies

ALL = "all data sets"
_NO_FIT = {"gamma": math.nan, "gamma_error": math.nan, "gamma_points": 0, "gamma_reason": ""}
Study = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Statistics:
    """All tables; each has dataset and protocol, and rows in no order that means anything but `claims`.

    Attributes
    ----------
    scores
        One row a strategy: n_seeds; final_dice, final_nsd, final_hd95, each with _low and _high (95 % t interval over
        seeds); gamma, gamma_error, gamma_points, gamma_reason.
    budget, pairs
        Of `budget_table` and `pair_tables`.
    costed
        Of `costed_areas`.
    penalty
        strategy, reference, wins: share of budgets at which strategy beats reference.
    claims
        Fields of `Claim`, and verdict; where three data sets or more have a protocol, also for them together.
    ranks
        Over data sets.
    """

    scores: pd.DataFrame
    budget: pd.DataFrame
    pairs: pd.DataFrame
    costed: pd.DataFrame
    penalty: pd.DataFrame
    claims: pd.DataFrame
    ranks: Ranks


def compute_statistics(
    results: pd.DataFrame,
    runs: pd.DataFrame,
    oracle_aided: Callable[[str], bool],
    seconds: Mapping[Study, Mapping[str, float]] | None = None,
) -> Statistics:
    """Compute all statistics.

    Parameters
    ----------
    results, runs
        Rows of ``results.parquet`` and ``rounds.parquet``, of one study or several.
    oracle_aided
        Whether a strategy reads ground truth: such are described like the others, and excluded from claims and ranks.
    seconds
        What annotating takes, by data set and protocol, as `albench.config.CostSettings`; where a study is not among
        them, the usual.
    """
    curves, pairs = mean_metric(results, "dice"), pair_tables(results)
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in ("scores", "costed", "penalty")}
    grids: dict[Study, DiceGrid] = {}
    for key, of_study in results.groupby(STUDY_KEYS):
        study = (str(key[0]), str(key[1]))
        parts["scores"].append(_scores(study, rows_of(curves, study), of_study, rows_of(runs, study)))
        cost = (seconds or {}).get(study, CostSettings().model_dump())
        parts["costed"].append(_named(study, costed_areas(rows_of(curves, study), cost)))
        if (of_study["strategy"] != CEILING).any():
            grids[study] = dice_grid(of_study)
            parts["penalty"].append(_named(study, _penalty(grids[study])))
    scores = curve_scores(curves)
    ranked = scores[(scores["strategy"] != CEILING) & ~scores["strategy"].map(oracle_aided).astype(bool)]
    tables = {name: pd.concat(part, ignore_index=True) if part else pd.DataFrame() for name, part in parts.items()}
    claims = _claims(grids, pairs, oracle_aided)
    return Statistics(**tables, pairs=pairs, claims=claims, budget=budget_table(curves), ranks=rank_strategies(ranked))


def _claims(grids: Mapping[Study, DiceGrid], pairs: pd.DataFrame, oracle_aided: Callable[[str], bool]) -> pd.DataFrame:
    """Ask each study, and the data sets of each protocol together where they are enough."""
    asked: list[tuple[Study, list[Claim]]] = []
    protocols: dict[str, list[DiceGrid]] = {}
    for study, grid in grids.items():
        protocols.setdefault(study[1], []).append(grid)
        practicable = [name for name in grid.strategies if not oracle_aided(name)]
        asked.append((study, study_claims(grid, pairs_of(rows_of(pairs, study)), practicable)))
    for protocol, of_protocol in protocols.items():
        if len(of_protocol) >= MIN_DATASETS:
            practicable = [name for name in of_protocol[0].strategies if not oracle_aided(name)]
            asked.append(((ALL, protocol), joint_claims(of_protocol, practicable)))
    rows = [{**dict(zip(STUDY_KEYS, study, strict=True)), **claim.row()} for study, own in asked for claim in own]
    return pd.DataFrame(rows, columns=[*STUDY_KEYS, *(field.name for field in fields(Claim)), "verdict"])


def _named(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({**dict(zip(STUDY_KEYS, study, strict=True)), **table}) if len(table) else pd.DataFrame()


def _scores(study: Study, dice: pd.DataFrame, results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Take the final means of every metric, and foreground efficiency."""
    curves = dice.reset_index(drop=True)
    for metric in METRICS:
        if metric != "dice":
            curves[metric] = mean_metric(results, metric)[metric]
    curves["share"] = curves["n_annotated_fg_voxels"] / _pool_foreground(curves, runs)
    chains = curves[curves["strategy"] != CEILING]
    ceiling = float(curves.loc[curves["strategy"] == CEILING, "dice"].mean())
    start = study_start(chains["share"].to_numpy(), chains["dice"].to_numpy())
    rows = []
    for strategy, own in curves.groupby("strategy"):
        # seeds that have the last round of the study
        last = chains["round"].max() if strategy != CEILING else own["round"].max()
        final = own[own["round"] == last]
        row: dict[str, Any] = {"strategy": strategy, "n_seeds": len(final), **_NO_FIT}
        for metric in METRICS:
            interval = mean_interval(final[metric], 0.0, METRICS[metric])
            name = f"final_{metric}"
            row |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
        if strategy != CEILING:
            fit = foreground_efficiency(own["share"].to_numpy(), own["dice"].to_numpy(), start, ceiling)
            row |= {"gamma": fit.gamma, "gamma_error": fit.standard_error}
            row |= {"gamma_points": fit.n_points, "gamma_reason": fit.reason}
        rows.append(row)
    return _named(study, pd.DataFrame(rows))


def _pool_foreground(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """Foreground voxels of each row's pool: as the run says, else what the seed's ceiling annotated."""
    known = curves[RUN_KEYS].merge(runs[[*RUN_KEYS, "n_pool_fg_voxels"]], on=RUN_KEYS, how="left")["n_pool_fg_voxels"]
    full = curves[curves["strategy"] == CEILING].groupby("seed")["n_annotated_fg_voxels"].max()
    total = known.set_axis(curves.index).fillna(curves["seed"].map(full))
    return total.where(total > 0)


def _penalty(grid: DiceGrid) -> pd.DataFrame:
    wins = penalty_matrix(grid)
    names = grid.strategies
    rows = [(one, other, wins[i, j]) for i, one in enumerate(names) for j, other in enumerate(names) if i != j]
    return pd.DataFrame(rows, columns=["strategy", "reference", "wins"])
