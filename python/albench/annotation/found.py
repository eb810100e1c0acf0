"""Which of the files that came back belong to which case, and which of them an annotator has changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from albench.annotation.handed import HandedOut
from albench.annotation.layout import MITK, SEGMENTATION, TABLE
from albench.data.readers import ENDINGS, has_header
from albench.errors import InputError
from albench.machine.files import sha256

_MOST_ENTRIES = 100_000
_DEEPEST = 8
_CHANNEL = re.compile(r"_\d{4}$")


@dataclass(frozen=True)
class FoundFile:
    """A file with labels.

    Attributes
    ----------
    ending
        As `albench.data.readers.ENDINGS` has it, or one of segmentations.
    digest
        SHA-256 of its bytes.
    is_changed
        Whether the bytes are others than those handed out; an editor may have saved the same labels in other bytes.
    """

    path: Path
    ending: str
    digest: str
    is_changed: bool


@dataclass(frozen=True)
class Found:
    """All that came back.

    Attributes
    ----------
    labels
        Files by case, for each case that was asked.
    not_asked
        Files with labels of something else.
    tables
        Copies of the query's table that annotators may have filled in.
    """

    labels: Mapping[str, tuple[FoundFile, ...]]
    not_asked: tuple[Path, ...]
    tables: tuple[Path, ...]


def find_returned(folder: Path, handed: HandedOut, cases: Sequence[str]) -> Found:
    """Look for label files below a folder, by the names of cases or of their tasks.

    What begins with a dot is passed over, and images, whose names end in a channel's number.

    Parameters
    ----------
    cases
        Those whose files are wanted; files of others that were asked are passed over.

    Raises
    ------
    InputError
        No folder; a link, pipe or device where a label file's name is; more than 100,000 entries.
    """
    if not folder.is_dir():
        raise InputError(f"--labels {folder}: expected a folder with what annotators have saved, found none")
    names = {name: case for case in handed.units for name in (case, handed.task_name(case))}
    labels: dict[str, list[FoundFile]] = {case: [] for case in cases}
    not_asked, tables = [], []
    for path in _files(folder):
        if path.name == TABLE:
            tables.append(path)
            continue
        split = _split(path, handed.query.file_ending)
        if split is None:
            continue
        stem, ending = split
        case = names.get(stem)
        if case is None:
            if _CHANNEL.sub("", stem) not in names:
                not_asked.append(path)
        elif case in labels:
            _require_plain(path)
            labels[case].append(_found(path, ending, handed, case))
    return Found({case: tuple(files) for case, files in labels.items()}, tuple(not_asked), tuple(tables))


def _found(path: Path, ending: str, handed: HandedOut, case: str) -> FoundFile:
    digest = sha256(path)
    copy = handed.pristine(case).get(ending)
    return FoundFile(path, ending, digest, copy is None or not copy.is_file() or sha256(copy) != digest)


def _split(path: Path, usual: str) -> tuple[str, str] | None:
    """Name without ending, and ending, of what may be a label file.

    Photographs are labels only where the data set has them: folders are full of pictures.
    """
    lower = path.name.lower()
    for ending in (SEGMENTATION, MITK):
        if lower.endswith(ending):
            return path.name[: -len(ending)], ending
    known = next((ending for ending in ENDINGS if lower.endswith(ending)), None)
    if known is None or not (has_header(path) or known == usual):
        return None
    return path.name[: -len(known)], known


def _files(folder: Path) -> Iterator[Path]:
    """Everything below a folder but folders and what is hidden, in the order of names; links are not followed."""
    n, waiting = 0, [(folder, 0)]
    while waiting:
        place, level = waiting.pop()
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                n += 1
                if n > _MOST_ENTRIES or level > _DEEPEST:
                    raise InputError(
                        f"--labels {folder}: expected a folder with what annotators have saved, found more than "
                        f"{_MOST_ENTRIES:,} files or {_DEEPEST} levels"
                    )
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), level + 1))
                else:
                    yield Path(entry.path)


def _require_plain(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        found = f"a link to {path.readlink()}" if path.is_symlink() else "a pipe, socket or device"
        raise InputError(f"{path}: expected a file with labels, found {found}")
