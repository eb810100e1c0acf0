"""The ledger of a project: a row for each unit that came back, kept as CSV for people and spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.annotation.checks import AnsweredUnit, State
from albench.errors import InputError
from albench.machine.spreadsheet import cell_text, csv_bytes, read_rows
from albench.units.borders import border

_COUNTS = ("voxels", "unlabelled", "changed", "foreground", "border")
_TEXTS = ("query", "imported", "case", "role", "place", "annotator", "state", "comment", "sha256")
_PER_CLASS = ("changed", "dice", "tp", "fp", "fn")
_COLUMNS = (
    *("query", "imported", "case", "rank", "role", "place", "annotator", "state", "minutes", "comment"),
    *(*_COUNTS, "sha256"),
)
_LONGEST = 1 << 28

Key = tuple[str, str, int, str]
"""Query, case, rank and place of a unit."""


@dataclass(frozen=True)
class Entry:
    """One row: what was done to a unit by one import. The last row of a unit is what holds.

    Attributes
    ----------
    query
        Name of the query.
    imported
        When; ISO 8601, UTC.
    rank
        Of the unit in the query; 0 for slices that nobody had asked for.
    role
        ``strategy``, ``audit``, or ``extra`` for those.
    place
        The unit as editors show it.
    state
        ``done``, ``partial`` or ``skip``.
    minutes
        Time that it took; None where nobody says.
    voxels, unlabelled, changed, foreground, border
        Voxels of the unit; those without a label; those with another label than was handed out; those of any class;
        and of these those beside another label.
    sha256
        Of the file that came back; empty where none did.
    per_class
        Class name to ``changed`` (voxels that became of the class or ceased to be), ``dice`` (against what was handed
        out), and for audited units ``tp``, ``fp``, ``fn`` of the asking model's labels, in voxels.
    """

    query: str
    imported: str
    case: str
    rank: int
    role: str
    place: str
    annotator: str
    state: State
    minutes: float | None
    comment: str
    voxels: int = 0
    unlabelled: int = 0
    changed: int = 0
    foreground: int = 0
    border: int = 0
    sha256: str = ""
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What tells units apart."""
        return self.query, self.case, self.rank, self.place


def measures(
    answer: AnsweredUnit, classes: Mapping[int, str], ignore: int, predicted: NDArray[Any] | None
) -> dict[str, Any]:
    """Count what an entry says of a unit's voxels, by the fields of `Entry`.

    Parameters
    ----------
    classes
        Value to name of the foreground classes.
    predicted
        Labels of the asking model in the unit's box, where it is audited.
    """
    now, handed = answer.labels, answer.handed
    known = now != ignore
    in_plane = [axis for axis, length in enumerate(now.shape) if length > 1]
    drawn = known & (now > 0)
    per_class = {}
    for value, name in classes.items():
        is_now, was = now == value, handed == value
        counts = {"changed": float(np.count_nonzero(is_now != was))}
        both = known & (handed != ignore)
        size = np.count_nonzero(is_now & both) + np.count_nonzero(was & both)
        if size:
            counts["dice"] = 2 * np.count_nonzero(is_now & was) / size
        if predicted is not None:
            guess = (predicted == value) & known
            counts["tp"] = float(np.count_nonzero(guess & is_now))
            counts["fp"] = float(np.count_nonzero(guess & ~is_now))
            counts["fn"] = float(np.count_nonzero(~guess & is_now))
        per_class[name] = counts
    return {
        "voxels": now.size,
        "unlabelled": int(np.count_nonzero(~known)),
        "changed": int(np.count_nonzero(now != handed)),
        "foreground": int(np.count_nonzero(drawn)),
        "border": int(np.count_nonzero(border(now, in_plane) & drawn)),
        "per_class": per_class,
    }


def ledger_bytes(entries: Sequence[Entry], classes: Iterable[str]) -> bytes:
    """Return the ledger as CSV."""
    names = list(classes)
    rows = []
    for entry in entries:
        row = {column: getattr(entry, column) for column in _COLUMNS}
        for name in names:
            counts = entry.per_class.get(name, {})
            row |= {f"{what} {name}": counts.get(what) for what in _PER_CLASS}
        rows.append({column: "" if value is None else _short(value) for column, value in row.items()})
    columns = [*_COLUMNS, *(f"{what} {name}" for name in names for what in _PER_CLASS)]
    return csv_bytes(pd.DataFrame(rows, columns=columns))


def _short(value: Any) -> Any:
    return f"{value:.10g}" if isinstance(value, float) else value


def read_ledger(path: Path) -> list[Entry]:
    """Read a ledger; none where there is no file.

    Raises
    ------
    InputError
        It is damaged, or has other columns.
    """
    rows = read_rows(path, _LONGEST, "a ledger of annotations")
    missing = [column for column in _COLUMNS if rows and column not in rows[0]]
    if missing:
        raise InputError(f"{path}: expected a ledger of annotations, found no column '{missing[0]}'")
    return [_entry(path, number, row) for number, row in enumerate(rows)]


def _entry(path: Path, number: int, row: Mapping[str, str]) -> Entry:
    per_class: dict[str, dict[str, float]] = {}
    try:
        for column, text in row.items():
            what, _, name = column.partition(" ")
            if column not in _COLUMNS and what in _PER_CLASS and text:
                per_class.setdefault(name, {})[what] = float(text)
        texts = {name: cell_text(row[name]) for name in _TEXTS}
        if texts["state"] not in ("done", "partial", "skip"):
            raise ValueError(f"the state {texts['state']!r:.50}")
        return Entry(
            **texts,  # type: ignore[arg-type]
            **{name: int(row[name]) for name in (*_COUNTS, "rank")},  # type: ignore[arg-type]
            minutes=float(row["minutes"]) if row["minutes"] else None,
            per_class=per_class,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected entries of a ledger, found in row {number + 2}: {error}") from None


def latest(entries: Iterable[Entry]) -> dict[Key, Entry]:
    """Last entry of each unit, in the order of first entries."""
    return {entry.key: entry for entry in entries}


def audit_counts(entries: Iterable[Entry], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return what the asking model's labels of audited units are worth.

    Returns
    -------
    ndarray
        int64 (n_units, n_classes, 3): true positives, false positives and false negatives in voxels, of the units that
        are done and that the model had labelled.
    """
    audited = [entry for entry in entries if entry.role == "audit" and entry.state == "done"]
    known = [entry for entry in audited if any("tp" in counts for counts in entry.per_class.values())]
    counts = [[[entry.per_class.get(c, {}).get(w, 0) for w in ("tp", "fp", "fn")] for c in classes] for entry in known]
    return np.array(counts, dtype=np.int64).reshape(-1, len(classes), 3)
