"""Results of a finished study in one small file, for later runs to be checked against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from albench.config import difference
from albench.errors import InputError, first_fault
from albench.machine.files import write_json
from albench.results.layout import CEILING, RunFolder
from albench.results.query import Query
from albench.results.reading import read_object, require_plain_files
from albench.results.settings import Settings
from albench.results.tables import STUDY_KEYS, mean_dice, read_results, read_rounds

START = "(start)"
"""Stands for the strategy in what all strategies of a seed share: the first model."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Part):
    """Mean foreground Dice of one strategy after one round: by seed, a number for each repetition."""

    dataset: str
    protocol: str
    strategy: str
    round: int
    dice: dict[int, tuple[float, ...]]


class FirstQuery(_Part):
    """Units that a strategy asked for first, with the model that all strategies share.

    Later queries are made with models that differ between machines, so they have little to say.

    Attributes
    ----------
    n_unlabelled
        Units there were to choose from.
    units
        (case, index), in order of choice.
    """

    dataset: str
    strategy: str
    seed: int
    n_unlabelled: int
    units: tuple[tuple[str, int], ...]


class Baseline(_Part):
    """What `al-bench check` compares with.

    Repetitions are runs of the same seeds that differ in rounding alone: on another machine, or with another number
    of threads. They tell how far a result moves with nothing changed, which is less than from seed to seed.

    Attributes
    ----------
    studies
        Configuration of each data set's study, without what depends on the machine.
    queries
        Of the first repetition.
    """

    format: Literal[2] = 2
    studies: dict[str, dict[str, Any]]
    cells: tuple[Cell, ...]
    queries: tuple[FirstQuery, ...]

    def only(self, strategies: Sequence[str]) -> Baseline:
        """Return what it has of these strategies, and of the first models.

        Raises
        ------
        InputError
            It has nothing of one of them.
        """
        there = sorted({cell.strategy for cell in self.cells} - {START})
        for name in strategies:
            if name not in there:
                raise InputError(f"--strategy: expected strategies with results ({', '.join(there)}), got {name!r}")
        kept = {START, *strategies}
        return self.model_copy(
            update={
                "cells": tuple(cell for cell in self.cells if cell.strategy in kept),
                "queries": tuple(query for query in self.queries if query.strategy in kept),
            }
        )


def summarise(out: Path) -> Baseline:
    """Summarise the finished rounds of a results folder; of one of which tables alone were kept there are no queries.

    Raises
    ------
    InputError
        If there are no results.
    """
    require_plain_files(out)
    run = RunFolder(out)
    curves = mean_dice(read_results(out))
    shared = (curves["round"] == 0) & (curves["strategy"] != CEILING)
    curves.loc[shared, "strategy"] = START
    cells = [
        Cell(
            dataset=dataset,
            protocol=protocol,
            strategy=strategy,
            round=int(round_number),
            dice={int(seed): (float(dice),) for seed, dice in zip(rows["seed"], rows["dice"], strict=True)},
        )
        for key, rows in curves.groupby([*STUDY_KEYS, "strategy", "round"])
        for dataset, protocol, strategy, round_number in [cast(tuple[str, str, str, int], key)]
    ]
    return Baseline(
        studies={study.dataset: study.portable() for study in Settings.read(run).studies},
        cells=tuple(cells),
        queries=tuple(_first_queries(run)),
    )


def repeated(baseline: Baseline, repetition: Baseline) -> Baseline:
    """Return the baseline with a run's results as another repetition; new seeds, strategies and data sets are added.

    Raises
    ------
    InputError
        If a data set is there under another configuration.
    """
    require_same_studies(repetition, baseline)

    def key(cell: Cell) -> tuple[str, str, str, int]:
        return (cell.dataset, cell.protocol, cell.strategy, cell.round)

    cells = {key(cell): cell for cell in baseline.cells}
    for cell in repetition.cells:
        known = cells[key(cell)].dice if key(cell) in cells else {}
        dice = {**known, **{seed: (*known.get(seed, ()), *values) for seed, values in cell.dice.items()}}
        cells[key(cell)] = cell.model_copy(update={"dice": dice})
    queries = {(query.dataset, query.strategy, query.seed): query for query in (*repetition.queries, *baseline.queries)}
    return Baseline(
        studies={**repetition.studies, **baseline.studies},
        cells=tuple(cells[name] for name in sorted(cells)),
        queries=tuple(queries[name] for name in sorted(queries)),
    )


def require_same_studies(other: Baseline, baseline: Baseline) -> None:
    """Raise InputError where the two hold a data set under different configurations."""
    for name, study in baseline.studies.items():
        changed = difference(study, other.studies[name]) if name in other.studies else []
        if changed:
            raise InputError(f"--baseline: made under another configuration of {name} ({'; '.join(changed)})")


def _first_queries(run: RunFolder) -> list[FirstQuery]:
    runs = read_rounds(run.path)
    runs = runs[runs["strategy"] != CEILING].sort_values(["dataset", "strategy", "seed", "round"])
    queries = []
    for key, chain in runs.groupby(["dataset", "strategy", "seed"]):
        dataset, strategy, seed = cast(tuple[str, str, int], key)
        if 1 not in set(chain["round"]) or not run.study(dataset).path.exists():
            continue
        before = chain.iloc[0]
        chosen = Query.read(run.study(dataset).chain(strategy, int(seed)).round(1).query).chosen
        queries.append(
            FirstQuery(
                dataset=dataset,
                strategy=strategy,
                seed=int(seed),
                n_unlabelled=int(before["n_pool_units"] - before["n_annotated_units"]),
                units=tuple((unit.case, unit.index) for unit in chosen),
            )
        )
    return queries


def load_baseline(path: Path) -> Baseline:
    """Read a baseline; InputError where the file is missing or something else."""
    if not path.is_file():
        raise InputError(f"--baseline {path}: expected a file written by `al-bench check --update`, found none")
    try:
        return Baseline.model_validate(read_object(path))
    except ValidationError as error:
        place, why, _ = first_fault(error)
        found = f"{place}: {why}"
    except InputError as error:
        found = str(error)
    raise InputError(f"--baseline {path}: expected a file written by `al-bench check --update`: {found}")


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write a baseline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, baseline.model_dump(mode="json"))


def cells_table(baseline: Baseline) -> pd.DataFrame:
    """One row per cell, seed and repetition: dataset, protocol, strategy, round, seed, repetition, dice."""
    rows = [
        (cell.dataset, cell.protocol, cell.strategy, cell.round, seed, repetition, dice)
        for cell in baseline.cells
        for seed, values in cell.dice.items()
        for repetition, dice in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=[*STUDY_KEYS, "strategy", "round", "seed", "repetition", "dice"])
