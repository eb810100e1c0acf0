"""Errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

# The core's: what it refuses is reported like what al-bench refuses. The command line prints the message without a
# traceback and exits with status 2.
from albench_core.errors import InputError, is_plain

if TYPE_CHECKING:  # the command line is there before pydantic is imported
    from pydantic import ValidationError

__all__ = [
    "ChainsFailedError",
    "ExhaustedError",
    "InputError",
    "WorkerError",
    "first_fault",
    "is_plain",
    "unknown_name",
]


class WorkerError(RuntimeError):
    """A process of ours ended before its work; nothing finished is lost. Exit status 1."""


class ExhaustedError(InputError):
    """Something is used up that all parts of a run share, such as the room on a disk: none of them can go on."""


class ChainsFailedError(RuntimeError):
    """Some chains of a study failed, all others are done. Exit status 1.

    Its cause is the group of what they raised. The message has a line for each of them and one for all.
    """


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


def first_fault(error: ValidationError) -> tuple[str, str, Any]:
    """Return what was refused first: where it is (empty: no single place), why, and the value there."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, "), first["input"]
