"""What a project has asked for already, and what is not to be asked: open queries, skipped units, excluded cases."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albench.annotation.layout import QUERIES
from albench.annotation.ledger import latest, read_ledger
from albench.annotation.raw_folder import LEDGER
from albench.annotation.registration import settle_queries
from albench.errors import InputError
from albench.machine.journal import settle
from albench.machine.text import read_text
from albench.results.layout import QUERY
from albench.results.query import QueriedUnit, Query
from albench.units.pool import Pool, Unit

_LONGEST = 1 << 26
_AXES = {"k": 0, "j": 1, "i": 2}


def asked_queries(raw: Path | None) -> list[Query]:
    """All queries that were made for a raw data set, the first one first.

    Raises
    ------
    InputError
        One is damaged.
    """
    if raw is None:
        return []
    settle_queries(raw.resolve())  # what a query or an import that was killed left
    settle(raw.resolve())
    found = [Query.read(path) for path in sorted((raw / QUERIES).glob(f"*/{QUERY}"))]
    return sorted(found, key=lambda query: (query.created or "", query.id or ""))


def open_units(raw: Path | None, queries: Sequence[Query]) -> Iterator[QueriedUnit]:
    """Yield units that annotators still have, or have skipped: of those, none is asked again.

    A unit of which a part came back may be asked again.

    Parameters
    ----------
    queries
        All that were made for `raw`: see `asked_queries`.
    """
    if raw is None:
        return
    answered = latest(read_ledger(raw / LEDGER))
    states = {(key[0], key[1], key[2]): entry.state for key, entry in answered.items()}
    for query in queries:
        for unit in query.units:
            if states.get((query.id or "", unit.case, unit.rank or 0), "skip") == "skip":
                yield unit


@dataclass(frozen=True)
class Exclusions:
    """What is not to be asked."""

    units: tuple[QueriedUnit, ...]
    cases: frozenset[str]


def read_exclusions(given: Sequence[str]) -> Exclusions:
    """Read what ``--exclude`` names: files of queries, and for all else cases; see `require_cases`.

    Raises
    ------
    InputError
        A file is none of a query.
    """
    units: list[QueriedUnit] = []
    names: set[str] = set()
    for text in given:
        path = Path(text)
        if path.is_dir() and (path / QUERY).is_file():
            units += Query.read(path / QUERY).units
        elif path.suffix == ".json" and path.is_file():
            units += Query.read(path).units
        elif path.suffix == ".csv" and path.is_file():
            units += _from_table(path)
        else:
            names.add(text)
    return Exclusions(tuple(units), frozenset(names))


def require_cases(excluded: Exclusions, cases: Sequence[str]) -> None:
    """Raise InputError where something that is excluded is none of the cases."""
    for text in sorted(excluded.cases.difference(cases)):
        raise InputError(
            f"--exclude {text}: expected a query's folder, its JSON or CSV file, or one of {len(cases)} cases, found "
            "none such"
        )


def _from_table(path: Path) -> list[QueriedUnit]:
    """Slices that a query's table lists; its axes are those of files as ITK reads them."""
    rows = csv.DictReader(io.StringIO(read_text(path, _LONGEST), newline=""))
    try:
        return [
            QueriedUnit(case=row["case"], index=int(row["file_index"]), axis=_AXES[row["file_axis"]]) for row in rows
        ]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"{path}: expected a query's table of slices with the columns case, file_axis and file_index, found "
            f"another ({error}); {QUERY} beside it will do as well"
        ) from None


def without(pool: Pool, candidates: Sequence[Unit], excluded: Exclusions) -> tuple[Unit, ...]:
    """Return the candidates of cases that are not excluded that have no voxel in common with an excluded unit."""
    slices = {(unit.case, unit.axis, unit.index) for unit in excluded.units if unit.start is None}
    boxes: dict[str, list[QueriedUnit]] = {}
    for unit in excluded.units:
        if unit.start is not None:
            boxes.setdefault(unit.case, []).append(unit)

    def is_free(unit: Unit) -> bool:
        if unit.case in excluded.cases:
            return False
        if unit.case in pool.axes:
            return (unit.case, pool.axes[unit.case], unit.index) not in slices
        starts, stops = pool.boxes([unit])
        return not any(
            bool((np.asarray(other.start) < stops[0]).all() and (starts[0] < np.asarray(other.stop)).all())
            for other in boxes.get(unit.case, ())
        )

    return tuple(unit for unit in candidates if is_free(unit))
