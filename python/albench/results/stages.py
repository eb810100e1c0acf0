"""Stages of a round: each leaves checksummed files, and is skipped where they are there and whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albench.machine.files import read_json, sha256, write_json
from albench.machine.names import is_file_name
from albench.results.layout import stage_record


@dataclass(frozen=True)
class StageRecord:
    """What is remembered of a finished stage.

    Attributes
    ----------
    seconds
        Wall time of the whole stage in the run that finished it.
    notes
        What the stage reported of itself: JSON values by name.
    files
        SHA-256 of each file it wrote, by name relative to the stage's folder.
    """

    seconds: float
    notes: Mapping[str, Any]
    files: Mapping[str, str]


def load_stage(folder: Path, name: str) -> StageRecord | None:
    """Return the record of a finished stage, or None where it is not finished or a file is missing or damaged."""
    try:
        record = StageRecord(**read_json(stage_record(folder, name)))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    for file, digest in record.files.items():
        path = folder / file
        if not is_file_name(file) or not path.is_file() or sha256(path) != digest:
            return None
    return record


def forget_stage(folder: Path, name: str) -> None:
    """Have a finished stage run again; what it wrote stays where it is."""
    stage_record(folder, name).unlink(missing_ok=True)


def run_stage(folder: Path, name: str, outputs: Sequence[str], compute: Callable[[], Mapping[str, Any]]) -> StageRecord:
    """Run a stage, unless it finished before.

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
    """
    finished = load_stage(folder, name)
    if finished is not None:
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    notes = dict(compute())
    record = StageRecord(
        seconds=time.perf_counter() - started,
        notes=notes,
        files={file: sha256(folder / file) for file in outputs},
    )
    write_json(stage_record(folder, name), {"seconds": record.seconds, "notes": notes, "files": dict(record.files)})
    return record
