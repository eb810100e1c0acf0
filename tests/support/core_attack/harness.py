"""Attempts, each in a process that may die of it."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

# What the core may raise. `BufferError` is NumPy's, where memory is lent.
REFUSED = (ValueError, TypeError, RuntimeError, MemoryError, BufferError)
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
_SECONDS = 60  # of one attempt
_MEMORY = 8 * 2**30


@dataclass(frozen=True)
class Attempt:
    """Something to try: returning is an answer, an exception of `REFUSED` is a refusal."""

    name: str
    call: Callable[[], object]


@dataclass
class Tally:
    """How many attempts ended how, and which ended badly."""

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)


def tally(attempts: Sequence[Attempt]) -> Tally:
    """Make all attempts, in as few processes as survive them."""
    found = Tally()
    at = 0
    while at < len(attempts):
        outcomes, status = _in_a_child(attempts[at:])
        for outcome in outcomes:
            kind, _, said = outcome.partition(" ")
            found.counts[kind] += 1
            if kind == "wrong":
                found.bad.append(f"wrong: {attempts[at].name}: {said}")
            at += 1
        if at < len(attempts):
            found.counts["crashed"] += 1
            found.bad.append(f"crashed ({status}): {attempts[at].name}")
            at += 1
    return found


def _in_a_child(attempts: Sequence[Attempt]) -> tuple[list[str], str]:
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        if not SANITIZED:  # whose shadow memory has terabytes of addresses
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for attempt in attempts:
            signal.alarm(_SECONDS)
            os.write(writing, f"{_outcome(attempt)}\n".encode(errors="backslashreplace"))
        os._exit(0)
    os.close(writing)
    said = b""
    ended = status = 0
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        while select.select([reading], [], [], 0 if ended else 0.05)[0] and (part := os.read(reading, 65536)):
            said += part
    os.close(reading)
    with suppress(ProcessLookupError):  # what it forked itself and left behind
        os.killpg(child, signal.SIGKILL)
    outcomes = said.decode().splitlines()
    code = os.waitstatus_to_exitcode(status)
    return outcomes, signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _outcome(attempt: Attempt) -> str:
    try:
        attempt.call()
    except REFUSED as error:
        return (
            "refused" if str(error) or isinstance(error, MemoryError) else f"wrong {type(error).__name__} says nothing"
        )
    except BaseException as error:
        return f"wrong {type(error).__name__}: {' '.join(str(error)[:300].split())}"
    return "answered"
