"""The results folder: held by one process, bound to one configuration."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from albench.config import StudyConfig, difference
from albench.errors import InputError
from albench.files import read_json, write_json

CONFIG_FILE = "config.json"
_LOCK = ".lock"


@contextlib.contextmanager
def output_folder(out: Path, *, fresh: bool) -> Iterator[None]:
    """Hold `out` for this process; with `fresh`, what is there is renamed to ``<out>.old-<n>`` first.

    Raises
    ------
    InputError
        If another process holds the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _lock(out):
        if fresh and any(entry.name != _LOCK for entry in out.iterdir()):
            number = 1
            while (aside := out.with_name(f"{out.name}.old-{number}")).exists():
                number += 1
            aside.mkdir()
            for entry in list(out.iterdir()):
                if entry.name != _LOCK:
                    entry.rename(aside / entry.name)
        yield


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    with (out / _LOCK).open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise InputError(f"--out {out}: in use by another al-bench, process {holder}") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def claim_folder(out: Path, config: StudyConfig) -> None:
    """Write the study's configuration into ``out/config.json``, or check that it is there already.

    Raises
    ------
    InputError
        If the folder holds this data set under another configuration, or other files and no configuration.
    """
    path = out / CONFIG_FILE
    stored: dict[str, Any] = read_json(path) if path.is_file() else {"datasets": {}}
    if not path.is_file() and out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise InputError(f"--out {out}: expected an empty folder or one made by al-bench, found other files")
    mine = config.model_dump(mode="json")
    theirs = stored["datasets"].get(config.dataset)
    if theirs is not None:
        changed = difference({k: v for k, v in theirs.items() if k != "config_hash"}, mine)
        if changed:
            raise InputError(
                f"--out {out}: holds results of {config.dataset} under another configuration "
                f"({'; '.join(changed)}); choose another folder, or --fresh to set this one aside"
            )
        return
    stored["datasets"][config.dataset] = mine | {"config_hash": config.digest()}
    write_json(path, stored)
