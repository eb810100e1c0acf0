"""Errors a user can act on."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, line and paragraph ends
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing: what follows reads as something else than it is."""


def is_plain(name: str) -> bool:
    """Whether a name is text alone: no control characters, terminal escapes among them, and encodable as UTF-8."""
    return not any(unicodedata.category(character) in _CONTROL or character in _TURNING for character in name)


class InputError(ValueError):
    """Wrong arguments or bad input: one line saying what, where, and what was expected.

    The command line prints the message without a traceback and exits with status 2. Messages quote what is in files of
    unknown origin: line ends become spaces, and control characters, which could move a terminal's cursor, escapes.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(map(_printable, " ".join(message.splitlines()))))


def _printable(character: str) -> str:
    return character if is_plain(character) else ascii(character)[1:-1]


class WorkerError(RuntimeError):
    """A process of ours ended before its work; nothing finished is lost. Exit status 1."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that is in no registry, with the nearest names that are.

    Parameters
    ----------
    kind
        What the name stands for, e.g. ``"data set"``.
    name
        The name as the user gave it.
    known
        All names that would have been accepted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} '{name:.200}'; {hint}")
