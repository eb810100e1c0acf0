"""The results folder: held by one process, or shared by those that join it; bound to one configuration."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from albench.config import StudyConfig, difference
from albench.errors import InputError
from albench.machine.claims import ClaimFolder
from albench.machine.files import fenced, lock_file, remove_half_written
from albench.machine.removal import ASIDE, aside_folder, free_name, is_mounted, set_aside
from albench.results.claims import Claims, require_none_joined
from albench.results.layout import CONFIG_COPY, PROTOCOL_FILE, STUDY_FILE, RunFolder
from albench.results.longer import note_what_was_asked, require_continued
from albench.results.settings import Settings, StudySettings

_LOCK, _ALONE = ".lock", ".alone"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def output_folder(out: Path, *, fresh: bool) -> Iterator[Path | None]:
    """Hold `out` for this process; yields the folder that `fresh` set what was there aside in, or None.

    That is ``<out>.old-<n>`` beside it, or ``OUT/set-aside/results-<n>`` where nothing can be moved out of the folder:
    it is a mount point, as in a container, or what is above it is not ours.

    Raises
    ------
    InputError
        If another process holds the folder, or this user may not write there.
    """
    _require_writable(out)
    with _lock(out):
        require_none_joined(RunFolder(out))
        remove_half_written(out)
        yield _clear(out) if fresh else None


@contextlib.contextmanager
def joined_folder(out: Path, ttl_s: float) -> Iterator[Claims]:
    """Share `out` with other processes, of whatever host, that join it too; yields the claims of all of them.

    Raises
    ------
    InputError
        If a process holds the folder alone, or this user may not write there.
    """
    _require_writable(out)
    claims = Claims(RunFolder(out), ttl_s)
    with _lock(out, shared=True), claims.present():
        # Present first: whoever is alone looks for others after being that, so that one of the two sees the other.
        if (alone := ClaimFolder(out / _ALONE).history()) and alone[-1].is_live:
            raise _in_use(out, alone[-1].place)
        yield claims


def _require_writable(out: Path) -> None:
    """Make the folder and its lock; InputError where that may not be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(out / _LOCK):
            (out / _LOCK).touch()
        lock_file(out / _LOCK).close()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        nearest = next(folder for folder in (out, *out.absolute().parents) if os.access(folder, os.F_OK))
        raise InputError(
            f"--out {out}: expected a folder that user {os.geteuid()} may write to, found {nearest} of user "
            f"{nearest.stat().st_uid} ({os.strerror(error.errno)})"
        ) from None


def _clear(out: Path) -> Path | None:
    """Move all but the lock out of the way; return where it is, None where there was nothing."""
    entries = [entry for entry in out.iterdir() if entry.name not in (_LOCK, _ALONE, ASIDE)]
    if not entries:
        return None
    for entry in entries:
        if is_mounted(entry):
            raise InputError(f"--fresh: expected {entry} to be movable, found a mount point; choose another --out")
    aside = _folder_beside(out) or free_name(aside_folder(out) / "results")
    aside.mkdir(exist_ok=True)
    for entry in entries:
        entry.rename(aside / entry.name)
    return aside


def _folder_beside(out: Path) -> Path | None:
    """Make a folder beside `out` that its content can be renamed into; None where that cannot be."""
    real, number = out.resolve(), 1
    if is_mounted(real):
        return None
    while os.path.lexists(aside := real.with_name(f"{real.name}.old-{number}")):
        number += 1
    try:
        aside.mkdir()
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG):
            return None
        raise
    return aside


