"""The error that callers can act on."""

from __future__ import annotations

import unicodedata

_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, line and paragraph ends
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing: what follows reads as something else than it is."""


def is_plain(name: str) -> bool:
    """Whether a name is text alone: no control characters, terminal escapes among them, and encodable as UTF-8."""
    return not any(unicodedata.category(character) in _CONTROL or character in _TURNING for character in name)


class InputError(ValueError):
    """Wrong arguments or bad input: one line saying what, where, and what was expected.

    Messages may quote what is in files of unknown origin: line ends become spaces, and control characters, which could
    move a terminal's cursor, escapes.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(map(_printable, " ".join(message.splitlines()))))


def _printable(character: str) -> str:
    return character if is_plain(character) else ascii(character)[1:-1]
