"""What a report is made from: the files of one or more run folders, read and joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.errors import InputError
from albench.report.merge import StudyConfiguration, joined, tell_apart
from albench.results.layout import RunFolder
from albench.results.query import queried_rounds
from albench.results.reading import require_plain_files
from albench.results.registered import Claims, read_registered
from albench.results.settings import Settings
from albench.results.tables import RUN_KEYS, STUDY_KEYS, read_pool, read_results, read_rounds

RunKey = tuple[str, str, str, int, int]
"""Data set, protocol, strategy, seed, round."""


QUERY_COLUMNS = [*STUDY_KEYS, "strategy", "seed", "round", "position", "case", "index", "axis", "score", "gain"]
QUERY_COLUMNS += ["start", "stop"]
PLURALS = {"image": "images", "slice": "slices", "patch": "patches", "unit": "units"}


@dataclass(frozen=True)
class Inputs:
    """Everything a report shows.

    Attributes
    ----------
    folders
        The run folders.
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
    claims
        What was registered before the runs, by data set and protocol; equal claims of several folders once.
    """

    folders: tuple[Path, ...]
    results: pd.DataFrame
    runs: pd.DataFrame
    queries: pd.DataFrame
    configs: list[StudyConfiguration]
    conflicts: list[str]
    galleries: dict[RunKey, Path]
    pools: dict[tuple[str, str, int], pd.DataFrame]
    phantoms: frozenset[str]
    claims: dict[tuple[str, str], Claims]


def read_inputs(out_dirs: Sequence[Path]) -> Inputs:
    """Read run folders; none of them is written to.

    Raises
    ------
    InputError
        A file is missing or malformed, there are no rows, or two folders hold one run with different results.
    """
    for folder in out_dirs:
        require_plain_files(folder)
    tables = [(read_results(folder), read_rounds(folder)) for folder in out_dirs]
    stored = [Settings.read(RunFolder(folder)) for folder in out_dirs]
    configs, names, conflicts = tell_apart(list(zip(out_dirs, stored, strict=True)))
    results = joined([_renamed(rows, own) for (rows, _), own in zip(tables, names, strict=True)], out_dirs)
    runs = pd.concat([_renamed(rows, own) for (_, rows), own in zip(tables, names, strict=True)], ignore_index=True)
    if results.empty or runs.empty:
        folders = ", ".join(map(str, out_dirs))
        raise InputError(f"{folders}: expected at least one finished round, found none")
    queries = [row for folder, own in zip(out_dirs, names, strict=True) for row in _read_queries(folder, own)]
    table = pd.DataFrame(queries, columns=QUERY_COLUMNS)
    return Inputs(
        folders=tuple(out_dirs),
        results=results,
        runs=runs.drop_duplicates(RUN_KEYS, ignore_index=True),
        queries=table.drop_duplicates([*RUN_KEYS, "position"], ignore_index=True),
        configs=configs,
        conflicts=conflicts,
        galleries=_find_galleries(out_dirs, names),
        pools=_read_pools(out_dirs, names),
        phantoms=frozenset(study.dataset for settings in stored for study in settings.studies if study.is_phantom),
        claims=_read_claims(out_dirs, names),
    )


def unit_word(queries: pd.DataFrame) -> str:
    """Return what the annotated units are: ``slice``, ``patch``, or ``unit`` where there are both.

    ``image`` where every case has the one slice 0, as 2D images have.
    """
    if "start" not in queries or queries["start"].isna().all():
        return "image" if len(queries) and (queries["index"] == 0).all() else "slice"
    return "patch" if queries["start"].notna().all() else "unit"


def depths(queries: pd.DataFrame) -> NDArray[np.float64]:
    """Return where units lie in their case: a slice's index, or the middle of a patch along z; float64 (n,)."""
    if unit_word(queries) in ("slice", "image"):
        return queries["index"].to_numpy(np.float64)
    bounds = zip(queries["index"], queries["start"], queries["stop"], strict=True)
    return np.array([index if start is None else (start[0] + stop[0]) / 2 for index, start, stop in bounds])


def _renamed(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    return rows.assign(protocol=rows["dataset"].map(names).fillna(rows["protocol"]))


def _read_queries(folder: Path, names: Mapping[str, str]) -> list[tuple[Any, ...]]:
    rows = []
    for _, query in queried_rounds(RunFolder(folder)):
        run = (query.dataset, names.get(query.dataset, ""), query.strategy, query.seed, query.round)
        units = (unit.as_json() for unit in query.units)
        rows += [(*run, n, *map(unit.get, QUERY_COLUMNS[len(run) + 1 :])) for n, unit in enumerate(units)]
    return rows


def _read_claims(out_dirs: Sequence[Path], names: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], Claims]:
    claims: dict[tuple[str, str], Claims] = {}
    for folder, own in zip(out_dirs, names, strict=True):
        registered = read_registered(folder)
        for study in own.items() if registered else ():
            claims[study] = tuple(dict.fromkeys((*claims.get(study, ()), *registered)))
    return claims


def _find_galleries(out_dirs: Sequence[Path], names: Sequence[Mapping[str, str]]) -> dict[RunKey, Path]:
    galleries: dict[RunKey, Path] = {}
    for folder, own in zip(out_dirs, names, strict=True):
        for each, _ in queried_rounds(RunFolder(folder)):
            if each.gallery.is_file():
                run = (each.dataset, own.get(each.dataset, ""), each.strategy, each.seed, each.number)
                galleries.setdefault(run, each.gallery)
    return galleries


def _read_pools(
    out_dirs: Sequence[Path], names: Sequence[Mapping[str, str]]
) -> dict[tuple[str, str, int], pd.DataFrame]:
    pools = {}
    for folder, own in zip(out_dirs, names, strict=True):
        for study in RunFolder(folder).studies():
            for seed in study.seeds():
                key = (study.dataset, own.get(study.dataset, ""), seed.seed)
                if key not in pools and seed.pool.is_file():
                    pools[key] = read_pool(seed.pool)
    return pools
