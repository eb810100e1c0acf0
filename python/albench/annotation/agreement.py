"""How far two annotators agree on units that both have done, kept as a table beside the query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from albench.errors import InputError
from albench.machine.spreadsheet import cell_text, csv_bytes, read_rows
from albench.stats.audit import AuditedDice, audit_dice

AGREEMENT = "agreement.csv"
"""File of the table, in the folder of a query in the data set."""

_LONGEST = 1 << 26
_TEXTS, _COUNTS = (
    ("case", "place", "first", "second", "class"),
    ("rank", "first_voxels", "second_voxels", "both_voxels"),
)


@dataclass(frozen=True)
class ClassOverlap:
    """Voxels of a class in one unit, of those that both annotators have labelled."""

    first: int
    second: int
    both: int

    @property
    def dice(self) -> float | None:
        """Dice of the two; None where neither has any of the class."""
        size = self.first + self.second
        return 2 * self.both / size if size else None


@dataclass(frozen=True)
class ComparedUnit:
    """A unit that two annotators have done.

    Attributes
    ----------
    first
        Whose unit it is.
    second
        Who did it as well.
    classes
        By name, background left out.
    """

    rank: int
    case: str
    place: str
    first: str
    second: str
    classes: Mapping[str, ClassOverlap]


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators.

    Attributes
    ----------
    annotators
        In the order of their names.
    n_units
        That both have done.
    dice
        By class: of all voxels of these units together; None where neither has any.
    intervals
        By class: the 95 % interval of the Dice over all units that the two could have done, since those that both do
        are drawn uniformly (`albench.stats.audit`); None with `dice`.
    """

    annotators: tuple[str, str]
    n_units: int
    dice: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]


def pair_agreements(units: Iterable[ComparedUnit]) -> list[PairAgreement]:
    """Put the units of each pair of annotators together."""
    by_pair: dict[tuple[str, str], list[ComparedUnit]] = {}
    for unit in units:
        low, high = sorted((unit.first, unit.second))
        by_pair.setdefault((low, high), []).append(unit)
    return [_pair(names, rows) for names, rows in sorted(by_pair.items())]


def _pair(annotators: tuple[str, str], units: Sequence[ComparedUnit]) -> PairAgreement:
    classes = list(dict.fromkeys(name for unit in units for name in unit.classes))
    nothing = ClassOverlap(0, 0, 0)
    table = [[unit.classes.get(name, nothing) for name in classes] for unit in units]
    both = np.array([[each.both for each in row] for row in table], dtype=np.int64)
    first = np.array([[each.first for each in row] for row in table], dtype=np.int64)
    second = np.array([[each.second for each in row] for row in table], dtype=np.int64)
    found: dict[str, AuditedDice] = {}
    if classes:
        found = dict(zip(classes, audit_dice(both, first - both, second - both).classes, strict=True))
    return PairAgreement(
        annotators,
        len(units),
        {name: each.dice if each.n_informative else None for name, each in found.items()},
        {name: (each.low, each.high) if each.n_informative else None for name, each in found.items()},
    )


def agreement_bytes(units: Iterable[ComparedUnit]) -> bytes:
    """Return a row for each unit and class, as CSV."""
    rows = [
        {
            "rank": unit.rank,
            "case": unit.case,
            "place": unit.place,
            "first": unit.first,
            "second": unit.second,
            "class": name,
            "first_voxels": each.first,
            "second_voxels": each.second,
            "both_voxels": each.both,
            "dice": "" if each.dice is None else f"{each.dice:.6f}",
        }
        for unit in units
        for name, each in unit.classes.items()
    ]
    return csv_bytes(pd.DataFrame(rows, columns=["rank", *_TEXTS, *_COUNTS[1:], "dice"]))


def read_agreement(path: Path) -> list[ComparedUnit]:
    """Read the table; none where there is no file.

    Raises
    ------
    InputError
        It is damaged, or has other columns.
    """
    rows = read_rows(path, _LONGEST, "a table of agreement")
    units: dict[tuple[int, str, str, str, str], dict[str, ClassOverlap]] = {}
    try:
        for row in rows:
            texts = {name: cell_text(row[name]) for name in _TEXTS}
            rank, first, second, both = (int(row[name]) for name in _COUNTS)
            if not 0 <= both <= min(first, second):
                raise ValueError(f"{both} voxels of {first} and {second}")
            key = (rank, texts["case"], texts["place"], texts["first"], texts["second"])
            units.setdefault(key, {})[texts["class"]] = ClassOverlap(first, second, both)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected a table of agreement, found: {error}") from None
    return [ComparedUnit(*key, classes=classes) for key, classes in units.items()]
