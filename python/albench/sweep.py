"""Strategies x seeds of one data set, one after the other, and the tables made of their rounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from albench.config import StudyConfig, difference
from albench.errors import InputError
from albench.files import read_json, write_json
from albench.loop import EVALUATION, Chain, run_ceiling, run_chain
from albench.results import CEILING, RESULTS_FILE, RUNS_FILE, write_table
from albench.stages import load_stage
from albench.strategies import get_strategy
from albench.study import SHARED, Study, setup_seed

CONFIG_FILE = "config.json"


def claim_folder(out: Path, config: StudyConfig) -> None:
    """Write the study's configuration into ``out/config.json``, or check that it is there already.

    Raises
    ------
    InputError
        If the folder holds this data set under another configuration, or other files and no configuration.
    """
    path = out / CONFIG_FILE
    stored: dict[str, Any] = read_json(path) if path.is_file() else {"datasets": {}}
    if not path.is_file() and out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise InputError(f"--out {out}: expected an empty folder or one made by al-bench, found other files")
    mine = config.model_dump(mode="json")
    theirs = stored["datasets"].get(config.dataset)
    if theirs is not None:
        changed = difference({k: v for k, v in theirs.items() if k != "config_hash"}, mine)
        if changed:
            raise InputError(
                f"--out {out}: holds results of {config.dataset} under another configuration "
                f"({'; '.join(changed)}); choose another folder, or --fresh to set this one aside"
            )
        return
    stored["datasets"][config.dataset] = mine | {"config_hash": config.digest()}
    write_json(path, stored)


def run_study(study: Study, strategies: Sequence[str], seeds: Sequence[int]) -> None:
    """Run every strategy on every seed; tables are written anew after each chain."""
    for seed in seeds:
        setup = setup_seed(study, seed)
        for name in strategies:
            chain = Chain(study, setup, get_strategy(name)())
            if name == CEILING:
                run_ceiling(chain)
            else:
                run_chain(chain)
            write_tables(study.out)


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
    """Result rows and run row of one round, or None where it is not finished."""
    own = folder / keys["strategy"] / f"seed-{keys['seed']}" / f"round-{keys['round']}"
    common = folder / SHARED / f"seed-{keys['seed']}"
    shared = keys["round"] == 0 and keys["strategy"] != CEILING
    place = common / "round-0" if shared else own
    scan, prepare = load_stage(common, "scan"), load_stage(common, "prepare")
    query, train, test = load_stage(own, "query"), load_stage(place, "train"), load_stage(place, "evaluate")
    if scan is None or prepare is None or query is None or train is None or test is None:
        return None
    counts = {key: value for key, value in train.notes.items() if key.startswith("n_annotated_")}
    overhead = {
        "startup_s": scan.seconds + prepare.seconds if shared else 0.0,
        "score_s": query.notes.get("score_s", 0.0),
        "select_s": query.notes.get("select_s", 0.0),
        "annotate_s": train.notes["setup_s"],
        "evaluate_s": test.seconds,
    }
    run = {
        **keys,
        **train.notes,
        **overhead,
        "train_s": train.notes["fit_s"],
        "overhead_s": sum(overhead.values()),
        "n_pool_units": scan.notes["n_units"],
        "peak_rss_mib": test.notes["peak_rss_mib"],
        "shared": shared,
        "config_hash": config["config_hash"],
        "device": config["device"],
    }
    return pd.read_parquet(place / EVALUATION).assign(**keys, **counts), run
