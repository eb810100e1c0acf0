"""Damage to files, and what became of it: refused in one line, or the same content as before."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from albench.errors import InputError

LONGEST_MESSAGE = 1500
outcomes: Counter[tuple[str, str]] = Counter()
"""How often (what was attacked, what came of it); printed at the end where ALBENCH_FUZZ_COUNTS is set."""

Result = TypeVar("Result")


def attempt(what: str, action: Callable[[], Result]) -> Result | None:
    """Run `action`; None where it refuses with one line of text. Any other exception is a fault of ours."""
    try:
        result = action()
    except InputError as error:
        message = str(error)
        assert message.splitlines() == [message]
        assert message.isprintable(), ascii(message)
        assert len(message) < LONGEST_MESSAGE, message
        outcomes[what, "refused"] += 1
        return None
    outcomes[what, "accepted"] += 1
    return result


def with_flipped_bit(content: bytes, bit: int) -> bytes:
    """Return `content` with one bit changed, counted from the first byte's lowest."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Content of all files below a folder by relative path; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def print_outcomes() -> None:
    """Print the counts where they were asked for."""
    if os.environ.get("ALBENCH_FUZZ_COUNTS"):
        for (what, outcome), count in sorted(outcomes.items()):
            print(f"\n{what}: {count} {outcome}", end="", flush=True)
