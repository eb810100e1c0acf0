"""Damage to files, and what became of it: refused in one line, or the same content as before."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from albench.errors import InputError, is_plain

LONGEST_MESSAGE = 1500
Damage = Callable[[Path, random.Random], None]
"""Changes a file in place, somewhere."""

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
        assert is_plain(message), ascii(message)
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


def flip(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(with_flipped_bit(content, rng.randrange(8 * len(content))))


def change_digit(path: Path, rng: random.Random) -> None:
    """Another digit in place of one: still JSON, where it was."""
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    if digits:
        place = rng.choice(digits)
        content[place] = ord(rng.choice("123456789".replace(chr(content[place]), "")))
        path.write_bytes(content)
    else:
        flip(path, rng)


def cut(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def other(path: Path, rng: random.Random) -> None:
    """Bytes that are no text."""
    path.write_bytes(rng.randbytes(path.stat().st_size))


def sibling(path: Path, rng: random.Random) -> None:
    """Another whole file of the folder: of another round, strategy or seed where there is one of that name."""
    root = next(folder for folder in path.parents if (folder / "results.parquet").is_file())
    others = sorted(file for file in root.rglob(path.name) if file.read_bytes() != path.read_bytes())
    if others:
        path.write_bytes(rng.choice(others).read_bytes())
    else:
        flip(path, rng)


DAMAGES: tuple[Damage, ...] = (flip, flip, change_digit, cut, empty, delete, other, sibling)
