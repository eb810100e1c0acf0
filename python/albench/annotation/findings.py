"""What is found in returned files: errors that keep labels out, warnings, and what was put right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from albench.results.query import QueriedUnit

Level = Literal["error", "warning", "note"]
Kind = Literal[
    "unreadable",
    "grid",
    "turned",
    "cropped",
    "renumbered",
    "moved",
    "outside",
    "value",
    "segments",
    "unlabelled",
    "unchanged",
    "not asked",
    "image",
    "both files",
    "conflict",
    "status",
]


@dataclass(frozen=True)
class Finding:
    """One thing about one case.

    Attributes
    ----------
    message
        What was expected and what was found; the file's name stands in `file`.
    file
        As the user gave it; empty where it is about none.
    """

    level: Level
    kind: Kind
    case: str
    file: str
    message: str

    def as_row(self) -> tuple[str, str, str, str]:
        """Return case, kind, message and file for a table; what a terminal would obey is written out."""
        return self.case, self.kind, _shown(self.message), _shown(self.file)

    def as_json(self) -> dict[str, Any]:
        """Return the values for ``--json``."""
        case, kind, message, file = self.as_row()
        return {"level": self.level, "kind": kind, "case": case, "file": file, "message": message}


def _shown(text: str) -> str:
    r"""Return a text with all that is not printable as ``\x1b`` and the like: names of files may be anything."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def unit_name(unit: QueriedUnit) -> str:
    """Name a unit as editors show it: ``slice 12 along k``, counted from 1, or ``patch 1:16, 1:16, 5:20``."""
    if unit.file_axis is not None and unit.file_index is not None:
        return slice_name(unit.file_axis, unit.file_index)
    bounds = zip(unit.file_start or (), unit.file_stop or (), strict=True)
    return f"patch {', '.join(f'{low + 1}:{high}' for low, high in bounds)}"


def slice_name(axis: str, index: int) -> str:
    """Name a slice by its place in the file, counted from 1."""
    return f"slice {index + 1} along {axis}"
