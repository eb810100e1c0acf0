"""What a report is made from: the files of one or more run folders, read and joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.errors import InputError
from albench.results import RESULT_KEYS, RUN_KEYS, read_results, read_runs

CONFIG_FILE = "config.json"
QUERY_COLUMNS = ["dataset", "strategy", "seed", "round", "position", "case", "index", "axis", "score", "gain"]
QUERY_COLUMNS += ["start", "stop"]
PLURALS = {"slice": "slices", "patch": "patches", "unit": "units"}


@dataclass(frozen=True)
class Inputs:
    """Everything a report shows.

    Attributes
    ----------
    results, runs
        Rows of all folders' tables.
    queries
        One row per annotated unit, columns QUERY_COLUMNS; ``position`` is its place in the query, ``start`` and
        ``stop`` are the bounds (z, y, x) of a 3D patch, None for slices.
    configs
        The resolved configuration of each folder, ``{"datasets": {name: settings}}``.
    """

    results: pd.DataFrame
    runs: pd.DataFrame
    queries: pd.DataFrame
    configs: list[dict[str, Any]]


def read_inputs(out_dirs: Sequence[Path]) -> Inputs:
    """Read run folders; none of them is written to.

    Raises
    ------
    InputError
        A file is missing or malformed, there are no rows, or two folders hold the same run.
    """
    results = _joined([read_results(folder) for folder in out_dirs], RESULT_KEYS, out_dirs)
    runs = _joined([read_runs(folder) for folder in out_dirs], RUN_KEYS, out_dirs)
    if results.empty:
        raise InputError(f"{_names(out_dirs)}: expected at least one finished round, found none")
    queries = [row for folder in out_dirs for row in _read_queries(folder)]
    return Inputs(
        results=results,
        runs=runs,
        queries=pd.DataFrame(queries, columns=QUERY_COLUMNS),
        configs=[_read_config(folder / CONFIG_FILE) for folder in out_dirs],
    )


def unit_word(queries: pd.DataFrame) -> str:
    """Return what the annotated units are: ``slice``, ``patch``, or ``unit`` where there are both."""
    if "start" not in queries or queries["start"].isna().all():
        return "slice"
    return "patch" if queries["start"].notna().all() else "unit"


def depths(queries: pd.DataFrame) -> NDArray[np.float64]:
    """Return where units lie in their case: a slice's index, or the middle of a patch along z; float64 (n,)."""
    if unit_word(queries) == "slice":
        return queries["index"].to_numpy(np.float64)
    bounds = zip(queries["index"], queries["start"], queries["stop"], strict=True)
    return np.array([index if start is None else (start[0] + stop[0]) / 2 for index, start, stop in bounds])


def _joined(tables: list[pd.DataFrame], keys: list[str], out_dirs: Sequence[Path]) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    twice = table.duplicated(subset=keys)
    if twice.any():
        row = ", ".join(f"{key}={table.loc[twice, key].iloc[0]}" for key in RUN_KEYS)
        raise InputError(f"{_names(out_dirs)}: expected each run in one folder, found two of {row}")
    return table


def _names(out_dirs: Sequence[Path]) -> str:
    return ", ".join(map(str, out_dirs))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file}: expected a file written by `al-bench run`, found no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: expected a JSON object, found an unreadable file ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{file}: expected a JSON object, found {type(value).__name__}")
    return value


def _read_config(file: Path) -> dict[str, Any]:
    config = _read_json(file)
    datasets = config.get("datasets")
    if not isinstance(datasets, dict) or not all(isinstance(value, dict) for value in datasets.values()):
        found = ", ".join(config) or "none"
        raise InputError(f"{file}: expected key 'datasets' with the settings of each data set, found {found}")
    return config


def _read_queries(folder: Path) -> list[tuple[Any, ...]]:
    rows = []
    optional = QUERY_COLUMNS[QUERY_COLUMNS.index("axis") :]
    for file in sorted(folder.glob("*/*/seed-*/round-*/query.json")):
        query = _read_json(file)
        try:
            run = (query["dataset"], query["strategy"], int(query["seed"]), int(query["round"]))
            rows += [
                (*run, position, u["case"], int(u["index"]), *(u.get(key) for key in optional))
                for position, u in enumerate(query["units"])
            ]
        except KeyError as error:
            found = ", ".join(query) or "none"
            raise InputError(f"{file}: expected key {error}, found {found}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{file}: expected the units of a query, found {error}") from error
    return rows
