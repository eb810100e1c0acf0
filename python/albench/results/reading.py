"""Files of a results folder, refused in one line where they are missing, damaged or something else."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from albench.errors import InputError
from albench.machine.files import read_json
from albench.machine.foreign import read_table, require_regular
from albench.machine.removal import ASIDE

# nnU-Net's raw data are links to the images, which `albench.data.raw` makes anew where they lead elsewhere.
_IMAGE_LINK = re.compile(r"[^/]+/_shared/seed-\d+/nnunet/raw/[^/]+/(images|labels)Tr/[^/]+")


def require_plain_files(out: Path) -> None:
    """Raise for anything below `out` but folders and files, whoever made it.

    A link may lead to files of the reader's, which would be read or written as results; a pipe or a device has no
    end. What is set aside or begins with a dot is not looked at, since nothing reads it. No folder is fine.

    Raises
    ------
    InputError
        There is a link, a pipe, a socket or a device, other than the links to images that al-bench makes.
    """
    waiting = [out] if out.is_dir() else []
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:  # another process may write here
            for entry in entries:
                path = Path(entry.path)
                if folder == out and (entry.name == ASIDE or entry.name.startswith(".")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif not entry.is_file(follow_symlinks=False):
                    place = path.relative_to(out).as_posix()
                    if not (entry.is_symlink() and _IMAGE_LINK.fullmatch(place)):
                        found = f"a link to {path.readlink()}" if entry.is_symlink() else "a pipe, socket or device"
                        raise InputError(
                            f"{path}: expected a file or folder of results, found {found}; nothing is read"
                        )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        No such file, not readable, no JSON, JSON of another type, or with texts that are not Unicode.
    """
    require_regular(path)
    try:
        value = read_json(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: expected a JSON object, found an unreadable file ({reason})") from None
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
    require_regular(path, "a table")
    return read_table(path)
