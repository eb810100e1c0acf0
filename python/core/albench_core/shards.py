"""Rows of features that lie in several arrays or files, read in parts that memory holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from albench_core import _core
from albench_core import arguments as check


class ArrayLike2D(Protocol):
    """What a shard has to be: a NumPy array, a `numpy.memmap`, a zarr or h5py array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, features)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As for `similarity`."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Read a slice of rows."""


Shard = str | os.PathLike[str] | ArrayLike2D


@dataclass(frozen=True, eq=False)
class Part:
    """Rows start..stop-1 of a shard, which among all shards are rows first..first+n-1."""

    shard: Shard
    name: str
    start: int
    stop: int
    first: int
    n_columns: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def read(self) -> NDArray[Any]:
        """Rows (n, d) in memory: a view where they are there already, one reading of a file where not.

        Within `one_at_a_time` what was read before is gone then.
        """
        array = _opened(self.name, self.shard)
        rows = array[self.start : self.stop]
        if isinstance(array, np.memmap):  # read once, in order, and not page by page whenever a row is looked at
            rows = _copied(rows)
        checked = check.features(self.name, rows)
        if checked.shape != (self.n, self.n_columns):
            raise check.wrong(self.name, f"shape ({self.n}, {self.n_columns}) as before", f"shape {checked.shape}")
        return checked


class _Room(threading.local):
    """Memory that parts of files are read into, one after the other."""

    bytes: NDArray[np.uint8] | None = None


_room = _Room()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Have what parts take lie in one place: the system clears fresh memory slower than files are read."""
    _room.bytes = np.empty(0, np.uint8)
    kept = _core.KeptBlocks()
    try:
        yield
    finally:
        _room.bytes = None
        del kept


def _copied(rows: NDArray[Any]) -> NDArray[Any]:
    if _room.bytes is None:
        return np.array(rows, subok=False)
    if _room.bytes.size < rows.nbytes:
        _room.bytes = np.empty(rows.nbytes, np.uint8)
    copy = _room.bytes[: rows.nbytes].view(rows.dtype).reshape(rows.shape)
    np.copyto(copy, rows)
    return copy


def parts_of(
    shards: Sequence[Shard], n_columns: int, row_bytes: Callable[[int], int], part_bytes: int, fewest: int
) -> list[Part]:
    """Cut shards into parts of about equal size, each of at most `part_bytes` or of `fewest` rows.

    Parameters
    ----------
    shards
        Arrays (n_i, n_columns) or paths of .npy files, all of one dtype.
    row_bytes
        What is held for each row beside its features, by their bytes.
    """
    if isinstance(shards, (str, bytes, os.PathLike)) or hasattr(shards, "dtype") or not isinstance(shards, Sequence):
        raise check.wrong("shards", "a list of arrays or of paths of .npy files", f"a {type(shards).__name__}")
    if not shards:
        raise check.wrong("shards", "at least one array or path", "none")
    parts: list[Part] = []
    first, kind = 0, None
    for at, shard in enumerate(shards):
        name = f"shards[{at}]"
        array = _opened(name, shard)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        if len(shape) != 2 or shape[0] == 0 or shape[1] != n_columns:
            raise check.wrong(name, f"shape (rows, {n_columns}) as `Q`, with at least one row", f"shape {shape}")
        kind = dtype if kind is None else kind
        if dtype != kind:
            raise check.wrong(name, f"dtype {kind} as shards[0]", dtype)
        size = n_columns * dtype.itemsize
        most = max(part_bytes // (size + row_bytes(size)), fewest, 1)
        edges = np.linspace(0, shape[0], ceil(shape[0] / most) + 1).astype(int).tolist()
        for start, stop in pairwise(edges):
            parts.append(Part(shard, name, start, stop, first + start, n_columns))
        first += shape[0]
    check.features("shards[0]", np.empty((1, n_columns), kind))
    return parts


def _opened(name: str, shard: Shard) -> ArrayLike2D:
    if isinstance(shard, (str, os.PathLike)):
        try:
            opened = np.load(shard, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise check.wrong(name, "a .npy file", f"{os.fspath(shard)}: {error}") from error
        if not isinstance(opened, np.ndarray):
            raise check.wrong(name, "a .npy file", f"{os.fspath(shard)}, which holds several arrays")
        return opened
    if isinstance(shard, np.ma.MaskedArray) or not all(hasattr(shard, a) for a in ("shape", "dtype", "__getitem__")):
        raise check.wrong(name, "an array or the path of a .npy file", f"a {type(shard).__name__}")
    return shard
