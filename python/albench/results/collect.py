"""From the files that rounds left to the two tables of their folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from albench.errors import InputError
from albench.results.layout import RoundFolder, RunFolder, stage_record, train_stages
from albench.results.longer import is_of_study
from albench.results.query import Query
from albench.results.reading import read_rows
from albench.results.settings import Settings, StudySettings
from albench.results.stages import whole_stage
from albench.results.tables import ANNOTATED, COSTS, renamed, write_table


def write_tables(out: Path) -> list[str]:
    """Collect all finished rounds below `out` into ``results.parquet`` and ``rounds.parquet``.

    Returns
    -------
    list of str
        Rounds that were finished once and are left out, each with the reason, such as a model that has changed since.

    Raises
    ------
    InputError
        The settings are missing or damaged, or a table cannot be written.
    """
    run = RunFolder(out)
    results, runs, left_out = [], [], []
    for settings in Settings.read(run).studies:
        for folder in run.study(settings.dataset).rounds():
            try:
                rows = _rows(folder, settings)
            except InputError as error:
                left_out.append(f"{folder.path} is left out of the tables: {error}")
                continue
            except (KeyError, TypeError, ValueError) as error:
                left_out.append(f"{folder.path} is left out of the tables: records of another form ({error!r})")
                continue
            if rows is not None:
                results.append(rows[0])
                runs.append(rows[1])
    if results:
        write_table(pd.concat(results, ignore_index=True), run.result_table)
        write_table(pd.DataFrame(runs), run.round_table)
    return left_out


def _rows(own: RoundFolder, settings: StudySettings) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """Return result rows and run row of one round, or None where it is not finished or not asked for.

    InputError where it was once.
    """
    if not is_of_study(own, settings):
        return None
    place, common = own.trained_in.path, own.chain.shared.path
    stages = [(common, "scan"), (common, "start"), (common, "prepare"), (own.path, "query"), (place, "evaluate")]
    stages += [(place, stage) for stage in train_stages(settings.n_folds)]
    if not all(stage_record(*stage).exists() for stage in stages):
        return None
    scan, start, prepare, query, test, *folds = (whole_stage(*stage) for stage in stages)
    _require_own(own)
    trained = [renamed(fold.notes) for fold in folds]
    keys: dict[str, Any] = {
        "dataset": own.dataset,
        "protocol": settings.protocol,
        "strategy": own.strategy,
        "seed": own.seed,
        "round": own.number,
    }
    train = _together(trained)
    counts = {key: train[key] for key in (*ANNOTATED, *COSTS) if key in train}
    overhead = {
        "startup_s": scan.seconds + start.seconds + prepare.seconds if own.is_shared else 0.0,
        "score_s": query.notes.get("score_s", 0.0),
        "select_s": query.notes.get("select_s", 0.0),
        "train_setup_s": train["setup_s"],
        "evaluate_s": test.seconds,
    }
    asked, tested = renamed(query.notes), renamed(test.notes)
    warnings = [*asked.get("warnings", ()), *train["warnings"], *tested["warnings"]]
    run = {
        **keys,
        **train,
        **overhead,
        "train_s": train["fit_s"],
        "overhead_s": sum(overhead.values()),
        "n_pool_units": scan.notes["n_units"],
        "n_pool_fg_voxels": scan.notes.get("n_fg_voxels", math.nan),
        "peak_rss_mib": test.notes["peak_rss_mib"],
        "shared": own.is_shared,
        # of the first query, whose scores strategies share: what another chain had computed already
        "cached_scores": query.notes.get("cached_scores", ""),
        "warnings": "; ".join(warnings),
        "config_hash": settings.config_hash,
        "device": settings.device,
    }
    return read_rows(own.trained_in.evaluation).assign(**keys, **counts), run


def _require_own(folder: RoundFolder) -> None:
    """Refuse a copy of another chain's or round's folder."""
    query = Query.read(folder.query)
    if not query.is_of(folder):
        raise InputError(f"its query is of {query.dataset} {query.strategy} seed {query.seed} round {query.round}")


def _together(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a round's notes: iterations and seconds of all folds added up, the mean loss, all else the first's."""
    sums = {key: sum(notes[key] for notes in folds) for key in ("iterations", "setup_s", "fit_s")}
    loss = sum(notes["train_loss"] for notes in folds) / len(folds)
    warnings = [line for notes in folds for line in notes["warnings"]]
    return {**folds[0], **sums, "train_loss": loss, "warnings": warnings}
