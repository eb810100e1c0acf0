"""Rows that an import adds to the ledger: units whose labels, state or remarks are not in it yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from albench.annotation.case_import import CaseImport
from albench.annotation.checks import AnsweredUnit
from albench.annotation.findings import unit_name
from albench.annotation.handed import HandedOut
from albench.annotation.ledger import Entry, Key, latest, measures
from albench.annotation.status_table import Remark


@dataclass(frozen=True, eq=False)
class _Row:
    """A unit that may get a row."""

    case: CaseImport
    answer: AnsweredUnit
    is_new: bool
    remark: Remark
    before: Entry | None

    @property
    def is_fresh(self) -> bool:
        """Whether its labels or its state are not in the ledger."""
        return self.is_new or self.before is None or self.before.state != self.answer.state

    @property
    def is_said(self) -> bool:
        """Whether the annotators' table says something that is not in the ledger."""
        if self.before is None:
            return True
        minutes, comment = self.remark.minutes, self.remark.comment
        return (minutes is not None and minutes != self.before.minutes) or (comment not in ("", self.before.comment))


def new_entries(
    handed: HandedOut,
    cases: Sequence[CaseImport],
    remarks: Mapping[int, Remark],
    ledger: Sequence[Entry],
    *,
    imported: str,
    annotator: str | None,
    minutes: float | None,
) -> list[Entry]:
    """Return the rows, in the order of cases and units.

    Parameters
    ----------
    imported
        When; ISO 8601, UTC.
    annotator, minutes
        Who annotated, and how long all took together, of units that the ledger does not know so: what was imported
        before, and lies in the same folder, is not made somebody else's. Minutes are shared among the units for which
        the table has none.
    """
    rows = list(_rows(handed, cases, remarks, latest(ledger)))
    silent = sum(row.is_fresh and row.answer.is_taken and row.remark.minutes is None for row in rows)
    share = None if minutes is None or not silent else round(minutes / silent, 3)
    return [
        _entry(handed, row, imported, annotator=annotator, share=share) for row in rows if row.is_fresh or row.is_said
    ]


def _rows(
    handed: HandedOut, cases: Sequence[CaseImport], remarks: Mapping[int, Remark], known: Mapping[Key, Entry]
) -> Iterator[_Row]:
    for case in cases:
        if case.is_bad:
            continue
        for answer, is_new in _answers(handed, case, remarks):
            rank = answer.unit.rank or 0
            key = (handed.id, case.case, rank, unit_name(answer.unit))
            yield _Row(case, answer, is_new, remarks.get(rank, Remark()), known.get(key))


def _answers(handed: HandedOut, case: CaseImport, remarks: Mapping[int, Remark]) -> list[tuple[AnsweredUnit, bool]]:
    """Answers of a case that stand in the ledger, and whether they change labels; skipped units need no file."""
    if case.answers:
        answered = zip(case.answers, case.is_new, strict=True)
        return [(answer, is_new) for answer, is_new in answered if answer.is_taken or answer.state == "skip"]
    skipped = [unit for unit in handed.units[case.case] if remarks.get(unit.rank or 0, Remark()).status == "skip"]
    return [(AnsweredUnit.skipped(unit), False) for unit in skipped]


def _entry(handed: HandedOut, row: _Row, imported: str, *, annotator: str | None, share: float | None) -> Entry:
    answer, before = row.answer, None if row.is_fresh else row.before
    minutes = row.remark.minutes
    if minutes is None and answer.is_taken:
        minutes = share if before is None else before.minutes
    predicted = (row.case.predicted or {}).get(answer.unit.rank or 0)
    return Entry(
        query=handed.id,
        imported=imported,
        case=row.case.case,
        rank=answer.unit.rank or 0,
        role="extra" if answer.is_extra else answer.unit.role,
        place=unit_name(answer.unit),
        annotator=(annotator or row.remark.annotator or answer.unit.annotator or "")
        if before is None
        else before.annotator,
        state=answer.state,
        minutes=minutes,
        comment=row.remark.comment or ("" if before is None else before.comment),
        sha256=row.case.file.digest if row.case.file is not None and answer.is_taken else "",
        **(measures(answer, handed.class_names, handed.ignore, predicted) if answer.is_taken else {}),
    )
