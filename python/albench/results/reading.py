"""Files of a results folder, refused in one line where they are missing or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from albench.errors import InputError
from albench.machine.files import read_json
from albench.machine.tables import read_rows
from albench.machine.text import reason

__all__ = ["read_object", "read_rows"]


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        No such file, not readable, no JSON, JSON of another type, or with texts that are not Unicode.
    """
    try:
        value = read_json(path)
        json.dumps(value, ensure_ascii=False).encode()  # halves of a pair are JSON, but nothing that can be written
    except FileNotFoundError:
        raise InputError(f"{path}: expected a file written by `al-bench run`, found no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON object, found an unreadable file ({reason(error)})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value
