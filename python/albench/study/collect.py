"""Result tables of a run folder, collected from the files its rounds left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from albench.machine.files import read_json
from albench.results.folder import CONFIG_FILE
from albench.results.layout import EVALUATION, SHARED, train_stages
from albench.results.stages import load_stage
from albench.results.tables import ANNOTATED, CEILING, COSTS, RESULTS_FILE, RUNS_FILE, write_table


def write_tables(out: Path) -> None:
    """Collect all finished rounds below `out` into ``results.parquet`` and ``runs.parquet``."""
    results, runs = [], []
    for name, config in read_json(out / CONFIG_FILE)["datasets"].items():
        keys = {"dataset": name, "protocol": config["protocol"]["name"]}
        for query in sorted((out / name).glob("*/seed-*/round-*/query.json")):
            number = int(query.parent.name.removeprefix("round-"))
            seed = int(query.parent.parent.name.removeprefix("seed-"))
            strategy = query.parent.parent.parent.name
            rows = _round(out / name, keys | {"strategy": strategy, "seed": seed, "round": number}, config)
            if rows is not None:
                results.append(rows[0])
                runs.append(rows[1])
    if results:
        write_table(pd.concat(results, ignore_index=True), out / RESULTS_FILE)
        write_table(pd.DataFrame(runs), out / RUNS_FILE)


def _round(folder: Path, keys: dict[str, Any], config: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """Return result rows and run row of one round, or None where it is not finished."""
    own = folder / keys["strategy"] / f"seed-{keys['seed']}" / f"round-{keys['round']}"
    common = folder / SHARED / f"seed-{keys['seed']}"
    shared = keys["round"] == 0 and keys["strategy"] != CEILING
    place = common / "round-0" if shared else own
    scan, start, prepare = (load_stage(common, stage) for stage in ("scan", "start", "prepare"))
    query, test = load_stage(own, "query"), load_stage(place, "evaluate")
    folds = [load_stage(place, stage) for stage in train_stages(config["protocol"]["training"]["folds"])]
    trained = [fold.notes for fold in folds if fold is not None]
    if scan is None or start is None or prepare is None or query is None or test is None or len(trained) < len(folds):
        return None
    train = _together(trained)
    counts = {key: train[key] for key in (*ANNOTATED, *COSTS) if key in train}
    overhead = {
        "startup_s": scan.seconds + start.seconds + prepare.seconds if shared else 0.0,
        "score_s": query.notes.get("score_s", 0.0),
        "select_s": query.notes.get("select_s", 0.0),
        "annotate_s": train["setup_s"],
        "evaluate_s": test.seconds,
    }
    incidents = [*query.notes.get("incidents", ()), *train["incidents"], *test.notes["incidents"]]
    run = {
        **keys,
        **train,
        **overhead,
        "train_s": train["fit_s"],
        "overhead_s": sum(overhead.values()),
        "n_pool_units": scan.notes["n_units"],
        "n_pool_fg_voxels": scan.notes.get("n_fg_voxels", math.nan),
        "peak_rss_mib": test.notes["peak_rss_mib"],
        "shared": shared,
        # of the first query, whose scores strategies share: what another chain had computed already
        "cached_scores": query.notes.get("cached_scores", ""),
        "incidents": "; ".join(incidents),
        "config_hash": config["config_hash"],
        "device": config["device"],
    }
    return pd.read_parquet(place / EVALUATION).assign(**keys, **counts), run


def _together(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a round's notes: iterations and seconds of all folds added up, the mean loss, all else the first's."""
    sums = {key: sum(notes[key] for notes in folds) for key in ("iterations", "setup_s", "fit_s")}
    loss = sum(notes["train_loss"] for notes in folds) / len(folds)
    incidents = [line for notes in folds for line in notes["incidents"]]
    return {**folds[0], **sums, "train_loss": loss, "incidents": incidents}
