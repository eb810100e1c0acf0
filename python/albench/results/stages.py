"""Stages of a round: each leaves checksummed files, and is skipped where they and what they were made of are there.

A stage's record says what it read and what it wrote, each file with its SHA-256. So a stage whose input has changed,
such as a model that was trained anew and came out differently, is run again, and with it whatever read its outputs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from albench.errors import InputError, first_fault
from albench.machine.files import require_fence, sha256
from albench.results.layout import stage_record
from albench.results.sealed import read_sealed, write_sealed


class StageRecord(BaseModel):
    """What is remembered of a finished stage.

    Attributes
    ----------
    seconds
        Wall time of the whole stage in the run that finished it.
    notes
        What the stage reported of itself: JSON values by name.
    files
        SHA-256 of each file it wrote, by name relative to the stage's folder.
    inputs
        SHA-256 of each file it read, by path relative to the stage's folder; None in records of al-bench 0.1, which did
        not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    FORMAT: ClassVar[int] = 2
    """Of the files that `write` makes; records without a format, of al-bench 0.1, have no inputs and no digest."""

    seconds: float = Field(ge=0, allow_inf_nan=False)
    notes: Mapping[str, Any]
    files: Mapping[str, str]
    inputs: Mapping[str, str] | None = None

    def write(self, folder: Path, name: str) -> None:
        """Write the record of the stage `name` that wrote into `folder`."""
        write_sealed(stage_record(folder, name), self.model_dump(), format=self.FORMAT)

    @classmethod
    def read(cls, folder: Path, name: str) -> Self:
        """Read a record, whatever has become of the files.

        Raises
        ------
        InputError
            There is none, or it is damaged.
        """
        path = stage_record(folder, name)
        try:
            return cls.model_validate(read_sealed(path, format=cls.FORMAT))
        except ValidationError as error:
            place, why, _ = first_fault(error)
            raise InputError(f"{path}: expected the record of a stage, found {place}: {why}") from None

    def changed(self, folder: Path) -> str | None:
        """Return which file of it is missing or other than it was, the first, or None where all is whole."""
        return changed_file(folder, {**self.files, **(self.inputs or {})})


def changed_file(folder: Path, digests: Mapping[str, str]) -> str | None:
    """Return which of the files is missing or has another SHA-256, the first, in words; None where all is whole."""
    for name, expected in digests.items():
        digest = _digest(folder / name) if _is_of_the_study(name) else None
        if digest != expected:
            return f"{os.path.normpath(folder / name)} {'is missing' if digest is None else 'has changed'}"
    return None


def load_stage(folder: Path, name: str) -> StageRecord | None:
    """Return the record of a finished stage; None where there is none that is whole, or a file of it has changed."""
    try:
        return whole_stage(folder, name)
    except InputError:
        return None


def whole_stage(folder: Path, name: str) -> StageRecord:
    """Return the record of a finished stage.

    Raises
    ------
    InputError
        There is none that is whole, or a file that the stage read or wrote has changed.
    """
    record = StageRecord.read(folder, name)
    if change := record.changed(folder):
        raise InputError(change)
    return record


def forget_stage(folder: Path, name: str) -> None:
    """Have a finished stage run again; what it wrote stays where it is."""
    require_fence()
    stage_record(folder, name).unlink(missing_ok=True)


def finished_stage(folder: Path, name: str, outputs: Sequence[str], inputs: Sequence[Path]) -> StageRecord:
    """Return the record of a stage that need not run: it finished, and neither what it read nor what it wrote changed.

    Parameters are those of `run_stage`.

    Raises
    ------
    InputError
        It has to run, with the reason.
    """
    record = whole_stage(folder, name)
    read = {os.path.relpath(path, folder) for path in inputs}
    if record.files.keys() != set(outputs) or (record.inputs is not None and record.inputs.keys() != read):
        raise InputError(f"{stage_record(folder, name)} is of other files")
    return record


def run_stage(
    folder: Path,
    name: str,
    outputs: Sequence[str],
    compute: Callable[[], Mapping[str, Any]],
    *,
    inputs: Sequence[Path] = (),
    say: Callable[[str], None] = lambda line: None,
) -> StageRecord:
    """Run a stage, unless it finished before and neither what it read nor what it wrote has changed.

    Parameters
    ----------
    folder
        Where the stage writes.
    name
        Of the stage; its record is ``<name>.stage.json``, written after the outputs.
    outputs
        Files in `folder` that `compute` writes, each atomically.
    compute
        Does the work and returns notes for the record.
    inputs
        Files that `compute` reads.
    say
        Told in one line why a stage that had finished is run again.
    """
    if stage_record(folder, name).exists():
        try:
            return finished_stage(folder, name, outputs, inputs)
        except InputError as error:
            say(f"stage '{name}' runs again: {error}")
        # Else a kill, after the outputs are written, would leave the former record beside them.
        forget_stage(folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    digests = {os.path.relpath(path, folder): sha256(path) for path in inputs}  # before: as `compute` finds them
    started = time.perf_counter()
    notes = dict(compute())
    record = StageRecord(
        seconds=time.perf_counter() - started,
        notes=notes,
        files={file: sha256(folder / file) for file in outputs},
        inputs=digests,
    )
    record.write(folder, name)
    return record


def _is_of_the_study(name: str) -> bool:
    """Whether a path in a record, which somebody else may have written, stays in the folder of the results."""
    path = Path(name)
    return not path.is_absolute() and path.parts.count("..") <= _STEPS_UP


_STEPS_UP = 3  # from a round's folder to that of its data set
_Signature = tuple[int, int, int, int]
_known: dict[Path, tuple[_Signature, str]] = {}


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, or None where there is none.

    A model is an input of several stages, and records are read once a minute: within a process, a file of the same
    size and times is not read again.
    """
    try:
        status = path.stat()
        if not path.is_file():
            return None
        signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if path not in _known or _known[path][0] != signature:
            _known[path] = (signature, sha256(path))
    except (OSError, ValueError):  # a name that no file can have
        return None
    return _known[path][1]
