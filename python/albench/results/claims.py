"""Claims of the processes that work on one results folder, each of them joined to it (`albench.machine.claims`).

::

    OUT/.claims/
      versions.json                            of the libraries, which all have to have
      settings/  report/                       claims on writing these
      joined/<host>-<process>-<token>/         of each process, on itself
      work/<data set>/<chain>/seed-<seed>/     on a chain; what chains share is _setup and _shared

All of it may be deleted when nobody is at work: then what failed is tried again, and what is done compared with its
checksums.
"""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from albench.errors import InputError
from albench.machine.claims import Claim, ClaimFolder, Past, server_now
from albench.machine.facts import versions
from albench.machine.files import read_json, write_json
from albench.machine.removal import remove_tree
from albench.results.layout import CEILING, SHARED, RunFolder

SETUP = "_setup"
"""Stands in the place of a strategy for the scan and the preprocessing of a seed."""

MOST_FAILURES = 3
"""So often a chain is tried."""

_DECIDE = ("albench", "nnunetv2", "torch")
_VERSIONS, _JOINED, _WORK = "versions.json", "joined", "work"


def begins_with(chain: str) -> str | None:
    """Return what of a seed has to be done before a chain, `SHARED` or the ceiling: `SETUP` or `SHARED`."""
    if chain == SETUP:
        return None
    return SETUP if chain in (SHARED, CEILING) else SHARED


def deciding_versions() -> dict[str, str]:
    """Versions of the libraries that decide results, without what they were built for."""
    return {name: str(json.loads(versions())[name]).partition("+")[0] for name in _DECIDE}


@dataclass(frozen=True)
class Claims:
    """All claims in a results folder.

    Attributes
    ----------
    ttl_s
        Of claims that this process takes, seconds.
    """

    run: RunFolder
    ttl_s: float

    @property
    def settings(self) -> ClaimFolder:
        """On settings and requests."""
        return ClaimFolder(self.run.claims / "settings", self.ttl_s)

    @property
    def report(self) -> ClaimFolder:
        """On tables and report."""
        return ClaimFolder(self.run.claims / "report", self.ttl_s)

    def on(self, dataset: str, chain: str, seed: int) -> ClaimFolder:
        """On a chain, `SETUP`, or `albench.results.layout.SHARED`."""
        return ClaimFolder(self.run.claims / _WORK / dataset / chain / f"seed-{seed}", self.ttl_s)

    def now(self) -> float:
        """Time by the clock of the file server, for many looks at once."""
        return server_now(self.run.claims)

    def at_work(self) -> list[Past]:
        """Return live claims on chains."""
        return list(_live(self.run.claims / _WORK))

    def joined(self) -> list[Past]:
        """Return the claims of processes on being joined to the folder."""
        return list(_live(self.run.claims / _JOINED))

    @contextlib.contextmanager
    def present(self) -> Iterator[Claim]:
        """Be one of `joined` for a block."""
        name = f"{socket.gethostname()[:64]}-{uuid.uuid4().hex[:12]}"
        folder = ClaimFolder(self.run.claims / _JOINED / name, self.ttl_s)
        with folder.held() as claim:
            yield claim

    def require_versions(self) -> None:
        """Refuse other versions than those that the study was joined with first, whose results would be others.

        Versions of one library that differ only in what they were built for are no others.

        Raises
        ------
        InputError
            One differs.
        """
        file = self.run.claims / _VERSIONS
        found = deciding_versions()
        if not file.exists():
            write_json(file, found)
            return
        stored = read_json(file)
        expected = stored if isinstance(stored, dict) else {}
        if other := [name for name in _DECIDE if expected.get(name) != found[name]]:
            wanted, have = (", ".join(f"{name} {each.get(name)}" for name in other) for each in (expected, found))
            raise InputError(
                f"--out {self.run.path}: expected {wanted}, with which the study was begun, found {have} on "
                f"{socket.gethostname()}; install these, or remove {self.run.claims} once nothing runs"
            )

    def forget_work(self) -> None:
        """Remove what is remembered of chains: for settings under which they are others."""
        remove_tree(self.run.claims / _WORK, self.run.path)
        remove_tree(self.run.claims / "report", self.run.path)


def require_none_joined(run: RunFolder) -> None:
    """Refuse a folder that joined processes work on; else forget what they claimed.

    Raises
    ------
    InputError
        With one of them.
    """
    claims = Claims(run, 0)
    if live := [*claims.joined(), *claims.at_work()]:
        ttl = max(past.about.get("ttl_s", 0) for past in live)
        raise InputError(
            f"--out {run.path}: in use by processes that joined it, one on {live[0].place}; `al-bench status` lists "
            f"them, and one that was killed is forgotten after {ttl:g} s"
        )
    if run.claims.is_dir():
        remove_tree(run.claims, run.path)


def _live(folder: Path) -> Iterator[Past]:
    for place in sorted({file.parent for file in folder.rglob("claim-*")}):
        history = ClaimFolder(place).history()
        if history and history[-1].is_live:
            yield history[-1]
