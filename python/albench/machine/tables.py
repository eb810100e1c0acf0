"""Parquet tables that are whole or absent, with a digest of their content; `albench.machine.foreign` reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from albench.machine.files import atomic_file

DIGEST = b"albench.sha256"
"""Key of the digest in a table's metadata."""


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, without its index, with a digest of its content: Parquet has no checksum of its own."""
    stored = pa.Table.from_pandas(table, preserve_index=False)
    stored = stored.replace_schema_metadata({**(stored.schema.metadata or {}), DIGEST: content_digest(stored)})
    with atomic_file(path) as temporary:
        pq.write_table(stored, temporary)


def content_digest(table: pa.Table) -> bytes:
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
