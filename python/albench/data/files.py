"""Writing so that a killed process leaves nothing behind that looks whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from albench.errors import InputError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn a full disk or a folder we may not write to into a one-line error.

    Raises
    ------
    InputError
        No space left at, or no permission for, ``path``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            message = f"{path}: no space left on the device; free some or choose another folder"
            raise InputError(message) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            where = error.filename or path
            raise InputError(f"{where}: cannot be written or read ({os.strerror(error.errno)})") from error
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON by way of a temporary sibling, so that readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                json.dump(content, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold an exclusive lock between processes; yields False where the file system has no locks."""
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
            held = True
        except OSError:
            held = False
        yield held


def _sync_tree(folder: Path) -> None:
    """Flush all below ``folder`` to the disk, so that the rename is not there before the content."""
    for parent, _, names in os.walk(folder):
        for path in (*(Path(parent, name) for name in names), Path(parent)):
            if path.is_symlink():
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


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
        with _locked(final.with_name(f".{final.name}.lock")) as held:
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
