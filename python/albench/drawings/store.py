"""Drawings of a query on the disk: a folder an annotator and unit, a file a version; none is ever overwritten."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from albench.annotation.handed import HandedOut
from albench.drawings.drawing import Drawing, decoded
from albench.errors import InputError
from albench.machine.facts import utc_now
from albench.machine.files import create_file, remove_abandoned
from albench.machine.names import plain_name
from albench.machine.text import read_json_text

FOLDER = "annotated"
"""In the query's folder: all that annotating in the browser makes."""

_KEPT = 50
"""Versions of a unit that are kept; older ones go."""

_LONGEST = 2**28
_VERSION = re.compile(r"v(\d{9})\.json")


class ConflictError(Exception):
    """A version was saved by somebody else in the meantime; it is in `current`."""

    def __init__(self, current: Drawing) -> None:
        super().__init__(f"version {current.version} is newer")
        self.current = current


@dataclass(frozen=True, eq=False)
class Drawings:
    """All drawings of one query.

    Two processes that save a version of the same number both create a file of that name, which one of them can:
    nothing is lost or mixed without a lock.
    """

    handed: HandedOut

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.handed.folder / FOLDER

    def shape(self, rank: int) -> tuple[int, int, int]:
        """Voxels of a unit's box along i, j and k of the file."""
        return self.handed.shape(rank)

    def read(self, annotator: str, rank: int, handed: Callable[[], Drawing]) -> Drawing:
        """Return the newest version of an annotator's work on a unit.

        Parameters
        ----------
        handed
            Makes version 0, where nothing has been saved yet.

        Raises
        ------
        InputError
            The file of the newest version is damaged.
        """
        number = self.newest(annotator, rank)
        return self._read(annotator, rank, number) if number else handed()

    def newest(self, annotator: str, rank: int) -> int:
        """Return the number of the newest version; 0 where nothing has been saved yet."""
        return max(self._versions(annotator, rank), default=0)

    def history(self, annotator: str, rank: int) -> list[Drawing]:
        """Return the versions that are kept, oldest first."""
        kept = []
        for number in self._versions(annotator, rank):
            try:
                kept.append(self._read(annotator, rank, number))
            except InputError:
                if self._file(self._place(annotator, rank), number).exists():
                    raise  # and is no old version that has just gone
        return kept

    def save(self, annotator: str, rank: int, base: int, drawing: Drawing) -> Drawing:
        """Keep `drawing` as the version after `base`.

        Returns
        -------
        Drawing
            With its version and time.

        Raises
        ------
        ConflictError
            The newest version is not `base`.
        InputError
            No space left, or no permission.
        """
        versions = self._versions(annotator, rank)
        if max(versions, default=0) != base:
            raise self._conflict(annotator, rank)
        saved = drawing.with_changes(version=base + 1, saved=utc_now())
        place = self._place(annotator, rank)
        try:
            create_file(self._file(place, saved.version), json.dumps(saved.encoded(), allow_nan=False))
        except FileExistsError:
            raise self._conflict(annotator, rank) from None
        remove_abandoned(place)
        for number in versions[: -(_KEPT - 1)]:
            self._file(place, number).unlink(missing_ok=True)
        return saved

    def _conflict(self, annotator: str, rank: int) -> ConflictError:
        number = self.newest(annotator, rank)
        if number == 0:
            raise InputError(f"{self._place(annotator, rank)}: expected versions of a drawing, found none any more")
        return ConflictError(self._read(annotator, rank, number))

    def _place(self, annotator: str, rank: int) -> Path:
        return self.folder / "units" / plain_name("annotator", annotator) / f"{rank:06d}"

    @staticmethod
    def _file(place: Path, version: int) -> Path:
        return place / f"v{version:09d}.json"

    def _versions(self, annotator: str, rank: int) -> list[int]:
        """Numbers of the versions that are kept, ascending."""
        try:
            names = [path.name for path in self._place(annotator, rank).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for name in names if (match := _VERSION.fullmatch(name)))

    def _read(self, annotator: str, rank: int, version: int) -> Drawing:
        path = self._file(self._place(annotator, rank), version)
        try:
            drawing = decoded(read_json_text(path, _LONGEST), self.shape(rank))
            if drawing.version != version:
                raise ValueError(f"expected version {version}, found {drawing.version}")
        except (ValidationError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: expected a drawing of unit {rank}, found something else: {error}") from None
        return drawing
