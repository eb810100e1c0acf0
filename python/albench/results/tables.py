"""The two result tables of a study: their columns, and how they are written, read and averaged.

``results.parquet`` holds one row per data set, protocol, strategy, seed, round, case and class;
``rounds.parquet`` one row per data set, protocol, strategy, seed and round. Columns beyond those listed
here are allowed and kept: later metrics must not make older readers fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from albench.errors import InputError, is_plain
from albench.machine.files import atomic_file
from albench.machine.spreadsheet import csv_bytes
from albench.machine.tables import write_parquet
from albench.results.layout import FORMER_NAMES, RESULTS_FILE, ROUNDS_FILE
from albench.results.reading import read_rows

REFERENCE = "random"
"""The strategy the others are compared with."""

STUDY_KEYS = ["dataset", "protocol"]
RUN_KEYS = [*STUDY_KEYS, "strategy", "seed", "round"]
RESULT_KEYS = [*RUN_KEYS, "case", "label"]
ANNOTATED = ["n_annotated_units", "n_annotated_voxels", "n_annotated_fg_voxels"]
COSTS = ["n_annotated_slices", "n_annotated_border_voxels", "annotation_s"]
OVERHEAD_STAGES = ["startup_s", "score_s", "select_s", "train_setup_s", "evaluate_s"]

_KEY_TYPES = {"dataset": "str", "protocol": "str", "strategy": "str", "seed": "int64", "round": "int64"}
_ANNOTATED_TYPES = dict.fromkeys(ANNOTATED, "int64")
_COST_TYPES = dict.fromkeys(COSTS, "float64")

RESULTS_COLUMNS: Mapping[str, str] = {
    **_KEY_TYPES,
    **_ANNOTATED_TYPES,
    "case": "str",
    "label": "int64",
    "label_name": "str",
    # NaN: the class is absent from reference and prediction; such rows stay out of every mean
    "dice": "float64",
    **_COST_TYPES,
    # NaN as well where distances in mm were not measured or mean nothing
    "nsd": "float64",
    "hd95": "float64",
}

ROUNDS_COLUMNS: Mapping[str, str] = {
    **_KEY_TYPES,
    **_ANNOTATED_TYPES,
    # annotated or not: the same number in every round of a seed
    "n_pool_units": "int64",
    "iterations": "int64",
    "train_loss": "float64",
    "startup_s": "float64",
    "train_s": "float64",
    "score_s": "float64",
    "select_s": "float64",
    "train_setup_s": "float64",
    "evaluate_s": "float64",
    # everything but training
    "overhead_s": "float64",
    "peak_rss_mib": "float64",
    # trained once for all strategies: its times stand in the row of each, but were spent once
    "shared": "bool",
    "code_version": "str",
    "config_hash": "str",
    "device": "str",
    "hardware": "str",
    # JSON object, library to version
    "versions": "str",
    # ISO 8601
    "started_at": "str",
    **_COST_TYPES,
    "n_pool_fg_voxels": "float64",
}

_LATER_COLUMNS = [*COSTS, "nsd", "hd95", "n_pool_fg_voxels"]
"""Columns that tables of earlier versions lack; NaN stands for what nobody measured, hence no whole numbers."""

METRICS = {"dice": 1.0, "nsd": 1.0, "hd95": np.inf}
"""Scores of a case and class, with the largest value each can take; hd95 is in mm, and smaller is better."""

RENAMED: Mapping[str, str] = {"annotate_s": "train_setup_s", "incidents": "warnings"}
"""Columns of earlier versions, and notes of their stages, with what they are called now.

A name that a column once had is never given to another.
"""

_TABLES = {RESULTS_FILE: (RESULTS_COLUMNS, RESULT_KEYS), ROUNDS_FILE: (ROUNDS_COLUMNS, RUN_KEYS)}


def rows_of(table: pd.DataFrame, study: Iterable[object]) -> pd.DataFrame:
    """Rows of a study, named by its data set and protocol; an empty table may lack these columns."""
    return table[(table[STUDY_KEYS] == list(study)).all(axis=1)] if len(table) else table


def write_table(df: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet and, beside it, as CSV; each file appears whole or not at all.

    A path named ``results.parquet`` or ``rounds.parquet`` has its columns checked and cast first; other names
    are written as they are.

    Raises
    ------
    InputError
        Columns missing or of another type, two rows with the same key, or no way to write the file.
    """
    table = _conform(df, path)
    try:
        write_parquet(table, path)
        with atomic_file(path.with_suffix(".csv")) as part:
            part.write_bytes(csv_bytes(table))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def renamed(row: Mapping[str, Any], names: Mapping[str, str] = RENAMED) -> dict[str, Any]:
    """Return a row, or a stage's notes, under the names of today; `names` are those of `RENAMED`."""
    now = _names_now(row.keys(), names)
    return {now.get(key, key): value for key, value in row.items()}


def _names_now(columns: Collection[str], names: Mapping[str, str]) -> dict[str, str]:
    return {old: new for old, new in names.items() if old in columns and new not in columns}


def read_results(path: Path | str, names: Mapping[str, str] = RENAMED) -> pd.DataFrame:
    """Rows of ``results.parquet``, checked; ``path`` is the file or the run folder that holds it.

    Columns that `names` has are called by what it says.
    """
    path = Path(path)
    table, file = _read_table(path, RESULTS_FILE, names), _file(path, RESULTS_FILE)
    for metric, high in METRICS.items():
        outside = ~(table[metric].between(0.0, high) | table[metric].isna())
        if outside.any():
            value = table.loc[outside, metric].iloc[0]
            expected = "at least 0" if high == np.inf else f"0 to {high:.0f}"
            raise InputError(f"{file}: column '{metric}': expected {expected} or NaN, found {value}")
    _check_complete(table, file)
    return table


