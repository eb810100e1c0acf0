"""What a report is made from: the files of one or more run folders, read and joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.data.registry import list_entries
from albench.errors import InputError
from albench.report.merge import StudyConfiguration, joined, tell_apart
from albench.results.folder import CONFIG_FILE
from albench.results.pictures import GALLERY
from albench.results.tables import RUN_KEYS, STUDY_KEYS, read_results, read_runs
from albench.study.setup import POOL, SHARED

RunKey = tuple[str, str, str, int, int]
"""Data set, protocol, strategy, seed, round."""


QUERY_COLUMNS = [*STUDY_KEYS, "strategy", "seed", "round", "position", "case", "index", "axis", "score", "gain"]
QUERY_COLUMNS += ["start", "stop"]
PLURALS = {"slice": "slices", "patch": "patches", "unit": "units"}


@dataclass(frozen=True)
class Inputs:
    """Everything a report shows.

    Attributes
    ----------
    results, runs
        Rows of all folders' tables. Where folders hold studies of one name that differ, the names in ``protocol`` are
        told apart by a letter.
    queries
        One row per annotated unit, columns QUERY_COLUMNS; ``position`` is its place in the query, ``start`` and
        ``stop`` are the bounds (z, y, x) of a 3D patch, None for slices.
    configs
        The resolved configuration of each study, in the order of the folders, equal ones once.
    conflicts
        Sentences that name what differs between studies of one name.
    galleries
        Files with pictures of queried units, by data set, protocol, strategy, seed and round.
    pools
        All units there were, one table per data set, protocol and seed, as `albench.units.pool.Pool.save` writes it.
    phantoms
        Data sets whose images are generated.
    """

    results: pd.DataFrame
    runs: pd.DataFrame
    queries: pd.DataFrame
    configs: list[StudyConfiguration]
    conflicts: list[str]
    galleries: dict[RunKey, Path]
    pools: dict[tuple[str, str, int], pd.DataFrame]
    phantoms: frozenset[str]


def read_inputs(out_dirs: Sequence[Path]) -> Inputs:
    """Read run folders; none of them is written to.

    Raises
    ------
    InputError
        A file is missing or malformed, there are no rows, or two folders hold one run with different results.
    """
    tables = [(read_results(folder), read_runs(folder)) for folder in out_dirs]
    stored = [_read_config(folder / CONFIG_FILE) for folder in out_dirs]
    configs, names, conflicts = tell_apart(list(zip(out_dirs, stored, strict=True)))
    results = joined([_renamed(rows, own) for (rows, _), own in zip(tables, names, strict=True)], out_dirs)
    runs = pd.concat([_renamed(rows, own) for (_, rows), own in zip(tables, names, strict=True)], ignore_index=True)
    if results.empty:
        folders = ", ".join(map(str, out_dirs))
        raise InputError(f"{folders}: expected at least one finished round, found none")
    queries = [row for folder, own in zip(out_dirs, names, strict=True) for row in _read_queries(folder, own)]
    table = pd.DataFrame(queries, columns=QUERY_COLUMNS)
    return Inputs(
        results=results,
        runs=runs.drop_duplicates(RUN_KEYS, ignore_index=True),
        queries=table.drop_duplicates([*RUN_KEYS, "position"], ignore_index=True),
        configs=configs,
        conflicts=conflicts,
        galleries=_find_galleries(out_dirs, names),
        pools=_read_pools(out_dirs, names),
        phantoms=frozenset(name for config in stored for name in config["datasets"] if _is_phantom(config, name)),
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


def _renamed(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    return rows.assign(protocol=rows["dataset"].map(names).fillna(rows["protocol"]))


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


def _is_phantom(config: Mapping[str, Any], dataset: str) -> bool:
    kind = (config.get("kinds") or {}).get(dataset)
    if kind is not None:
        return bool(kind == "phantom")
    # Folders of 0.1 do not say: by the names that al-bench gives to what it generates.
    names = [entry.name for entry in list_entries() if entry.phantom]
    return dataset in names or dataset.startswith(tuple(f"{name}-seed" for name in names))


def _read_queries(folder: Path, names: Mapping[str, str]) -> list[tuple[Any, ...]]:
    rows = []
    optional = QUERY_COLUMNS[QUERY_COLUMNS.index("axis") :]
    for file in sorted(folder.glob("*/*/seed-*/round-*/query.json")):
        query = _read_json(file)
        try:
            dataset = query["dataset"]
            run = (dataset, names.get(dataset, ""), query["strategy"], int(query["seed"]), int(query["round"]))
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


def _find_galleries(out_dirs: Sequence[Path], names: Sequence[Mapping[str, str]]) -> dict[RunKey, Path]:
    found: dict[RunKey, Path] = {}
    for folder, own in zip(out_dirs, names, strict=True):
        for file in sorted(folder.glob(f"*/*/seed-*/round-*/{GALLERY}")):
            dataset, strategy, seed, number, _ = file.relative_to(folder).parts
            run = (dataset, own.get(dataset, ""), strategy, _count(seed), _count(number))
            found.setdefault(run, file)
    return found


def _read_pools(
    out_dirs: Sequence[Path], names: Sequence[Mapping[str, str]]
) -> dict[tuple[str, str, int], pd.DataFrame]:
    found = {}
    for folder, own in zip(out_dirs, names, strict=True):
        for file in sorted(folder.glob(f"*/{SHARED}/seed-*/{POOL}")):
            dataset, _, seed, _ = file.relative_to(folder).parts
            key = (dataset, own.get(dataset, ""), _count(seed))
            if key not in found:
                found[key] = pd.read_parquet(file)
    return found


def _count(name: str) -> int:
    """Return the number at the end of a folder's name, 3 for ``seed-3``."""
    return int(name.rpartition("-")[2])
