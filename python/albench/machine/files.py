"""Files that are whole or absent: written under a temporary name, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from albench.errors import ExhaustedError, InputError
from albench.machine.names import plain_name
from albench.machine.removal import remove_tree
from albench.machine.text import read_json_text

LONGEST_JSON = 2**28
"""Bytes; the query of a million units has half of them."""

HALF_WRITTEN = ".writing-"
"""What names of files and folders begin with until they are whole."""

_ABANDONED_SECONDS = 3600.0
"""After which nobody writes to a temporary file any more."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What link(2) says on file systems without hard links, such as FAT and some that lie on another machine."""
_BEYOND_LIMIT = {errno.EMFILE: "-n", errno.ENFILE: "-n", errno.EFBIG: "-f", errno.EAGAIN: "-u"}
"""What a user may exceed, by the option of ``ulimit`` that shows it."""


_fence: Callable[[], None] | None = None


@contextlib.contextmanager
def fenced(check: Callable[[], None]) -> Iterator[None]:
    """Have `check` asked before this process puts a file in its place, in whatever thread; it raises to forbid it."""
    global _fence  # noqa: PLW0603 - whatever writes, deep down, has to ask
    before, _fence = _fence, check
    try:
        yield
    finally:
        _fence = before


def require_fence() -> None:
    """Ask what `fenced` set: for whoever renames or deletes without `atomic_file`."""
    if _fence is not None:
        _fence()


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
            raise ExhaustedError(
                f"{where}: no space left on the device ({_free(path)} free); free some or choose another folder"
            ) from error
        if error.errno in _BEYOND_LIMIT:
            raise InputError(f"{where}: {message}; `ulimit {_BEYOND_LIMIT[error.errno]}` has the limit") from error
        if error.errno in _REFUSED:
            raise InputError(f"{where}: cannot be written or read ({message})") from error
        if error.errno is None and "requested and" in str(error):  # NumPy's, which says no more
            raise ExhaustedError(f"{where}: cannot be written whole ({error}; {_free(path)} free)") from error
        raise


def _free(path: Path) -> str:
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return f"{shutil.disk_usage(nearest).free / 1e6:.1f} MB"


@contextlib.contextmanager
def atomic_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on error it is removed.

    The suffix of `path` is kept, for writers that choose a format by it. Nobody else can read the temporary file.

    Parameters
    ----------
    mode
        Permissions of the file in the end.

    Raises
    ------
    InputError
        As `writing_to`, naming `path`.
    """
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f"{HALF_WRITTEN}{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            sync(temporary)
            temporary.chmod(mode)
            require_fence()
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def create_file(path: Path, text: str) -> None:
    """Write a new text file, whole or not at all, and never over one that is there.

    Of two processes that create one file, one gets `FileExistsError`: the file is written and synced under another
    name, which a link turns into its own. Where a file system has no links, a lock holds off the other.

    Raises
    ------
    FileExistsError
        There is one.
    InputError
        As `writing_to`, naming `path`.
    """
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(path, text) as temporary:
            try:
                os.link(temporary, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                _rename_new(temporary, path)
            sync(path.parent)


@contextlib.contextmanager
def written_beside(path: Path, text: str) -> Iterator[Path]:
    """Yield a temporary file beside `path` that holds a text, whole and on the disk; in the end it is removed.

    Whoever gives it its name asks the fence, or, as claims that a fence is made of, does not.
    """
    descriptor, name = tempfile.mkstemp(prefix=HALF_WRITTEN, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename a file unless the new name is taken, among processes that do so with the same function."""
    with locked(path.with_name(f".{path.parent.name}.lock")):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary.rename(path)


def require_place(option: str, path: Path) -> None:
    """Refuse a place where nothing can be written, before there is something to write; nothing is made.

    Raises
    ------
    InputError
        On the way to `path` is a file, or a folder without permission.
    """
    nearest = next(place for place in path.absolute().parents if os.path.lexists(place))
    if not nearest.is_dir():
        raise InputError(f"{option} {path}: expected a folder to write to, found a file: {nearest}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path}: expected a folder that may be written to, found none such: {nearest}")


def remove_half_written(folder: Path) -> None:
    """Delete what processes that were killed left below a folder that nobody else writes to."""
    for path in list(folder.rglob(f"{HALF_WRITTEN}*")):
        remove_tree(path, folder)


def remove_abandoned(folder: Path) -> None:
    """Delete what processes that were killed left in a folder that others may be writing to: what is old."""
    now = time.time()
    for path in folder.glob(f"{HALF_WRITTEN}*"):
        with contextlib.suppress(FileNotFoundError):
            if now - path.lstat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


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


def write_array(array: NDArray[Any], path: Path) -> None:
    """Write an array in NumPy's ``.npy`` format."""
    with atomic_file(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def read_json(path: Path) -> Any:
    """Read a JSON file; NaN and infinity are numbers.

    Raises
    ------
    FileNotFoundError
        There is none.
    InputError
        It is something else, larger than `LONGEST_JSON`, nested deeply, or no JSON.
    """
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return read_json_text(path, LONGEST_JSON, nan=True)


def lock_file(path: Path) -> IO[str]:
    """Open a file to lock, made if need be; nothing that is in it is changed.

    Raises
    ------
    InputError
        Something else is there: a link, which could lead to a file of the user's, or a pipe, which would not open.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        raise InputError(f"{path}: expected a lock file, found something else; remove it") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: expected a lock file, found something else; remove it")
    return os.fdopen(descriptor, "r+")


def try_lock(path: Path) -> IO[str] | None:
    """Hold an exclusive lock between processes until the stream that is returned is closed; None where another has it.

    A file system without locks has nobody else hold any.
    """
    stream = lock_file(path)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    except OSError:
        pass
    return stream


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold an exclusive lock between processes; yields False where the file system has no locks.

    The lock ends with the process that holds it, `kill -9` included. `on_wait` is called once where another has it.
    """
    with lock_file(path) as stream:
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


def sync_tree(folder: Path) -> None:
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
    plain_name("folder to make", final.name)
    prefix = f".{final.name}.building-"
    with writing_to(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        with locked(final.with_name(f".{final.name}.lock")) as held:
            if final.is_dir():
                return final
            if held:
                for left_over in final.parent.glob(f"{glob.escape(prefix)}*"):
                    remove_tree(left_over, final.parent)
            temporary = final.with_name(f"{prefix}{uuid.uuid4().hex[:16]}")
            temporary.mkdir()
            try:
                fill(temporary)
                sync_tree(temporary)
                try:
                    temporary.rename(final)
                except OSError:
                    # Without locks another process may have been first: its folder is as good as ours.
                    if not final.is_dir():
                        raise
            finally:
                remove_tree(temporary, final.parent)
    return final
