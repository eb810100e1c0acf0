"""From the files that rounds left to the two tables of their folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from albench.results.layout import RoundFolder, RunFolder, train_stages
from albench.results.reading import read_rows
from albench.results.settings import Settings, StudySettings
from albench.results.stages import load_stage
from albench.results.tables import ANNOTATED, COSTS, renamed, write_table


def write_tables(out: Path) -> None:
    """Collect all finished rounds below `out` into ``results.parquet`` and ``rounds.parquet``.

    Raises
    ------
    InputError
        The settings are missing or damaged, or a table cannot be written.
    """
    run = RunFolder(out)
    results, runs = [], []
    for settings in Settings.read(run).studies:
        for folder in run.study(settings.dataset).rounds():
            rows = _rows(folder, settings)
            if rows is not None:
                results.append(rows[0])
                runs.append(rows[1])
    if results:
        write_table(pd.concat(results, ignore_index=True), run.result_table)
        write_table(pd.DataFrame(runs), run.round_table)


def _rows(own: RoundFolder, settings: StudySettings) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """Return result rows and run row of one round, or None where it is not finished."""
    place, common = own.trained_in, own.chain.shared
    scan, start, prepare = (load_stage(common.path, stage) for stage in ("scan", "start", "prepare"))
    query, test = load_stage(own.path, "query"), load_stage(place.path, "evaluate")
    folds = [load_stage(place.path, stage) for stage in train_stages(settings.n_folds)]
    trained = [renamed(fold.notes) for fold in folds if fold is not None]
    if scan is None or start is None or prepare is None or query is None or test is None or len(trained) < len(folds):
        return None
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
    return read_rows(place.evaluation).assign(**keys, **counts), run


def _together(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a round's notes: iterations and seconds of all folds added up, the mean loss, all else the first's."""
    sums = {key: sum(notes[key] for notes in folds) for key in ("iterations", "setup_s", "fit_s")}
    loss = sum(notes["train_loss"] for notes in folds) / len(folds)
    warnings = [line for notes in folds for line in notes["warnings"]]
    return {**folds[0], **sums, "train_loss": loss, "warnings": warnings}
