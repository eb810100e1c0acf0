"""What people do with units: read, save, review; each of them what is theirs alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from albench.annotate.asked import Asked
from albench.annotate.people import Person
from albench.annotate.refusals import ForbiddenError, RefusedError, UnknownError
from albench.drawings.assignment import Assignment
from albench.drawings.drawing import LONGEST_COMMENT, MOST_SECONDS, Drawing, Status, Verdict
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import ConflictError, Drawings
from albench.errors import InputError, is_plain

MOST_SECONDS_AT_ONCE = 24 * 3600.0


@dataclass(frozen=True)
class Saving:
    """What an annotator sends.

    Attributes
    ----------
    base
        Version that they have drawn on.
    labels
        As `Codes.encoded` writes them; None: as they were.
    seconds_delta
        Active time since what was sent last.
    """

    base: int
    labels: str | None
    status: Status
    comment: str
    seconds_delta: float
    allow_unlabelled: bool = False


@dataclass(frozen=True, eq=False)
class Work:
    """Everybody's work on a query."""

    asked: Asked
    drawings: Drawings
    first: FirstVersions
    assignment: Assignment
    reviewer: str | None = None
    _heads: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict, init=False, repr=False)
    _first: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def listed(self, person: Person) -> Iterator[tuple[str, int]]:
        """Yield annotator and rank of each unit that somebody sees, in the order of rank."""
        for rank in self.asked.ranks:
            for who in self.assignment.of(rank):
                if person.is_reviewer or who == person.name:
                    yield who, rank

    def annotator(self, person: Person, rank: int, named: str | None) -> str:
        """Return whose work on a unit somebody means.

        Raises
        ------
        UnknownError
            No such unit, or the reviewer names nobody who annotates it.
        ForbiddenError
            It is another annotator's.
        """
        if rank not in self.asked.handed.by_rank:
            raise UnknownError(f"no unit {rank}")
        who = self.assignment.of(rank)
        if not person.is_reviewer:
            if named not in (None, person.name) or person.name not in who:
                raise ForbiddenError(f"unit {rank} is another annotator's")
            return person.name
        if named is None and len(who) == 1:
            return who[0]
        if named not in who:
            raise UnknownError(f"expected annotator={' or '.join(who)} for unit {rank}")
        return named

    def unit(self, who: str, rank: int) -> dict[str, Any]:
        """Return a unit as lists have it, without labels."""
        return self.asked.described(rank) | {"annotator": who} | self._head(who, rank)

    def unit_with_labels(self, who: str, rank: int) -> dict[str, Any]:
        """Return a unit with its labels, and with what was handed out."""
        drawing = self.read(who, rank)
        return self._as_json(who, rank, drawing) | {
            "labels": self._encoded(rank, drawing),
            "handed_out": self._encoded(rank, self.handed_out(rank)),
        }

    def read(self, who: str, rank: int) -> Drawing:
        """Return the newest version of somebody's work on a unit."""
        return self.drawings.read(who, rank, lambda: self.handed_out(rank))

    def handed_out(self, rank: int) -> Drawing:
        """Return version 0."""
        with self._first:  # a case's file is read once, whoever asks at the same time
            return self.first.of(rank)

    def save(self, person: Person, rank: int, saving: Saving) -> dict[str, Any]:
        """Keep what an annotator sends as a new version; what is sent again, unanswered, is kept once.

        Raises
        ------
        ForbiddenError, UnknownError
            As `annotator`; or a reviewer saves.
        RefusedError
            Labels, comment or time that cannot be; or voxels left in what is said to be done.
        ConflictError
            Another version is there by now.
        InputError
            What is on the disk is damaged; no space left, or no permission.
        """
        who = self.annotator(person, rank, None if person.is_reviewer else person.name)
        if person.is_reviewer:
            raise ForbiddenError("a reviewer accepts or sends back, and draws nothing")
        comment = _comment("comment", saving.comment)
        if not 0 <= saving.seconds_delta <= MOST_SECONDS_AT_ONCE:
            raise RefusedError(f"seconds_delta: expected 0 to {MOST_SECONDS_AT_ONCE:g}, got {saving.seconds_delta}")
        labels = None
        if saving.labels is not None:
            turn = self.asked.case_of(rank).turn
            try:
                labels = self.asked.codes.decoded(saving.labels, self.drawings.shape(rank), turn)
            except InputError as error:
                raise RefusedError(str(error)) from None
        return self._saved(who, rank, saving, labels, comment)

    def save_labels(self, who: str, rank: int, labels: Any, status: Status) -> dict[str, Any]:
        """Keep labels (i, j, k) that came as a file, after whatever version is there.

        Raises
        ------
        InputError, ConflictError
            As `save`.
        """
        current = self.read(who, rank)
        saving = Saving(current.version, None, status, current.comment, 0.0, allow_unlabelled=True)
        return self._saved(who, rank, saving, labels, current.comment)

    def review(
        self, person: Person, rank: int, named: str | None, base: int, verdict: Verdict, remark: str
    ) -> dict[str, Any]:
        """Keep what a reviewer says of a version.

        Raises
        ------
        ForbiddenError, UnknownError
            As `annotator`; or it is no reviewer who says so.
        RefusedError
            The annotator is not done with what is accepted; a remark that cannot be.
        ConflictError
            Another version is there by now.
        """
        if not person.is_reviewer:
            raise ForbiddenError("only a reviewer accepts or sends back")
        who = self.annotator(person, rank, named)
        remark = _comment("remark", remark)
        current = self.read(who, rank)
        if current.version != base:
            raise ConflictError(current)
        if verdict == "accepted" and current.status not in ("done", "skip"):
            raise RefusedError(
                f"verdict: expected a unit that its annotator is done with, got one that is {current.status}"
            )
        said = current.with_changes(verdict=verdict, remark=remark, by=person.name)
        return self._as_json(who, rank, self.drawings.save(who, rank, base, said))

    def conflict(self, who: str, rank: int, current: Drawing) -> dict[str, Any]:
        """Return the version that is there instead, with its labels."""
        return self._as_json(who, rank, current) | {"labels": self._encoded(rank, current)}

    def versions(self, who: str, rank: int) -> list[dict[str, Any]]:
        """Return the versions that are kept, oldest first."""
        return [
            {
                "version": drawing.version,
                "saved": drawing.saved,
                "by": drawing.by,
                "status": drawing.status,
                "n_unlabelled": self._n_unlabelled(drawing),
            }
            for drawing in self.drawings.history(who, rank)
        ]

    def version(self, who: str, rank: int, number: int) -> dict[str, Any]:
        """Return the labels of a version; 0 is what was handed out.

        Raises
        ------
        UnknownError
            It is not kept.
        """
        kept = [self.handed_out(rank)] if number == 0 else self.drawings.history(who, rank)
        for drawing in kept:
            if drawing.version == number:
                return {"version": number, "labels": self._encoded(rank, drawing)}
        raise UnknownError(f"no version {number} of unit {rank}")

    def _saved(self, who: str, rank: int, saving: Saving, labels: Any, comment: str) -> dict[str, Any]:
        current = self.read(who, rank)
        wanted = current.labels if labels is None else labels
        same = np.array_equal(wanted, current.labels) and (saving.status, comment) == (current.status, current.comment)
        if current.version != saving.base:
            sent_again = current.version == saving.base + 1 and current.by == who and same
            if sent_again:  # the answer to the first time was lost
                return self._as_json(who, rank, current)
            raise ConflictError(current)
        n_unlabelled = int(np.count_nonzero(wanted == self.asked.handed.ignore))
        if saving.status == "done" and n_unlabelled and not saving.allow_unlabelled:
            raise RefusedError(
                f"status: expected all voxels of a unit that is done to be labelled, {n_unlabelled} are not"
            )
        drawing = current.with_changes(
            labels=wanted,
            status=saving.status,
            comment=comment,
            seconds=min(current.seconds + saving.seconds_delta, MOST_SECONDS),
            by=who,
        )
        if not same:
            drawing = drawing.with_changes(verdict=None, remark="")
        return self._as_json(who, rank, self.drawings.save(who, rank, saving.base, drawing))

    def _as_json(self, who: str, rank: int, drawing: Drawing) -> dict[str, Any]:
        return self.asked.described(rank) | {"annotator": who} | self._facts(drawing)

    def _head(self, who: str, rank: int) -> dict[str, Any]:
        """Return what lists say of the newest version; read once a version."""
        newest, known = self.drawings.newest(who, rank), self._heads.get((who, rank))
        if known is not None and known["version"] == newest:
            return known
        unit = self.asked.handed.by_rank[rank]
        if newest == 0 and unit.file_axis is not None and unit.prefill != "labels":
            n = 0 if unit.prefill != "none" else int(np.prod(self.drawings.shape(rank)))
            none = np.empty((0, 0, 0), dtype=np.uint16)
            facts = self._facts(Drawing(version=0, labels=none)) | {"n_unlabelled": n}  # no file need be read
        else:
            facts = self._facts(self.read(who, rank))
        self._heads[who, rank] = facts
        return facts

    def _facts(self, drawing: Drawing) -> dict[str, Any]:
        return {
            "version": drawing.version,
            "status": drawing.status,
            "n_unlabelled": self._n_unlabelled(drawing),
            "seconds": drawing.seconds,
            "comment": drawing.comment,
            "verdict": drawing.verdict,
            "remark": drawing.remark,
        }

    def _n_unlabelled(self, drawing: Drawing) -> int:
        return int(np.count_nonzero(drawing.labels == self.asked.handed.ignore))

    def _encoded(self, rank: int, drawing: Drawing) -> str:
        return self.asked.codes.encoded(drawing.labels, self.asked.case_of(rank).turn)


def _comment(what: str, text: str) -> str:
    """Return a text in one line.

    Raises
    ------
    RefusedError
        It is too long, or has control characters.
    """
    line = " ".join(text.split())
    if len(line) > LONGEST_COMMENT:
        raise RefusedError(f"{what}: expected at most {LONGEST_COMMENT} characters, got {len(line)}")
    if not is_plain(line):
        raise RefusedError(f"{what}: expected a text without control characters")
    return line
