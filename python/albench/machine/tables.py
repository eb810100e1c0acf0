"""Parquet tables that are whole or absent, with a digest of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.text import reason

_DIGEST = b"albench.sha256"


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, without its index, with a digest of its content: Parquet has no checksum of its own."""
    stored = pa.Table.from_pandas(table, preserve_index=False)
    stored = stored.replace_schema_metadata({**(stored.schema.metadata or {}), _DIGEST: _content_digest(stored)})
    with atomic_file(path) as temporary:
        pq.write_table(stored, temporary)


def read_rows(path: Path) -> pd.DataFrame:
    """Read a Parquet table; one that `write_parquet` did not write has no digest to be compared with.

    Raises
    ------
    InputError
        No such file, not readable, no table, or not with the content that it was written with.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a table written by `al-bench run`, found no such file")
    try:
        with path.open("rb") as stream:
            stored = pq.read_table(stream)
        digest = (stored.schema.metadata or {}).get(_DIGEST)
        if digest not in (None, _content_digest(stored)):
            raise ValueError("its content has changed since it was written")
        table: pd.DataFrame = stored.to_pandas()
    except Exception as error:  # of a damaged file pyarrow and pandas raise whatever they stumble over
        raise InputError(f"{path}: expected a Parquet table, found an unreadable file ({reason(error)})") from error
    return table


def _content_digest(table: pa.Table) -> bytes:
    """SHA-256 of names, types and values, hexadecimal; not of how they are packed."""
    digest = hashlib.sha256((table.schema.metadata or {}).get(b"pandas", b""))
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}\x1f{column.type}\x1f{len(column)}\x1f".encode("utf-8", "surrogatepass"))
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if pa.types.is_primitive(column.type):
            digest.update(column.fill_null(0 if not pa.types.is_boolean(column.type) else False).to_numpy().tobytes())
        else:
            digest.update("\x1f".join(map(str, column.to_pylist())).encode("utf-8", "surrogatepass"))
    return digest.hexdigest().encode()