def _check_complete(table: pd.DataFrame, file: Path) -> None:
    """Refuse a table in which a run lacks a case or class that another run of its study has: a lost prediction."""
    for _, of_study in table.groupby(STUDY_KEYS):
        expected = of_study[["case", "label"]].drop_duplicates()
        n_rows = of_study.groupby(RUN_KEYS)["case"].transform("size")
        short = of_study[n_rows < len(expected)]
        if len(short):
            run = short[RUN_KEYS].iloc[0]
            own = short[(short[RUN_KEYS] == run).all(axis=1)]
            lost = expected.merge(own, on=["case", "label"], how="left", indicator=True)
            first = lost[lost["_merge"] == "left_only"].iloc[0]
            where = ", ".join(f"{key}={run[key]}" for key in RUN_KEYS)
            raise InputError(
                f"{file}: expected a row for case {first['case']}, class {first['label']} of {where}, found none"
            )


def read_rounds(path: Path, names: Mapping[str, str] = RENAMED) -> pd.DataFrame:
    """Rows of ``rounds.parquet``, checked, as `read_results` reads its own."""
    return _read_table(path, ROUNDS_FILE, names)


def read_pool(path: Path) -> pd.DataFrame:
    """Units of a seed's pool, checked: case, index, ``n_voxels_<label>`` and whatever else the table has.

    Raises
    ------
    InputError
        The file is missing or damaged, or holds another table.
    """
    table = read_rows(path)
    counts = [column for column in table.columns if str(column).startswith("n_voxels_")]
    return _checked(table, {"case": "str", "index": "int64", **dict.fromkeys(counts, "int64")}, ["case", "index"], path)


def mean_metric(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over foreground classes of the mean over cases, of every strategy, seed and round.

    Cases whose value is NaN, as where a class is absent from reference and prediction, do not count for that class;
    a class with no counting case does not count at all.

    Parameters
    ----------
    metric
        Column of `results`: dice, nsd or hd95.

    Returns
    -------
    DataFrame
        Sorted by key: dataset, protocol, strategy, seed, round, n_annotated_units, n_annotated_voxels,
        n_annotated_fg_voxels, and the metric; with n_annotated_slices, n_annotated_border_voxels and annotation_s
        where `results` has them.
    """
    foreground = results[results["label"] > 0]
    by_label = foreground.groupby([*RUN_KEYS, "label"])[metric].mean().reset_index()
    mean = by_label.groupby(RUN_KEYS)[metric].mean()
    counted = [column for column in (*ANNOTATED, *COSTS) if column in foreground]
    annotated = foreground.groupby(RUN_KEYS)[counted].first()
    return annotated.join(mean).reset_index()


def mean_dice(results: pd.DataFrame) -> pd.DataFrame:
    """Mean foreground Dice of every strategy, seed and round: `mean_metric` of ``dice``."""
    return mean_metric(results, "dice")


def _file(path: Path, name: str) -> Path:
    if not path.is_dir():
        return path
    former = path / FORMER_NAMES.get(name, name)
    return former if former.is_file() and not (path / name).exists() else path / name


def _read_table(path: Path, name: str, names: Mapping[str, str]) -> pd.DataFrame:
    file = _file(path, name)
    if path.is_dir() and file.is_symlink():
        raise InputError(f"{file}: expected a table written by `al-bench run`, found a link to {file.readlink()}")
    table = read_rows(file)
    return _conform(table.rename(columns=_names_now(table.columns, names)), file, like=name)


def _conform(df: pd.DataFrame, path: Path, like: str | None = None) -> pd.DataFrame:
    """Cast to the columns of the table that ``like`` (by default the path) names, in their order."""
    name = like or path.name
    if name not in _TABLES:
        return df
    columns, keys = _TABLES[name]
    df = df.assign(**{column: np.nan for column in columns if column in _LATER_COLUMNS and column not in df})
    return _checked(df, columns, keys, path)


def _checked(df: pd.DataFrame, columns: Mapping[str, str], keys: list[str], path: Path) -> pd.DataFrame:
    """Cast `columns`, which come first, and refuse two rows with the same `keys`."""
    missing = [column for column in columns if column not in df.columns]
    if missing:
        names = ", ".join(map(str, df.columns)) or "none"
        raise InputError(f"{path}: expected column '{missing[0]}', found {names}")
    extra = [column for column in df.columns if column not in columns]
    table = df[[*columns, *extra]].copy()
    for column, dtype in columns.items():
        table[column] = _cast(table[column], dtype, path)
    twice = table.duplicated(subset=keys)
    if twice.any():
        row = ", ".join(f"{key}={table.loc[twice, key].iloc[0]}" for key in keys)
        raise InputError(f"{path}: expected one row per key, found two for {row}")
    return table


def _cast(column: pd.Series[Any], dtype: str, path: Path) -> pd.Series[Any]:
    """Cast without losing anything: a gap or a fraction in a whole-number column is an error, not a zero."""
    expected = f"{path}: column '{column.name}': expected {dtype}, found"
    if dtype != "float64" and column.isna().any():
        raise InputError(f"{expected} an empty value")
    if dtype == "bool" and column.dtype != "bool":
        raise InputError(f"{expected} {column.dtype}")
    try:
        cast = column.astype(pd.api.types.pandas_dtype(dtype))
    except (TypeError, ValueError) as error:
        raise InputError(f"{expected} {column.dtype} ({error})") from error
    if dtype == "int64" and not (cast == column).all():
        raise InputError(f"{expected} {column[cast != column].iloc[0]}")
    if dtype == "str" and not all(map(is_plain, cast.unique())):
        raise InputError(f"{expected} control characters")
    return cast
