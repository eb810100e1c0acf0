"""A query's folder and its place in the raw data set: both are there, or neither, whenever the process is killed.

The two may lie on different disks, so no rename makes both. An intention that names the folder is noted first; then
the folder appears, and the intention gives way to the query. Who finds an intention that nobody holds completes it
where the folder is there, and deletes it where it never came.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from albench.annotation.hand_out import hand_out
from albench.annotation.layout import QUERIES, QUERY
from albench.annotation.request import HandOut
from albench.errors import InputError
from albench.machine.files import lock_file, remove_half_written, sync, try_lock, writing_to
from albench.machine.text import read_json_text
from albench.results.query import Query

_INTENTION = "intention.json"


def hand_out_registered(request: HandOut, folder: Path, raw: Path) -> Query:
    """Write the folder of a query, and note in a raw data set what was asked.

    Parameters
    ----------
    raw
        Folder of the raw data set.

    Raises
    ------
    InputError
        As `hand_out`; or the raw data set cannot be written to, before the folder is there.
    """
    place = raw / QUERIES / str(request.query.id)
    with _intended(place, folder.absolute()):
        whole = hand_out(request, folder)
        whole.write(place / QUERY)
    return whole


def settle_queries(raw: Path) -> None:
    """Complete, or forget, what a killed process was about to register; what another is at is left to it.

    Raises
    ------
    InputError
        No permission.
    """
    for path in sorted((raw / QUERIES).glob(f"*/{_INTENTION}")):
        with writing_to(path), contextlib.suppress(FileNotFoundError):  # whose process has just ended well
            held = try_lock(path)
            if held is None:
                continue
            with held:
                query = _announced(path)
                if query is not None and not (path.parent / QUERY).exists():
                    query.write(path.parent / QUERY)
                _forget(path)
    _drop_empty([*(raw / QUERIES).glob("*"), raw / QUERIES])


def _announced(path: Path) -> Query | None:
    """Return the query that an intention names; None where its folder never came, or holds another."""
    try:
        query = Query.read(Path(str(read_json_text(path)["folder"])) / QUERY)
    except (InputError, OSError, KeyError, TypeError, ValueError):
        return None
    return query if query.id == path.parent.name else None


@contextlib.contextmanager
def _intended(place: Path, folder: Path) -> Iterator[None]:
    """Hold an intention while a folder is made; nothing is left of it afterwards."""
    path = place / _INTENTION
    with writing_to(path), _held(path) as stream:
        try:
            stream.write(json.dumps({"folder": str(folder)}))
            stream.flush()
            os.fsync(stream.fileno())
            sync(place)
            yield
        finally:
            _forget(path)


def _held(path: Path) -> IO[str]:
    """Make a file and lock it; again where another process took it for one that nobody holds, and removed it."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = lock_file(path)
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(stream, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
                return stream
            stream.close()


def _forget(path: Path) -> None:
    """Remove an intention, and the folders around it that are empty without it but for the workspace."""
    remove_half_written(path.parent)
    path.unlink(missing_ok=True)
    _drop_empty(path.parents[:2])


def _drop_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
