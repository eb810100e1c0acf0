"""Names that come from elsewhere, of data sets, cases, strategies: they become paths, and stand in tables."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from albench.errors import InputError, is_plain

LONGEST_NAME = 200
"""Bytes: file systems take 255, and file names have more in them than a case's name."""


def is_name(name: object) -> bool:
    """Whether it is 1 to `LONGEST_NAME` bytes of printable UTF-8, not all of them blank."""
    return isinstance(name, str) and bool(name.strip()) and is_plain(name) and len(name.encode()) <= LONGEST_NAME


def is_file_name(name: object) -> bool:
    """Whether a name can be a file's or folder's, and leads nowhere else: the one rule for names in paths."""
    return is_name(name) and name not in (".", "..") and not any(sign in str(name) for sign in ("/", os.sep))


def plain_name(what: str, name: str, reserved: Collection[str] = ()) -> str:
    """Return a name that becomes a file's or folder's, if it can be one.

    Parameters
    ----------
    what
        What is named, for the message.
    reserved
        Names that something else has there.

    Raises
    ------
    InputError
        `is_file_name` says no, or the name is reserved.
    """
    if not is_file_name(name):
        raise InputError(
            f"{what}: expected a plain name, which can be a folder's (1 to {LONGEST_NAME} bytes of printable UTF-8, no "
            f"path), got {name!r:.200}"
        )
    if name in reserved:
        raise InputError(f"{what}: expected a name other than {', '.join(sorted(reserved))}, got {name!r}")
    return name


def require_utf8(path: Path) -> None:
    """Refuse a path with bytes that are no text: compiled readers and writers take them for none, or end the program.

    Raises
    ------
    InputError
        Some part of the path is not UTF-8.
    """
    for part in path.parts:
        if any("\ud800" <= character <= "\udfff" for character in part):  # how Python keeps such bytes
            raise InputError(f"{path}: expected a path of UTF-8, found {os.fsencode(part)!r:.200} in it; rename it")


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
        if not (is_file_name(name) if of_files else is_name(name)):
            length = len(name.encode(errors="replace"))
            found = f"one of {length} bytes, {name:.40}..." if length > LONGEST_NAME else f"{name!r:.200}"
            expected = f"1 to {LONGEST_NAME} bytes of printable UTF-8{' without slashes' if of_files else ''}"
            raise InputError(f"{path}: expected {what} names of {expected}, found {found}")
