"""Arrays that memory need not hold: above a size they lie in a temporary file that goes away with them."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from albench.errors import InputError

MAX_BYTES = 2**30
"""A larger array is mapped from a file."""

_BLOCK_BYTES = 64 * 2**20


_chosen: Path | None = None


def use_folder(folder: Path | None) -> None:
    """Put this process's files into `folder` from now on, if it is there when they are made; None: no wish.

    Whoever set ``TMPDIR`` has chosen already.
    """
    global _chosen  # noqa: PLW0603 - as the standard library's tempfile.tempdir
    _chosen = folder


def use_scratch(folder: Path) -> None:
    """Put all temporary files of this process, and of those that it starts, into a folder, which is made if need be.

    Parameters
    ----------
    folder
        Variables of the environment in it stand for what they are here, such as the number of a job.

    Raises
    ------
    InputError
        A variable is not set, or the folder cannot be made or written to.
    """
    place = Path(os.path.expandvars(folder.expanduser())).absolute()
    if "$" in str(place):
        raise InputError(f"--scratch {folder}: expected variables that are set where the work is done, found others")
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise InputError(f"--scratch {folder}: cannot be written to ({error.strerror}: {place})") from None
    os.environ["TMPDIR"] = str(place)
    tempfile.tempdir = None


def scratch_folder() -> Path:
    """Folder of large temporary files: that of ``TMPDIR``, else the chosen one, else ``/var/tmp``.

    ``/tmp`` comes last: it is memory on many systems.
    """
    if "TMPDIR" in os.environ:
        return Path(tempfile.gettempdir())
    if _chosen is not None and _chosen.is_dir():
        return _chosen
    return Path("/var/tmp") if os.access("/var/tmp", os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def empty(shape: Sequence[int], max_bytes: int | None = None) -> NDArray[np.float32]:
    """Make a float32 array with undefined content.

    Parameters
    ----------
    shape
        As for `numpy.empty`.
    max_bytes
        Up to so many bytes the array is in memory, beyond it is a memory map of a nameless file in `scratch_folder`;
        None: `MAX_BYTES`. Its pages are the system's to write out and read back as memory allows.

    Raises
    ------
    OSError
        No space for the file.
    """
    n_bytes = math.prod(shape) * 4
    if n_bytes <= (MAX_BYTES if max_bytes is None else max_bytes) or n_bytes == 0:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="albench-", dir=scratch_folder()) as file:
        _allocate(file.fileno(), n_bytes)
        mapped = np.memmap(file, dtype=np.float32, mode="r+", shape=tuple(shape))
    return np.asarray(mapped)


def _allocate(descriptor: int, n_bytes: int) -> None:
    """Have the disk keep room: writing to a mapped page that it has none for would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, n_bytes)
        return
    zeros = bytes(min(_BLOCK_BYTES, n_bytes))  # macOS has no such call
    for begin in range(0, n_bytes, len(zeros)):
        os.pwrite(descriptor, zeros[: n_bytes - begin], begin)


def take(array: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return ``array[rows]``, as an array that `empty` made."""
    result = empty((len(rows), *array.shape[1:]))
    step = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    for begin in range(0, len(rows), step):
        result[begin : begin + step] = array[rows[begin : begin + step]]
    return result


class Stack:
    """Rows put below each other in a temporary file, however many come.

    Parameters
    ----------
    n_columns, dtype
        Of every row.
    """

    def __init__(self, n_columns: int, dtype: DTypeLike) -> None:
        self._shape, self._dtype, self._n_rows = (n_columns,), np.dtype(dtype), 0
        self._file = tempfile.TemporaryFile(prefix="albench-", dir=scratch_folder())  # noqa: SIM115

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, rows: NDArray[np.generic]) -> slice:
        """Add rows (n, n_columns); return where in the whole they are."""
        if rows.shape[1:] != self._shape or rows.dtype != self._dtype:
            raise ValueError(f"rows: expected {self._dtype} (n, {self._shape[0]}), got {rows.dtype} {rows.shape}")
        self._file.write(np.ascontiguousarray(rows).data)
        self._n_rows += len(rows)
        return slice(self._n_rows - len(rows), self._n_rows)

    def array(self) -> NDArray[np.generic]:
        """All rows, mapped read-only from the file; they outlive it."""
        shape = (self._n_rows, *self._shape)
        if self._n_rows == 0:
            return np.empty(shape, dtype=self._dtype)
        self._file.flush()
        return np.asarray(np.memmap(self._file, dtype=self._dtype, mode="r", shape=shape))
