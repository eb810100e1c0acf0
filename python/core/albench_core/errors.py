"""The error that callers can act on."""

from __future__ import annotations

import unicodedata


class InputError(ValueError):
    """Wrong arguments or bad input: one line saying what, where, and what was expected.

    Messages may quote what is in files of unknown origin: line ends become spaces, and control characters, which could
    move a terminal's cursor, escapes.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(map(_printable, " ".join(message.splitlines()))))


def _printable(character: str) -> str:
    """Escape what is no text; so are halves of surrogate pairs, which no stream can encode."""
    return character if unicodedata.category(character) not in ("Cc", "Cs") else ascii(character)[1:-1]
