"""Label files of a query made of its drawings, with the table of what annotators say: what ``import-labels`` takes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albench.annotation.agreement import AGREEMENT, agreement_bytes
from albench.annotation.handed import HandedOut
from albench.annotation.layout import PRISTINE, TABLE
from albench.annotation.query_table import query_table
from albench.annotation.status_table import Remark
from albench.data.label_writer import write_label_like
from albench.drawings.agreement import compared_units
from albench.drawings.assignment import ASSIGNMENT, Assignment, assign
from albench.drawings.drawing import Drawing
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import FOLDER, Drawings
from albench.errors import InputError
from albench.machine.files import HALF_WRITTEN, atomic_file, locked, remove_half_written, sha256, sync, writing_to
from albench.results.sealed import read_sealed, write_sealed

FILES = "files"
"""In the folder of drawings: the composed label files and the table."""

_MANIFEST = ".composed.json"
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Chosen:
    """The drawing of a unit whose labels count, and whose it is."""

    annotator: str
    drawing: Drawing

    @property
    def is_done(self) -> bool:
        """Whether its labels are to be imported: the annotator is done, and no reviewer has sent it back."""
        return self.drawing.status == "done" and self.drawing.verdict != "returned"


def chosen_drawing(drawings: Drawings, first: FirstVersions, assignment: Assignment, rank: int) -> Chosen:
    """Return the drawing that counts: of a unit that two people did the one that was accepted, else the owner's.

    Raises
    ------
    InputError
        A drawing is damaged.
    """
    everybody = [
        Chosen(who, drawings.read(who, rank, lambda: first.of(rank)))
        for who in assignment.of(rank)  # the owner first
    ]
    accepted = (each for each in everybody if each.is_done and each.drawing.verdict == "accepted")
    return next(accepted, everybody[0])


@contextlib.contextmanager
def composed(drawings: Drawings, first: FirstVersions, assignment: Assignment) -> Iterator[Path]:
    """Yield the folder of label files, made anew where drawings have changed, and let nobody change it meanwhile.

    Labels of a unit are taken over once its annotator is done with it and no reviewer has sent it back; all others stay
    as they were handed out, with a status that leaves them open.

    Raises
    ------
    InputError
        A drawing, an image or a copy of what was handed out is gone or damaged; no space left, or no permission.
    """
    place = drawings.folder / FILES
    with writing_to(place):
        place.mkdir(parents=True, exist_ok=True)
    with locked(drawings.folder / f".{FILES}.lock") as held:
        with writing_to(place):
            if held:
                remove_half_written(place)
            _compose(drawings, first, assignment, place)
        yield place


@dataclass(frozen=True)
class DrawnLabels:
    """What is to be imported of a query whose units were drawn in the browser.

    Attributes
    ----------
    folder
        Of label files, see `composed`.
    beside
        Files to keep with the query: how far two annotators agree, where some units have two.
    edited
        Files for editors that somebody has changed as well, of which nothing is taken.
    """

    folder: Path
    beside: Mapping[str, bytes]
    edited: tuple[Path, ...]


@contextlib.contextmanager
def drawn_labels(query: Path) -> Iterator[DrawnLabels | None]:
    """Yield the labels of a query whose units were drawn in the browser, as `composed`; None where nobody has drawn.

    Raises
    ------
    InputError
        As `composed`; or the query cannot be read.
    """
    if not (query / FOLDER / ASSIGNMENT).exists():
        yield None
        return
    handed = HandedOut.read(query)
    drawings, first, assignment = Drawings(handed), FirstVersions(handed), assign(handed)
    if not any(drawings.newest(who, rank) for rank in handed.by_rank for who in assignment.of(rank)):
        yield None
        return
    with composed(drawings, first, assignment) as folder:
        compared = compared_units(drawings, first, assignment)
        beside = {AGREEMENT: agreement_bytes(compared)} if compared else {}
        yield DrawnLabels(folder, beside, tuple(_edited(handed)))


def _edited(handed: HandedOut) -> Iterator[Path]:
    """Yield the files for editors that are others than were handed out."""
    for case in handed.units:
        for copy in handed.pristine(case).values():
            file = handed.folder / copy.relative_to(handed.folder / PRISTINE)
            if file.is_file() and copy.is_file() and sha256(file) != sha256(copy):
                yield file


def _compose(drawings: Drawings, first: FirstVersions, assignment: Assignment, place: Path) -> None:
    handed = drawings.handed
    state = {
        str(rank): [[who, drawings.newest(who, rank)] for who in assignment.of(rank)] for rank in sorted(handed.by_rank)
    }
    before = _manifest(place / _MANIFEST)
    if before.get("query") == handed.id and before.get("drawings") == state and _is_whole(place, before):
        return
    # gone first: files of which some are new are nobody's
    (place / _MANIFEST).unlink(missing_ok=True)
    remarks: dict[int, Remark] = {}
    digests: dict[str, str] = {}
    for case, units in handed.units.items():
        chosen = {rank: chosen_drawing(drawings, first, assignment, rank) for unit in units if (rank := unit.rank or 0)}
        name = f"{handed.task_name(case)}{handed.query.file_ending}"
        changed = _write_case(handed, case, chosen, place / name)
        digests[name] = sha256(place / name)
        remarks |= {rank: _remark(each, is_changed=rank in changed) for rank, each in chosen.items()}
    with atomic_file(place / TABLE) as temporary:
        temporary.write_bytes(query_table(handed.query, remarks))
    digests[TABLE] = sha256(place / TABLE)
    write_sealed(place / _MANIFEST, {"query": handed.id, "drawings": state, "sha256": digests}, format=_FORMAT)


def _manifest(path: Path) -> Mapping[str, Any]:
    """Return what the files were made of; nothing where that cannot be told, and they are made again."""
    try:
        return read_sealed(path, format=_FORMAT)
    except InputError:
        return {}


def _is_whole(place: Path, manifest: Mapping[str, Any]) -> bool:
    digests = manifest.get("sha256")
    return isinstance(digests, dict) and all(
        (place / name).is_file() and sha256(place / name) == digest for name, digest in digests.items()
    )


def _write_case(handed: HandedOut, case: str, chosen: Mapping[int, Chosen], path: Path) -> set[int]:
    """Write a case's labels; return the ranks of its units in which they are others than were handed out."""
    grid = handed.grid(case)
    pristine = handed.handed(case, grid)
    labels = pristine.astype(np.uint16)
    boxes = {rank: handed.by_rank[rank].box(grid.shape) for rank in chosen}
    done = sorted((each.drawing.saved, rank) for rank, each in chosen.items() if each.is_done)
    for _, rank in done:
        labels[boxes[rank]] = handed.ignore
    for _, rank in done:  # of patches that overlap the last one saved has the voxels that it labels
        drawn = chosen[rank].drawing.labels
        np.copyto(labels[boxes[rank]], drawn, where=drawn != handed.ignore)
    if np.array_equal(labels, pristine):
        _replace(path, lambda temporary: shutil.copyfile(handed.pristine(case)[handed.query.file_ending], temporary))
        return set()
    _replace(path, lambda temporary: write_label_like(labels.transpose(), handed.images(case)[0], temporary))
    return {rank for rank, box in boxes.items() if not np.array_equal(labels[box], pristine[box])}


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put a file in the place of `path`; writers choose the format by the whole name, so it is written in a folder."""
    with tempfile.TemporaryDirectory(prefix=HALF_WRITTEN, dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    sync(path.parent)


def _remark(chosen: Chosen, *, is_changed: bool) -> Remark:
    """Return what the table says of a unit.

    What nobody is done with has the status `later` where an import could take it for done: where somebody has begun, or
    a patch beside it has changed its voxels.
    """
    drawing = chosen.drawing
    status = "later" if drawing.version > 0 or is_changed else ""
    if chosen.is_done or drawing.status == "skip":
        status = drawing.status
    comment = " ".join("".join(sign if sign.isprintable() else " " for sign in drawing.comment).split())
    minutes = round(drawing.seconds / 60, 3)
    return Remark(status, minutes or None, comment, chosen.annotator if drawing.version else "")
