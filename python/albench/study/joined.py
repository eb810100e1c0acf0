"""Parts of a study shared with other processes: each takes what nobody has, until nothing is left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field

from albench.errors import ChainsFailedError, ExhaustedError, InputError
from albench.machine.claims import Claim, ClaimFolder, ClaimLostError, Past
from albench.progress import Board
from albench.results.claims import MOST_FAILURES, Claims
from albench.study.children import Children
from albench.study.parts import Part, run_part
from albench.study.workers import visible_gpus

Key = tuple[str, str, int]
_LOOKS = 36
"""So often others' claims are looked at within the time to live: every 5 s where that is 180 s."""


@dataclass
class _Known:
    """What this process knows of the parts; done and failed are for good."""

    done: dict[Key, Past] = field(default_factory=dict)
    failed: dict[Key, list[Past]] = field(default_factory=dict)
    blocked: set[Key] = field(default_factory=set)

    def is_over(self, part: Part) -> bool:
        """Whether nobody has to do anything about it any more."""
        return part.key in self.done or part.key in self.failed or part.key in self.blocked


def run_joined(parts: Sequence[Part], claims: Claims, n_processes: int, board: Board) -> str:
    """Work on parts until all are over, whoever did them; each runs in a process of its own.

    Returns
    -------
    str
        Names what was done, so that a table of it is made once.

    Raises
    ------
    ChainsFailedError
        Some failed, so often that nobody tries them again; all others are done.
    ExhaustedError
        A part raised it: others would too.
    """
    on_gpu = any(part.study.config.device == "cuda" for part in parts)
    running: dict[Future[None], tuple[Part, Claim]] = {}
    known = _Known()
    try:
        with Children(n_processes, run_part, board, visible_gpus("cuda" if on_gpu else "cpu")) as children:
            while True:
                if len(running) < n_processes:
                    for part, claim in _taken(parts, known, claims, n_processes - len(running), running):
                        claim.renew_until_begun()
                        running[children.submit((part, claim))] = part, claim
                if not running and all(map(known.is_over, parts)):
                    break
                _await(running, claims.ttl_s / _LOOKS, board)
    except BaseException:
        for _, claim in running.values():  # after their processes were killed: others need not wait for it
            claim.end("left")
        raise
    if known.failed:
        raise ChainsFailedError("\n".join(_table(parts, known, claims)))
    return " ".join(f"{key}:{past.epoch}" for key, past in sorted(known.done.items()))


def _taken(
    parts: Sequence[Part],
    known: _Known,
    claims: Claims,
    most: int,
    running: Mapping[Future[None], tuple[Part, Claim]],
) -> list[tuple[Part, Claim]]:
    """Look at what is not over, and claim what can begin, at most so much."""
    mine, taken, now = {part.key for part, _ in running.values()}, list[tuple[Part, Claim]](), claims.now()
    for part in parts:
        if part.key in mine or known.is_over(part):
            continue
        if part.after in known.failed or part.after in known.blocked:
            known.blocked.add(part.key)
            continue
        place = claims.on(*part.key)
        if _decided(part, place, known, now) or (part.after is not None and part.after not in known.done):
            continue
        if len(taken) < most and (claim := place.take({"part": part.title})) is not None:
            taken.append((part, claim))
    return taken


def _decided(part: Part, place: ClaimFolder, known: _Known, now: float) -> bool:
    """Look at a part; whether it is over, or somebody has it."""
    history = place.history(now)
    failures = [past for past in history if past.state == "failed"]
    if not history:
        return False
    if history[-1].state == "done" and part.folder.is_dir():
        known.done[part.key] = history[-1]
    elif len(failures) >= MOST_FAILURES:
        known.failed[part.key] = failures
    else:
        return history[-1].is_live
    return True


def _await(running: dict[Future[None], tuple[Part, Claim]], seconds: float, board: Board) -> None:
    """Wait for the end of a part, or for so long; note how it ended."""
    if not running:
        time.sleep(seconds)
        return
    ended, _ = wait(running, timeout=seconds, return_when=FIRST_COMPLETED)
    for future in ended:
        error = future.exception()
        if isinstance(error, ExhaustedError) or (error is not None and not isinstance(error, Exception)):
            raise error
        part, claim = running.pop(future)
        if error is None:
            continue
        lost = isinstance(error, ClaimLostError) or not ClaimFolder(claim.folder).history()[-1].is_live
        if lost or not claim.end("failed", error=_text(error)):
            claim.end("left")
            board.say(f"{part.title}: not renewed for {claim.ttl_s:g} s; whoever takes over goes on with it")
        else:
            board.say(f"{part.title}: {_text(error)}")


def _text(error: Exception) -> str:
    """Return what went wrong, in one line."""
    if isinstance(error, BrokenExecutor):
        return "its process died, most often for want of memory"
    text = " ".join(str(error).split())[:2000]
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _table(parts: Sequence[Part], known: _Known, claims: Claims) -> list[str]:
    """Say what failed, where and why; what was not begun for it; and how to go on."""
    titles = {part.key: part.title for part in parts}
    width = max(len(titles[key]) for key in known.failed)
    lines = []
    for key, failures in known.failed.items():
        last = failures[-1]
        error = (last.end or {}).get("error", "")
        lines.append(f"{titles[key]:{width}}  failed {len(failures)} times, last on {last.place}: {error}")
    if known.blocked:
        lines.append(f"{len(known.blocked)} parts that begin with these were not begun")
    end = f"remove {claims.run.claims} once nothing runs, and the same command tries them again"
    return [*lines, f"{len(known.failed)} failed, all others are done; {end}"]
