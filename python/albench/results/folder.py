"""The results folder: held by one process, bound to one configuration."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from albench.config import StudyConfig, difference
from albench.errors import InputError
from albench.results.layout import RunFolder
from albench.results.settings import Settings, StudySettings

_LOCK = ".lock"


@contextlib.contextmanager
def output_folder(out: Path, *, fresh: bool) -> Iterator[None]:
    """Hold `out` for this process; with `fresh`, what is there is renamed to ``<out>.old-<n>`` first.

    Raises
    ------
    InputError
        If another process holds the folder, or this user may not write there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / _LOCK).touch()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        nearest = next(folder for folder in (out, *out.absolute().parents) if os.access(folder, os.F_OK))
        raise InputError(
            f"--out {out}: expected a folder that user {os.geteuid()} may write to, found {nearest} of user "
            f"{nearest.stat().st_uid} ({os.strerror(error.errno)})"
        ) from None
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
            # Not flock, which forked data loaders inherit: after a kill -9 they would hold the folder for seconds.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which of them is up to the system
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise InputError(f"--out {out}: in use by another al-bench, process {holder}") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def claim_folder(out: Path, configs: Sequence[StudyConfig]) -> None:
    """Write the studies' configurations into the folder's settings, or check that they are there already.

    A configuration under which nothing was finished yet, say because its budget turned out to exceed the pool,
    binds nobody: it is replaced, with what it left.

    Raises
    ------
    InputError
        If the folder holds one of the data sets under another configuration, or files that are not ours.
    """
    run = RunFolder(out)
    if not any(not entry.name.startswith(".") for entry in out.iterdir()):
        stored = Settings()
    else:
        try:
            stored = Settings.read(run)
        except InputError as error:
            if run.config.exists() or run.datasets():
                raise InputError(
                    f"{error}; no data set's folder has a whole copy: choose another folder, or --fresh to set this "
                    f"one aside"
                ) from None
            raise InputError(
                f"--out {out}: expected an empty folder or one made by al-bench, found other files"
            ) from None
    known = {study.dataset: study.values for study in stored.studies}
    unfinished = []
    for config in configs:
        changed = difference(known.get(config.dataset, {}), StudySettings.of(config).values)
        if config.dataset not in known or not changed:
            continue
        folder = run.study(config.dataset)
        if folder.has_finished_stage():
            raise InputError(
                f"--out {out}: holds results of {config.dataset} under another configuration "
                f"({'; '.join(changed)}); choose another folder, or --fresh to set this one aside"
            )
        unfinished.append(folder.path)
    for path in unfinished:
        shutil.rmtree(path, ignore_errors=True)
    stored.updated(configs).write(run)
