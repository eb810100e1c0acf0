"""Names that come with data: of cases, labels, channels. They become paths, and stand in tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from albench.errors import InputError, is_plain

LONGEST_NAME = 200
"""Bytes: file systems take 255, and file names have more in them than a case's name."""


def require_names(path: Path, what: str, names: Iterable[str], *, of_files: bool = False) -> None:
    """Raise for a name that cannot stand in a table, or in a file name.

    Parameters
    ----------
    path
        File or folder that the names come from.
    what
        Of what they are names, e.g. ``"case"``.
    of_files
        Whether they become parts of file names: then ``.``, ``..`` and slashes are refused as well.

    Raises
    ------
    InputError
        A name is empty, longer than `LONGEST_NAME`, or holds control characters.
    """
    for name in names:
        is_path = of_files and (name in (".", "..") or "/" in name)
        if not name.strip() or is_path or not is_plain(name):
            got = f"{name!r:.200}"
        elif len(name.encode()) > LONGEST_NAME:
            got = f"one of {len(name.encode())} bytes, {name:.40}..."
        else:
            continue
        expected = f"1 to {LONGEST_NAME} bytes of printable UTF-8{' without slashes' if of_files else ''}"
        raise InputError(f"{path}: expected {what} names of {expected}, found {got}")
