"""JSON objects that carry a digest of themselves: one changed digit is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albench.errors import InputError
from albench.machine.files import write_json
from albench.results.reading import read_object

_DIGEST, _FORMAT = "digest", "format"


def write_sealed(path: Path, values: Mapping[str, Any], *, format: int) -> None:
    """Write `values`, the number of their format, and a digest of both.

    Raises
    ------
    InputError
        No space left, or no permission.
    """
    write_json(path, sealed(values, format=format))


def sealed(values: Mapping[str, Any], *, format: int) -> dict[str, Any]:
    """Return `values` with the number of their format and a digest of both."""
    content = {_FORMAT: format, **values}
    return {**content, _DIGEST: _digest_of(content)}


def read_sealed(path: Path, *, format: int) -> dict[str, Any]:
    """Read what `write_sealed` wrote, without format and digest.

    Files with neither, which al-bench 0.1 wrote, are returned as they are.

    Raises
    ------
    InputError
        The file is missing, damaged, changed since it was written, or of another format.
    """
    stored = read_object(path)
    if _DIGEST not in stored and _FORMAT not in stored:
        return stored
    written_as = stored.get(_FORMAT)
    if written_as != format:
        raise InputError(
            f"{path}: expected format {format}, found {written_as!r}, which another version of al-bench wrote"
        )
    digest = stored.pop(_DIGEST, None)
    try:
        whole = digest == _digest_of(stored)
    except (ValueError, RecursionError):  # NaN, or deeper nested than can be written
        whole = False
    if not whole:
        raise InputError(f"{path}: expected the content it was written with, found another: '{_DIGEST}' does not fit")
    return {key: value for key, value in stored.items() if key != _FORMAT}


def _digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form, hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
