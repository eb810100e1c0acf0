"""The error that callers can act on."""

from __future__ import annotations


class InputError(ValueError):
    """Wrong arguments or bad input: one line saying what, where, and what was expected."""