@contextlib.contextmanager
def _lock(out: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the folder's lock, alone or with others that share it."""
    with lock_file(out / _LOCK) as handle, contextlib.ExitStack() as until:
        try:
            # Not flock, which forked data loaders inherit: after a kill -9 they would hold the folder for seconds.
            fcntl.lockf(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which of them is up to the system
            raise _in_use(out, f"process {handle.read().strip() or 'unknown'}") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            if not shared:  # those that share it look at this claim themselves
                until.enter_context(_alone(out))
        handle.truncate()  # also of who was there before
        handle.write("that joined it" if shared else str(os.getpid()))
        handle.flush()
        yield


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder where the file system has no locks, as some mounts of Lustre and NFS: by a claim."""
    folder = ClaimFolder(out / _ALONE)
    if (claim := folder.take()) is None:
        raise _in_use(out, folder.history()[-1].place)
    with claim.renewed() as held, fenced(held.check):
        try:
            yield
        finally:
            claim.end("left")


def _in_use(out: Path, holder: str) -> InputError:
    return InputError(f"--out {out}: in use by another al-bench, {holder}")


@dataclass(frozen=True)
class Claim:
    """Settings that a results folder may have; nothing is written before `take`.

    Attributes
    ----------
    stored
        Settings that it has.
    changed
        Those of them whose number of rounds or budgets change; what is done stays as it is.
    replaced
        Folders of data sets under whose settings nothing was finished.
    """

    run: RunFolder
    configs: tuple[StudyConfig, ...]
    stored: Settings
    changed: tuple[StudySettings, ...]
    replaced: tuple[Path, ...]

    def take(self) -> list[Path]:
        """Write the settings; killed at any moment, it leaves the former ones or these.

        Returns
        -------
        list of Path
            Where what was in `replaced` is now.
        """
        for before in self.changed:
            note_what_was_asked(self.run.study(before.dataset), before)
        if self.changed:  # tables of the former settings; all that they say is in the rounds
            for table in (self.run.result_table, self.run.round_table):
                table.unlink(missing_ok=True)
                table.with_suffix(".csv").unlink(missing_ok=True)
        notes = {CONFIG_COPY, STUDY_FILE, PROTOCOL_FILE}
        begun = [path for path in self.replaced if path.is_dir() and any(e.name not in notes for e in path.iterdir())]
        aside = [set_aside(path, self.run.path) for path in begun]
        self.stored.updated(self.configs).write(self.run)
        return aside


def examine_folder(out: Path, configs: Sequence[StudyConfig]) -> Claim:
    """Check that the studies' configurations are those of the folder, or may be written into its settings.

    They may differ in the number of rounds, and in budgets of queries that nobody has made yet. A configuration under
    which nothing was finished, say because its budget turned out to exceed the pool, binds nobody: it is replaced, and
    what it left is set aside.

    Raises
    ------
    InputError
        If the folder holds one of the data sets under another configuration, or files that are not ours.
    """
    run = RunFolder(out)
    folders = {config.dataset: run.study(config.dataset) for config in configs}
    if not any(entry.name != ASIDE and not entry.name.startswith(".") for entry in out.iterdir()):
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
    known = {study.dataset: study for study in stored.studies}
    changed, replaced = [], []
    for config in configs:
        before, wanted, folder = known.get(config.dataset), StudySettings.of(config), folders[config.dataset]
        if before is None or before.values == wanted.values:
            continue
        if not folder.has_finished_stage():
            if difference(before.values, wanted.values):
                replaced.append(folder.path)
            continue
        _require_same_data(out, before, config)
        require_continued(folder, before, wanted)
        if before.rounds != wanted.rounds or before.budgets != wanted.budgets:
            changed.append(before)
    return Claim(run, tuple(configs), stored, tuple(changed), tuple(replaced))


def _require_same_data(out: Path, before: StudySettings, config: StudyConfig) -> None:
    """Refuse another data set of the same name, with both places."""
    if config.dataset_checksum != before.values.get("dataset_checksum") and config.dataset_root:
        changed = difference(before.values, StudySettings.of(config).values)
        raise InputError(
            f"--out {out}: holds results of another data set called {config.dataset}, or of one that has "
            f"changed since: it was {before.root or 'in a folder not noted'}, and is {config.dataset_root} "
            f"now ({'; '.join(changed)}); choose another folder, or --fresh to set this one aside"
        )


def claim_folder(out: Path, configs: Sequence[StudyConfig]) -> list[Path]:
    """Write the studies' configurations into the folder's settings as `examine_folder` allows; see `Claim.take`."""
    return examine_folder(out, configs).take()
