"""Changes to several files of a folder that are all made or none, whatever moment the process is killed at.

What is to be written is staged in the same folder and flushed. Then a journal that lists every step is renamed into
place: from there on the change is as good as made. Steps are renames, each of which may be repeated; who finds a
journal repeats them all, who finds staged files without one deletes them. So after `settle` the folder is the old one
or the new one. A program that knows nothing of journals and reads *while* the renames are made can see some of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from albench.errors import InputError, first_fault
from albench.machine.files import sync, sync_tree, write_json, writing_to
from albench.machine.names import is_file_name
from albench.machine.removal import remove_tree
from albench.machine.text import read_json_text

WORKSPACE = "albench"
"""Folder, inside the one that is changed, of what al-bench keeps there."""

_INCOMING, _JOURNAL, _FILES, _REMOVED = "incoming", "journal.json", "files", "removed"


def _inside(path: str) -> str:
    parts = path.split("/")
    if not all(is_file_name(part) for part in parts) or parts[:2] == [WORKSPACE, _INCOMING]:
        raise ValueError(f"expected a path inside the folder, got {path!r:.200}")
    return path


InsidePath = Annotated[str, AfterValidator(_inside)]
"""From the folder that is changed, with forward slashes; leads nowhere else."""


class _Step(BaseModel):
    """One step; `target` is a path from the folder that is changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["make folder", "put", "remove", "remove folder"]
    target: InsidePath


class _Journal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    steps: tuple[_Step, ...]


class Changes:
    """What is going to be changed; nothing is before `changing` ends."""

    def __init__(self, root: Path, incoming: Path) -> None:
        self._root, self._incoming = root, incoming
        self._steps: list[_Step] = []

    def put(self, target: PurePosixPath | str) -> Path:
        """Return where to write what is to be at `target`: a file, a link or a folder. What is there is replaced.

        The place ends as the target does, for writers that choose a format by it. A folder may only be put where
        nothing is. Folders on the way are made.
        """
        self._make_parents(PurePosixPath(target))
        self._steps.append(_Step(do="put", target=str(target)))
        return _staged(self._incoming, len(self._steps) - 1, self._steps[-1])

    def remove(self, target: PurePosixPath | str) -> None:
        """Remove a file, a link or a folder with all that is in it."""
        self._steps.append(_Step(do="remove", target=str(target)))

    def remove_folder(self, target: PurePosixPath | str) -> None:
        """Remove a folder if it is empty by then."""
        self._steps.append(_Step(do="remove folder", target=str(target)))

    @property
    def made_folders(self) -> tuple[str, ...]:
        """Folders that are not there yet and will be, outermost first."""
        return tuple(step.target for step in self._steps if step.do == "make folder")

    @property
    def steps(self) -> tuple[_Step, ...]:
        """All steps, in the order in which they are made."""
        return tuple(self._steps)

    def _make_parents(self, target: PurePosixPath) -> None:
        for parent in reversed([each for each in target.parents if each.parts]):
            step = _Step(do="make folder", target=str(parent))
            known = step in self._steps or str(parent) == WORKSPACE
            if not known and not (self._root / parent).is_dir():
                self._steps.append(step)


@contextlib.contextmanager
def changing(root: Path) -> Iterator[Changes]:
    """Change several files of `root` at once: all when the block ends, none if it raises or the process is killed.

    Of several processes one changes, the others wait. What a killed one left is settled first.

    Raises
    ------
    InputError
        No space left or no permission, before anything is changed; a link or a file where a folder has to be.
    """
    workspace = root / WORKSPACE
    incoming = workspace / _INCOMING
    with writing_to(root), _held(root):
        _settle(root)
        _require_folder(workspace)
        try:
            workspace.mkdir(exist_ok=True)
            incoming.mkdir()
            (incoming / _FILES).mkdir()
            changes = Changes(root, incoming)
            yield changes
            journal = _Journal(steps=changes.steps)
            for step in journal.steps:
                _require_parents(root, step.target)
            sync_tree(incoming)
            sync(workspace)
            sync(root)
            write_json(incoming / _JOURNAL, journal.model_dump())
        except BaseException:
            # the journal first: half of what it lists must not be left with it
            (incoming / _JOURNAL).unlink(missing_ok=True)
            remove_tree(incoming, root)
            _drop_empty(workspace)
            raise
        _finish(root, journal)


def settle(root: Path) -> None:
    """Finish or undo what a killed process began to change in `root`; waits for one that is at it.

    Raises
    ------
    InputError
        No permission, or a journal that is none.
    """
    workspace = root / WORKSPACE
    if os.path.lexists(workspace / _INCOMING) or (workspace.is_dir() and not any(workspace.iterdir())):
        with writing_to(root), _held(root):
            _settle(root)


def _settle(root: Path) -> None:
    incoming = root / WORKSPACE / _INCOMING
    if not os.path.lexists(incoming):
        _drop_empty(incoming.parent)
        return
    _require_folder(incoming.parent)
    _require_folder(incoming)
    path = incoming / _JOURNAL
    if not os.path.lexists(path):
        remove_tree(incoming, root)
        _drop_empty(incoming.parent)
        return
    try:
        journal = _Journal.model_validate(read_json_text(path))
    except ValidationError as error:
        place, why, _ = first_fault(error)
        raise InputError(f"{path}: expected the journal of a change, found {place}: {why}") from None
    for step in journal.steps:
        _require_parents(root, step.target)
    _finish(root, journal)


def _finish(root: Path, journal: _Journal) -> None:
    """Make every step, those that were made already included."""
    incoming = root / WORKSPACE / _INCOMING
    (incoming / _REMOVED).mkdir(exist_ok=True)
    for number, step in enumerate(journal.steps):
        target = root / step.target
        if step.do == "make folder":
            target.mkdir(exist_ok=True)
        elif step.do == "put":
            if os.path.lexists(staged := _staged(incoming, number, step)):
                staged.replace(target)
        elif step.do == "remove":
            if os.path.lexists(target):
                target.replace(incoming / _REMOVED / str(number))
        else:
            _drop_empty(target)
    for folder in {(root / step.target).parent for step in journal.steps}:
        if folder.is_dir():
            sync(folder)
    # Last of all what tells others to repeat: the rest of `incoming` means nothing without it.
    (incoming / _JOURNAL).unlink()
    remove_tree(incoming, root)
    _drop_empty(incoming.parent)


def _staged(incoming: Path, number: int, step: _Step) -> Path:
    return incoming / _FILES / f"{number}-{PurePosixPath(step.target).name}"


@contextlib.contextmanager
def _held(root: Path) -> Iterator[None]:
    """Hold a lock on the folder itself, so that no file is left of it; nothing where the file system has no locks."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _require_parents(root: Path, target: str) -> None:
    """Raise where a step would lead out of the folder, through a link."""
    for parent in PurePosixPath(target).parents:
        if parent.parts:
            _require_folder(root / parent)


def _require_folder(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path}: expected a folder, found {'a link' if path.is_symlink() else 'a file'}")


def _drop_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
