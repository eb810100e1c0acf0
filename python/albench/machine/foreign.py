"""Tables and arrays that somebody else may have written, read within bounds; nothing in them is run."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from albench.errors import InputError
from albench.machine.tables import DIGEST, content_digest
from albench.machine.text import reason

MAX_VALUES = 2 * 10**8
"""Rows times columns of a table: a few kilobytes can declare more than any memory holds."""

MAX_TABLE_BYTES = 4 * 2**30
"""Of a table in memory, texts written out."""


def require_regular(path: Path, what: str = "a file") -> None:
    """Raise where a path is no file with content: a pipe would never end, a device never begin.

    Raises
    ------
    InputError
        There is none, or something else.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: expected {what} written by `al-bench run`, found no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {what} written by `al-bench run`, found: {error}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: expected {what} written by `al-bench run`, found another kind of file")


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table of numbers and texts.

    Raises
    ------
    InputError
        It is missing, unreadable, declares more than `MAX_VALUES` or `MAX_TABLE_BYTES`, has nested columns, or another
        content than `albench.machine.tables.write_parquet` wrote; tables of others have no digest to tell.
    """
    require_regular(path)
    try:
        return _read_table(path)
    except Exception as error:  # Arrow has a class of its own for every way of being damaged
        raise InputError(f"{path}: expected a Parquet table, found an unreadable file ({reason(error)})") from None


def _read_table(path: Path) -> pd.DataFrame:
    with pq.ParquetFile(path) as file:
        described, schema = file.metadata, file.schema_arrow
    if described.num_rows * max(1, described.num_columns) > MAX_VALUES:
        raise ValueError(f"{described.num_rows} rows of {described.num_columns} columns, more than are read")
    groups = (described.row_group(number) for number in range(described.num_row_groups))
    if sum(group.total_byte_size for group in groups) > MAX_TABLE_BYTES:
        raise ValueError("more bytes than are read")
    nested = [field.name for field in schema if field.type.num_fields or isinstance(field.type, pa.BaseExtensionType)]
    if nested:
        raise ValueError(f"column {nested[0]} of {schema.field(nested[0]).type}")
    texts = [field.name for field in schema if _is_text(field.type)]
    # as dictionaries first: a long text that a million rows share is in the file once
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        table = file.read()
    n_bytes = table.nbytes
    for chunk in (chunk for name in texts for chunk in table.column(name).chunks if pa.types.is_dictionary(chunk.type)):
        lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
        n_bytes += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if n_bytes > MAX_TABLE_BYTES:
        raise ValueError(f"{n_bytes / 1e9:.0f} GB of text, more than are read")
    plain = table.cast(schema)
    if (schema.metadata or {}).get(DIGEST) not in (None, content_digest(plain)):
        raise ValueError("its content has changed since it was written")
    frame: pd.DataFrame = plain.to_pandas()
    return frame


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def read_arrays(path: Path, max_bytes: int, what: str = "arrays") -> dict[str, NDArray[Any]]:
    """Read all arrays, `what` in messages, of an ``.npz`` file; no objects, which would be pickles.

    Raises
    ------
    InputError
        It is missing, unreadable, larger than `max_bytes` when unpacked, or holds objects.
    """
    require_regular(path)
    try:
        with path.open("rb") as stream:
            with zipfile.ZipFile(stream) as archive:
                n_bytes = sum(entry.file_size for entry in archive.infolist())
            if n_bytes > max_bytes:
                raise ValueError(f"{n_bytes / 1e6:.0f} MB unpacked, more than are read")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    except Exception as error:  # zlib's, zipfile's and NumPy's for every way of being damaged
        raise _no_arrays(path, what, error) from None


def read_array(path: Path) -> NDArray[Any]:
    """Read an ``.npy`` file; no objects, which would be pickles.

    Raises
    ------
    InputError
        It is missing, unreadable, or holds objects.
    """
    require_regular(path)
    try:
        with path.open("rb") as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:
        raise _no_arrays(path, "an array", error) from None
    return array


def _no_arrays(path: Path, what: str, error: Exception) -> InputError:
    return InputError(f"{path}: expected {what} written by `al-bench run`, found another file ({reason(error)})")
