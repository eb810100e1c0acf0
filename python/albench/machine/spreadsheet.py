"""Tables as CSV, which people open in spreadsheets."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd

from albench.errors import InputError
from albench.machine.text import read_text

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of cells that spreadsheets compute, the wide forms of Japanese keyboards among them."""


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8, without its index; a text that a spreadsheet would compute gets an apostrophe.

    Names of cases, labels and strategies come from elsewhere: ``=HYPERLINK(...)`` is one, too. Numbers stay as they
    are, also where they are texts.
    """
    inert = table.copy(deep=False)
    for column, values in table.items():
        if not pd.api.types.is_numeric_dtype(values):
            inert[column] = values.map(_inert)
    return inert.rename(columns=_inert).to_csv(index=False).encode()


def read_rows(path: Path, longest: int, what: str) -> list[dict[str, str]]:
    """Read the rows of a table that `csv_bytes` wrote, by column; none where there is no file.

    Raises
    ------
    InputError
        It cannot be read, is larger than `longest` bytes, or no CSV; `what` says what was expected.
    """
    if not path.exists():
        return []
    try:
        return list(csv.DictReader(io.StringIO(read_text(path, longest), newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: expected {what}, found: {error}") from None


def _inert(value: Any) -> Any:
    if not isinstance(value, str) or len(value) < 2 or not value.startswith(_FORMULA):
        return value
    with contextlib.suppress(ValueError):
        float(value)
        return value
    return f"'{value}"


def cell_text(cell: str) -> str:
    """Return the text that `csv_bytes` wrote as `cell`: without the apostrophe before what would be computed."""
    text = cell.removeprefix("'")
    return text if _inert(text) == cell else cell
