"""One case of an import: its files are read and checked, its units' labels are kept until all cases are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.annotation.checks import AnsweredUnit, Asked, Taking, check
from albench.annotation.findings import Finding, Kind, unit_name
from albench.annotation.found import FoundFile
from albench.annotation.grid import GridError
from albench.annotation.handed import HandedOut
from albench.annotation.raw_folder import RawFolder
from albench.annotation.returned import Returned, as_whole, read_returned
from albench.annotation.segments import SegmentError
from albench.annotation.status_table import Remark
from albench.errors import InputError


@dataclass(frozen=True, eq=False)
class CaseImport:
    """What came back for a case.

    Attributes
    ----------
    file
        The file whose labels these are; None where none came, or none that could be used.
    answers
        Of its units, slices that nobody had asked for included; empty where something is wrong.
    known_sha256
        Of the label file that the data set had; None where it had none.
    is_new
        For each answer whether taking it changes a voxel of the data set.
    predicted
        Labels of the asking model in the boxes of audited units, by rank.
    """

    case: str
    file: FoundFile | None
    findings: tuple[Finding, ...]
    answers: tuple[AnsweredUnit, ...] = ()
    known_sha256: str | None = None
    is_new: tuple[bool, ...] = ()
    predicted: Mapping[int, NDArray[Any]] | None = None

    @property
    def is_bad(self) -> bool:
        """Whether something keeps its labels out."""
        return any(finding.level == "error" for finding in self.findings)


class _RefusedError(Exception):
    """A case whose labels cannot be used, for this reason."""

    def __init__(self, kind: Kind, message: str, file: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.file = kind, message, file


def import_case(
    handed: HandedOut,
    case: str,
    files: Sequence[FoundFile],
    remarks: Mapping[int, Remark],
    raw: RawFolder,
    taking: Taking,
    *,
    replace: bool,
) -> CaseImport:
    """Read and check what came back for a case; nothing is written.

    Parameters
    ----------
    files
        Its label files, as they were found.
    remarks
        What annotators put down, by a unit's rank.
    replace
        Whether labels that the data set has in the same place give way.
    """
    try:
        if not files:
            return CaseImport(case, None, ())
        handed.require_images(case)
        grid = handed.grid(case)
        asked = Asked(
            case,
            grid,
            handed.handed(case, grid),
            handed.units[case],
            handed.values,
            handed.ignore,
            {rank: remark.status for rank, remark in remarks.items()},
        )
    except InputError as error:
        return CaseImport(case, None, (Finding("error", "image", case, "", str(error)),))
    try:
        file, returned = _the_one(files, asked, by_voxels=handed.trust_image_geometry)
    except _RefusedError as refused:
        return CaseImport(case, None, (Finding("error", refused.kind, case, refused.file, refused.message),))
    checked = check(asked, returned, taking, str(file.path))
    if not checked.answers:
        return CaseImport(case, file, checked.findings)
    return _beside_known(handed, asked, file, checked.findings, checked.answers, raw, replace=replace)


def _the_one(files: Sequence[FoundFile], asked: Asked, *, by_voxels: bool) -> tuple[FoundFile, Returned]:
    """File that an annotator has changed, read; any where none was. Two that say different things are refused."""
    changed = [file for file in files if file.is_changed] or files[:1]
    read = [(file, _read(file, asked, by_voxels=by_voxels)) for file in changed]
    if len(read) > 1:
        read = [entry for entry in read if not _is_as_handed(entry[1], asked)] or read[:1]
    first, returned = read[0]
    for other, again in read[1:]:
        if not _is_same(returned, again):
            raise _RefusedError(
                "both files",
                f"expected one file of the case to be edited, found {first.path} as well; remove one of them",
                str(other.path),
            )
    return first, returned


def _read(file: FoundFile, asked: Asked, *, by_voxels: bool) -> Returned:
    try:
        return read_returned(file.path, asked.grid, asked.values, by_voxels=by_voxels)
    except GridError as error:
        raise _RefusedError("grid", str(error), str(file.path)) from None
    except SegmentError as error:
        raise _RefusedError("segments", str(error).removeprefix(f"{file.path}: "), str(file.path)) from None
    except InputError as error:
        raise _RefusedError("unreadable", str(error).removeprefix(f"{file.path}: "), str(file.path)) from None


def _is_as_handed(returned: Returned, asked: Asked) -> bool:
    return (
        returned.has_ignore
        and returned.placement.is_whole
        and (whole := as_whole(returned.voxels)) is not None
        and np.array_equal(whole, asked.handed)
    )


def _is_same(first: Returned, second: Returned) -> bool:
    return first.placement.box == second.placement.box and np.array_equal(first.voxels, second.voxels)


def _beside_known(
    handed: HandedOut,
    asked: Asked,
    file: FoundFile,
    findings: tuple[Finding, ...],
    answers: tuple[AnsweredUnit, ...],
    raw: RawFolder,
    *,
    replace: bool,
) -> CaseImport:
    """Hold the answers against the labels that the data set has already."""
    case = asked.case
    try:
        known, digest = raw.label(case, asked.grid, by_voxels=handed.trust_image_geometry)
        predicted = _predicted(handed, asked, answers)
        list(raw.links(handed, case))
    except InputError as error:
        return CaseImport(case, file, (*findings, Finding("error", "image", case, "", str(error))))
    if known is None:
        is_new = tuple(answer.is_taken for answer in answers)
        return CaseImport(case, file, findings, answers, None, is_new, predicted)
    more = []
    is_new = ()
    for answer in answers:
        before = known[answer.box]
        labelled = answer.labels != asked.ignore
        differs = labelled & (before != answer.labels)
        is_new += (bool(answer.is_taken and differs.any()),)
        others = differs & (before != asked.ignore)
        if answer.unit.prefill == "labels":
            others &= before != answer.handed  # what the annotator saw and corrected
        n = int(np.count_nonzero(others))
        if answer.is_taken and n:
            says = f"{unit_name(answer.unit)}: the data set has other labels in {n:,} voxels"
            wish = "replaced" if replace else "--on-conflict replace takes the new ones"
            level = "note" if replace else "error"
            more.append(Finding(level, "conflict", case, str(file.path), f"{says}; {wish}"))  # type: ignore[arg-type]
    bad = any(finding.level == "error" for finding in more)
    return CaseImport(case, file, (*findings, *more), () if bad else answers, digest, () if bad else is_new, predicted)


def _predicted(handed: HandedOut, asked: Asked, answers: Sequence[AnsweredUnit]) -> dict[int, NDArray[Any]]:
    """Labels of the asking model in audited units."""
    audited = [answer for answer in answers if answer.unit.role == "audit" and not answer.is_extra]
    if not audited:
        return {}
    labels = handed.prediction(asked.case, asked.grid)
    if labels is None:
        return {}
    return {answer.unit.rank or 0: labels[answer.box].copy() for answer in audited}


def merged(case: CaseImport, known: NDArray[Any] | None, shape: Sequence[int], ignore: int) -> NDArray[np.uint16]:
    """Labels of a case with those of its answers, uint16 (i, j, k); ignored where nobody has labelled.

    Parameters
    ----------
    known
        What the data set has; None: nothing.
    """
    labels = np.full(tuple(shape), ignore, dtype=np.uint16, order="F") if known is None else known.astype(np.uint16)
    for answer in case.answers:
        if answer.is_taken:
            part = labels[answer.box]
            np.copyto(part, answer.labels, where=answer.labels != ignore)
    return labels
