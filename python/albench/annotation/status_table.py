"""What annotators put down in the query's table: done, skip or later, who, minutes, a comment."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from albench.errors import InputError, is_plain
from albench.machine.names import is_name
from albench.machine.spreadsheet import cell_text
from albench.machine.text import read_text
from albench.results.query import QueriedUnit

STATUSES = ("done", "skip", "later")
_MOST_MINUTES = 100_000
_LONGEST_COMMENT = 1000
_DELIMITERS = (",", ";", "\t")  # a spreadsheet writes what its country has


@dataclass(frozen=True)
class Remark:
    """What an annotator says of a unit.

    Attributes
    ----------
    status
        One of `STATUSES`, or empty.
    minutes
        Time it took; None where nobody says.
    annotator
        Who it was, if another than the query asks; else empty.
    """

    status: str = ""
    minutes: float | None = None
    comment: str = ""
    annotator: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return self == Remark()


def read_remarks(paths: Iterable[Path], units: Iterable[QueriedUnit]) -> dict[int, Remark]:
    """Read all copies of a query's table.

    Copies that annotators sent back are joined: a unit's row is taken from the copy where it is filled in.

    Returns
    -------
    dict
        Remarks by the rank of a unit; none for rows that are empty.

    Raises
    ------
    InputError
        A copy is no table of this query, has another status or no number for minutes; two copies have the same row
        filled in differently.
    """
    by_rank = {unit.rank: unit for unit in units if unit.rank is not None}
    remarks: dict[int, Remark] = {}
    places: dict[int, Path] = {}
    for path in paths:
        for rank, remark in _rows(path, by_rank):
            if remark.is_empty:
                continue
            if remarks.setdefault(rank, remark) != remark:
                raise InputError(
                    f"{path}: expected the row of rank {rank} as in {places[rank]}, found it filled in otherwise"
                )
            places.setdefault(rank, path)
    return remarks


def _rows(path: Path, units: Mapping[int, QueriedUnit]) -> list[tuple[int, Remark]]:
    text = read_text(path, what="table")
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: expected a table, found: {error}") from None
    needed = ("rank", "file_index", "status", "minutes", "comment")
    missing = [name for name in needed if rows and name not in rows[0]]
    if missing:
        raise InputError(f"{path}: expected the query's table, found no column '{missing[0]}'")
    return [_row(path, row, units) for row in rows if any(cell for cell in row.values())]


def _row(path: Path, row: Mapping[str, str | None], units: Mapping[int, QueriedUnit]) -> tuple[int, Remark]:
    cell = {name: (row[name] or "").strip() for name in ("rank", "file_index", "status", "minutes", "comment")}
    unit = units.get(int(cell["rank"])) if cell["rank"].isascii() and cell["rank"].isdigit() else None
    if unit is None or unit.rank is None:
        raise InputError(f"{path}: expected a rank of the query, found '{cell['rank']:.50}'")
    index = "" if unit.file_index is None else str(unit.file_index)
    if unit.file_index is not None and cell["file_index"] != index:
        raise InputError(
            f"{path}: expected file_index {index} at rank {unit.rank}, found '{cell['file_index']:.50}': a table of "
            "another query, or a column sorted by itself"
        )
    status = cell["status"].lower()
    if status and status not in STATUSES:
        raise InputError(
            f"{path}: expected a status of {', '.join(STATUSES)} or none at rank {unit.rank}, found "
            f"'{cell['status']:.50}'"
        )
    comment = cell_text(" ".join(cell["comment"].split()))[:_LONGEST_COMMENT]
    if not is_plain(comment):
        raise InputError(f"{path}: expected a comment without control characters at rank {unit.rank}")
    annotator = cell_text((row.get("annotator") or "").strip())
    if annotator and not is_name(annotator):
        raise InputError(f"{path}: expected the name of an annotator at rank {unit.rank}, found {annotator!r:.200}")
    other = "" if annotator == unit.annotator else annotator
    return unit.rank, Remark(status, _minutes(path, unit.rank, cell["minutes"]), comment, other)


def _minutes(path: Path, rank: int, text: str) -> float | None:
    if not text:
        return None
    try:
        minutes = float(text.replace(",", "."))
    except ValueError:
        minutes = math.nan
    if not 0 <= minutes <= _MOST_MINUTES:
        raise InputError(f"{path}: expected minutes at rank {rank}, a number from 0 on, found '{text:.50}'")
    return round(minutes, 3)
