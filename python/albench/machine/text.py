"""Text files of unknown origin, read within bounds: size, encoding and nesting are checked before anything is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from albench.errors import InputError

LONGEST_TEXT = 1 << 24
"""Bytes of a text file; descriptions of data sets have at most a few hundred kilobytes."""
_DEEPEST = 100


def read_text(path: Path, longest: int = LONGEST_TEXT, what: str = "file") -> str:
    """Return a text file's content, with or without byte order mark.

    Raises
    ------
    InputError
        It is missing, unreadable, longer than `longest` bytes, or not UTF-8.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a {what}, found {'another kind' if path.exists() else 'none'}")
        with path.open("rb") as stream:
            content = stream.read(longest + 1)
    except InputError:  # a ValueError, too
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a path with a null character
        raise InputError(f"{path}: cannot be read ({error})") from error
    if len(content) > longest:
        raise InputError(f"{path}: expected at most {longest / 1e6:.0f} MB of text, found more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8, found byte {content[error.start]:#x} at {error.start}") from error


def read_json_text(path: Path, longest: int = LONGEST_TEXT, *, nan: bool = False) -> Any:
    """Return the content of a JSON file; with `nan`, NaN and infinity are numbers.

    Raises
    ------
    InputError
        As `read_text`; or it is no JSON, has NaN or infinity or a key twice, or is nested in more than 100 levels.
    """
    text = read_text(path, longest)
    try:
        content = json.loads(
            text, parse_constant=None if nan else _refuse_constant, object_pairs_hook=_refuse_repetition
        )
        if not _is_deep(content):
            return content
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found: {error}") from error
    except RecursionError:
        pass
    raise InputError(f"{path}: expected JSON of at most {_DEEPEST} levels, found deeper nesting")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"the number {name}")


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r:.100} twice")
    return content


def _is_deep(content: Any) -> bool:
    level = [content]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def reason(error: BaseException) -> str:
    """First line of what an error of a library says, or the error's kind."""
    lines = str(error).splitlines()
    return lines[0][:300] if lines and lines[0] else type(error).__name__
