"""Who works on what, in a folder that many processes on many hosts share: no daemon, no port, no lock.

A claim is a file ``claim-<epoch>`` that `link(2)` makes: of all that try, on whatever host, one succeeds. Its holder
renews its time of change; whoever finds it older than its time to live, by the file server's clock, may make that of
the next epoch. The number is the fence: a holder that was away for too long finds a higher one, or looks at its own
clock, and writes no more. How a claim ended is a file ``end-<epoch>``, made in the same way; how far it is,
``progress-<epoch>``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from albench.machine.facts import utc_now
from albench.machine.files import HALF_WRITTEN, fenced, writing_to, written_beside
from albench.machine.text import read_json_text

TTL_S = 180
"""Time to live of a claim that nobody renews, seconds; longer than clients of file servers remember attributes."""

LOST_STATUS = 75
"""Exit status of a process that ended because its claim was no longer its own."""

Ending = Literal["done", "failed", "left"]
_LONGEST = 2**16
_CLAIM = re.compile(r"claim-([1-9][0-9]{0,8})")
_RENEWALS = 6
_START_S = 600.0


class ClaimLostError(RuntimeError):
    """What a process held is, or may be, another's by now: it may write nothing of it."""


def holder() -> dict[str, Any]:
    """Say who this process is: host, process, and of Slurm job and GPU what there is."""
    job = os.environ.get("SLURM_JOB_ID")
    if job and (array := os.environ.get("SLURM_ARRAY_JOB_ID")):
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '?')}"
    facts = {
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "process": os.getpid(),
        "job": job,
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES") or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Past:
    """A claim as its files say, live or over.

    Attributes
    ----------
    about
        What its holder wrote into it; nothing where the file is damaged.
    age_s
        Since it was made or renewed, by the clock of the file server.
    end
        How it ended, and what there is to say of that; None where nobody said so.
    progress
        How far its holder is.
    """

    epoch: int
    about: Mapping[str, Any]
    age_s: float
    end: Mapping[str, Any] | None
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str | None:
        """The `Ending`, or None."""
        return None if self.end is None else str(self.end.get("state"))

    @property
    def ttl_s(self) -> float:
        """Time to live, as its holder said."""
        ttl = self.about.get("ttl_s")
        return float(ttl) if isinstance(ttl, int | float) else TTL_S

    @property
    def is_live(self) -> bool:
        """Whether somebody holds it."""
        return self.end is None and self.age_s <= self.ttl_s

    @property
    def place(self) -> str:
        """Where and by whom it is or was held, in words."""
        words = {"job": "job", "gpu": "GPU", "process": "process"}
        parts = [f"{word} {self.about[key]}" for key, word in words.items() if key in self.about]
        return f"{self.about.get('host', 'an unknown host')} ({', '.join(parts)})"


@dataclass(frozen=True)
class ClaimFolder:
    """The claims on one thing.

    Attributes
    ----------
    path
        Their folder; made when somebody first claims.
    ttl_s
        Seconds after which a claim that is made here and not renewed is nobody's.
    """

    path: Path
    ttl_s: float = TTL_S

    def history(self, now: float | None = None) -> list[Past]:
        """All claims so far, the latest last.

        Parameters
        ----------
        now
            `server_now`, where it is known; else it is asked, or the own clock where this user may not write.
        """
        epochs = _epochs(self.path)
        if now is None and epochs:
            try:
                now = server_now(self.path)
            except OSError:
                now = time.time()
        return [past for epoch in epochs if (past := _past(self.path, epoch, now or 0.0)) is not None]

    def take(self, about: Mapping[str, Any] | None = None) -> Claim | None:
        """Claim it; None where another holds it, or was first.

        A claim that ended can be taken again, whatever its end was.
        """
        with writing_to(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            history = self.history()
            if history and history[-1].is_live:
                return None
            epoch = history[-1].epoch + 1 if history else 1
            claim = Claim(self.path, epoch, uuid.uuid4().hex, self.ttl_s, time.monotonic())
            made = {**holder(), "since": utc_now(), "ttl_s": self.ttl_s, **(about or {}), "token": claim.token}
            return claim if _link(claim.file, made) else None

    @contextlib.contextmanager
    def held(self, wait_s: float = 0.2) -> Iterator[Claim]:
        """Hold it for a block, after all that hold it now; it ends as ``left``, whatever ends the block."""
        while (claim := self.take()) is None:
            time.sleep(wait_s)
        with claim.renewed():
            try:
                yield claim
            finally:
                claim.end("left")


@dataclass(frozen=True)
class Claim:
    """A claim that was taken; can be sent to a process of the same machine, which then renews it.

    Attributes
    ----------
    token
        Tells it from one of the same epoch that was made after the folder was removed.
    renewed_at
        On the machine's monotonic clock, seconds.
    """

    folder: Path
    epoch: int
    token: str
    ttl_s: float
    renewed_at: float

    @property
    def file(self) -> Path:
        """The claim itself."""
        return self.folder / f"claim-{self.epoch}"

    def is_mine(self) -> bool:
        """Whether the claim is there and no later one; asked of the server, not of a cache of names."""
        try:
            server_now(self.folder)
        except FileNotFoundError:
            return False
        past, epochs = _past(self.folder, self.epoch, 0.0), _epochs(self.folder)
        return past is not None and past.about.get("token") == self.token and epochs[-1:] == [self.epoch]

    def end(self, state: Ending, **more: Any) -> bool:
        """Say how it ended, once; False where it is another's by now, or has ended: nothing is written."""
        file = self.folder / f"end-{self.epoch}"
        return self.is_mine() and _link(file, {"state": state, "at": utc_now(), **more})

    @contextlib.contextmanager
    def renewed(self, on_loss: Callable[[], None] = lambda: None) -> Iterator[Held]:
        """Renew it from a thread as long as the block runs.

        Parameters
        ----------
        on_loss
            Called in the thread, once, where it is lost.
        """
        held = Held(self, on_loss)
        held.thread.start()
        try:
            yield held
        finally:
            held.over.set()
            held.thread.join()

    def renew_until_begun(self) -> None:
        """Renew it from a thread until another process does by `holding`, for as long as that may take to start."""
        Held(self, latest=time.monotonic() + _START_S, is_over=self._has_begun).thread.start()

    def _has_begun(self) -> bool:
        return any((self.folder / f"{what}-{self.epoch}").exists() for what in ("progress", "end"))


class Held:
    """A claim while it is renewed."""

    def __init__(
        self,
        claim: Claim,
        on_loss: Callable[[], None] = lambda: None,
        latest: float = math.inf,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.claim, self._on_loss, self._latest, self._is_over = claim, on_loss, latest, is_over
        self.over, self._lost = threading.Event(), False
        self._renewed_at = claim.renewed_at
        self._progress: Mapping[str, Any] = {}
        self._written: Mapping[str, Any] = {}
        self.thread = threading.Thread(target=self._renew, name="renews a claim", daemon=True)

    def note(self, **progress: Any) -> None:
        """Say how far it is; written with the next renewal."""
        self._progress = progress

    def check(self) -> None:
        """Raise where it is lost.

        The own clock decides too: after so long another may have it in a moment, even if nobody does yet.

        Raises
        ------
        ClaimLostError
            There is a later claim, none any more, or this one was not renewed for its time to live.
        """
        # Again after the server was asked: this process may have been stopped meanwhile.
        if not self._lost and self._is_fresh() and self.claim.is_mine() and self._is_fresh():
            return
        self._lost = True
        raise ClaimLostError(f"{self.claim.file}: not renewed in time, or another's by now; nothing more is written")

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._renewed_at <= self.claim.ttl_s

    def _renew(self) -> None:
        while not self.over.wait(self.claim.ttl_s / _RENEWALS):
            if time.monotonic() > self._latest or self._is_over():
                return
            try:
                self.check()
                begun = time.monotonic()
                os.utime(self.claim.file)
                self._renewed_at = begun
                if self._progress != self._written:
                    self._written = self._progress
                    _replace(self.claim.folder / f"progress-{self.claim.epoch}", self._written)
            except ClaimLostError:
                self._on_loss()
                return
            except OSError:  # a server that does not answer: the next time, or the clock decides
                continue


@contextlib.contextmanager
def holding(claim: Claim) -> Iterator[Held]:
    """Renew a claim, and have this process write files only as long as it holds; it ends where the claim is lost.

    However long ago it was taken: nothing was written since, so it is enough that nobody else took it.

    Raises
    ------
    ClaimLostError
        Somebody did.
    """
    claim = replace(claim, renewed_at=time.monotonic())
    if claim.is_mine():
        os.utime(claim.file)
        _replace(claim.folder / f"progress-{claim.epoch}", {})
    with claim.renewed(lambda: os._exit(LOST_STATUS)) as held, fenced(held.check):
        held.check()
        yield held


def server_now(folder: Path) -> float:
    """Seconds since the epoch on the clock that times of files in `folder` are of.

    Making a file also has a client of a file server look at the folder anew.
    """
    probe = folder / f"{HALF_WRITTEN}now-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _epochs(folder: Path) -> list[int]:
    try:
        return sorted(int(found[1]) for file in folder.iterdir() if (found := _CLAIM.fullmatch(file.name)))
    except FileNotFoundError:
        return []


def _past(folder: Path, epoch: int, now: float) -> Past | None:
    """Read a claim; None where it is gone."""
    file, end = folder / f"claim-{epoch}", folder / f"end-{epoch}"
    try:
        age = now - file.stat().st_mtime
    except FileNotFoundError:
        return None
    return Past(epoch, _read(file), age, _read(end) if end.exists() else None, _read(folder / f"progress-{epoch}"))


def _read(file: Path) -> dict[str, Any]:
    """Read a small JSON object; what is missing, damaged or something else says nothing."""
    try:
        value = read_json_text(file, _LONGEST) if file.is_file() and not file.is_symlink() else {}
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _link(file: Path, value: Mapping[str, Any]) -> bool:
    """Make a whole file where there is none; False where there is one."""
    with written_beside(file, json.dumps(value)) as temporary:
        try:
            os.link(temporary, file)
        except FileExistsError:
            # Where an answer is lost on the way, the client asks again and finds its own link.
            return temporary.stat().st_nlink == 2
        return True


def _replace(file: Path, value: Mapping[str, Any]) -> None:
    with written_beside(file, json.dumps(value)) as temporary:
        temporary.replace(file)
