"""Files of a results folder, refused in one line where they are missing or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from albench.errors import InputError
from albench.machine.files import read_json, read_parquet


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        No such file, not readable, no JSON, or JSON of another type.
    """
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a file written by `al-bench run`, found no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON object, found an unreadable file ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


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
        return read_parquet(path)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a Parquet table, found an unreadable file ({reason})") from error
