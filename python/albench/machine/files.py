"""Files that are whole or absent: written under a temporary name, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.errors import InputError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP)
_BEYOND_LIMIT = {errno.EMFILE: "-n", errno.ENFILE: "-n", errno.EFBIG: "-f", errno.EAGAIN: "-u"}
"""What a user may exceed, by the option of ``ulimit`` that shows it."""


def sync(path: Path) -> None:
    """Flush a file to the disk; of a folder, what was created and renamed in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn what the system refuses, such as a write to a full disk, into a one-line error.

    Raises
    ------
    InputError
        No space left at ``path``, no permission for it, or a limit of the process reached; a file that the system's own
        error names comes first.
    """
    try:
        yield
    except OSError as error:
        message, where = os.strerror(error.errno) if error.errno else "", error.filename or path
        if error.errno in _NO_SPACE:
            raise InputError(
                f"{where}: no space left on the device ({_free(path)} free); free some or choose another folder"
            ) from error
        if error.errno in _BEYOND_LIMIT:
            raise InputError(f"{where}: {message}; `ulimit {_BEYOND_LIMIT[error.errno]}` has the limit") from error
        if error.errno in _REFUSED:
            raise InputError(f"{where}: cannot be written or read ({message})") from error
        if error.errno is None and "requested and" in str(error):  # NumPy's, which says no more
            raise InputError(f"{where}: cannot be written whole ({error}; {_free(path)} free)") from error
        raise


def _free(path: Path) -> str:
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return f"{shutil.disk_usage(nearest).free / 1e6:.1f} MB"


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on error it is removed.

    The suffix of `path` is kept, for writers that choose a format by it.

    Raises
    ------
    InputError
        As `writing_to`, naming `path`.
    """
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            sync(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON; keys stay in their order, NaN and infinity are refused.

    Raises
    ------
    InputError
        No space left, or no permission.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, without its index."""
    with atomic_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_rows(path: Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises
    ------
    InputError
        No such file, not readable, or no table.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a table written by `al-bench run`, found no such file")
    try:
        table = pd.read_parquet(path)
        for column in table.select_dtypes(exclude=["number", "bool"]):
            table[column].tolist()  # texts that are not UTF-8 show only now
        return table
    except Exception as error:  # of a damaged file pyarrow and pandas raise whatever they stumble over
        raise InputError(f"{path}: expected a Parquet table, found an unreadable file ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """First line of what an error of a library says, or the error's kind."""
    lines = str(error).splitlines()
    return lines[0][:300] if lines and lines[0] else type(error).__name__


def write_array(array: NDArray[Any], path: Path) -> None:
    """Write an array in NumPy's ``.npy`` format."""
    with atomic_file(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold an exclusive lock between processes; yields False where the file system has no locks.

    The lock ends with the process that holds it, `kill -9` included. `on_wait` is called once where another has it.
    """
    with path.open("w") as stream:
        try:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(stream, fcntl.LOCK_EX)
            held = True
        except OSError:
            held = False
        yield held


def _sync_tree(folder: Path) -> None:
    """Flush all below ``folder`` to the disk, so that the rename is not there before the content."""
    for parent, _, names in os.walk(folder):
        for path in (*(Path(parent, name) for name in names), Path(parent)):
            if not path.is_symlink():
                sync(path)


def build_folder(final: Path, fill: Callable[[Path], None]) -> Path:
    """Make the folder ``final`` once, whole or not at all.

    ``fill`` writes into a temporary sibling, which is renamed when all of it is on the disk. Of several
    processes that want the same folder one builds it and the others wait; what a killed one left is removed
    by the next.

    Parameters
    ----------
    final
        Folder to make. Returned at once where it exists.
    fill
        Called with the empty temporary folder.

    Raises
    ------
    InputError
        The disk is full or the parent folder cannot be written to; or whatever ``fill`` raises.
    """
    if final.is_dir():
        return final
    prefix = f".{final.name}.building-"
    with writing_to(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        with locked(final.with_name(f".{final.name}.lock")) as held:
            if final.is_dir():
                return final
            if held:
                for left_over in final.parent.glob(f"{prefix}*"):
                    shutil.rmtree(left_over, ignore_errors=True)
            temporary = final.with_name(f"{prefix}{uuid.uuid4().hex}")
            temporary.mkdir()
            try:
                fill(temporary)
                _sync_tree(temporary)
                try:
                    temporary.rename(final)
                except OSError:
                    # Without locks another process may have been first: its folder is as good as ours.
                    if not final.is_dir():
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return final
