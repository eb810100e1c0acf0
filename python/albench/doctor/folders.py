"""Where data sets are read from and results written to, and how fast."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from albench.data.locate import DATA_VARIABLE, cache_folder
from albench.doctor.finding import Finding
from albench.errors import InputError
from albench.machine.scratch import scratch_folder
from albench.machine.text import reason

NNUNET_VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
_TRIAL_BYTES, _BLOCK_BYTES = 32 * 2**20, 2**20
_LEAST_FREE = 2 * 2**30
_SLOW = 20 * 10**6  # bytes a second; checkpoints and preprocessed images wait for the disk below


def check_out(out: Path) -> Iterator[Finding]:
    """Whether results can be written, and how fast: 32 MiB of noise, flushed to the disk."""
    yield from _writable("results", out, f"choose another folder with --out: {out} would be written to")


def check_scratch() -> Iterator[Finding]:
    """Whether there is a place for large temporary files."""
    yield from _writable("temporary files", scratch_folder(), "set TMPDIR to a folder on a disk")


def _writable(name: str, folder: Path, cure: str) -> Iterator[Finding]:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    where = str(folder) if there == folder else f"{folder} (to be made in {there})"
    free = shutil.disk_usage(there).free
    try:
        rate = _write_rate(there)
    except OSError as error:
        yield Finding(name, f"{where}: cannot be written to: {reason(error)}", cure)
        return
    text = f"{where}: {free / 1e9:.1f} GB free, written at {rate / 1e6:.0f} MB/s"
    if free < _LEAST_FREE:
        yield Finding(name, text, f"free some space or {cure}")
    elif rate < _SLOW:
        yield Finding(name, text, f"slow, as folders on a network may be: {cure}")
    else:
        yield Finding(name, text)


def _write_rate(folder: Path) -> float:
    """Bytes a second of a file without a name, which leaves nothing behind whatever happens."""
    block = os.urandom(_BLOCK_BYTES)  # no file system makes less of it
    with tempfile.TemporaryFile(dir=folder) as file:
        begin = time.perf_counter()
        for _ in range(_TRIAL_BYTES // _BLOCK_BYTES):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return _TRIAL_BYTES / max(time.perf_counter() - begin, 1e-9)


def check_data(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Folders of data sets: the user's own, the cache, and nnU-Net's, which al-bench has no need of."""
    given = environment.get(DATA_VARIABLE)
    if not given:
        yield Finding(DATA_VARIABLE, "not set: data sets are looked for in the cache, or where --data says")
    else:
        yield _readable(DATA_VARIABLE, Path(given))
    try:
        cache = cache_folder(None)
        text = "there" if cache.is_dir() else "not there yet, made when it is needed"
        yield Finding("cache", f"{cache}: {text}")
    except InputError as error:
        yield Finding("cache", str(error), "set HOME or ALBENCH_CACHE, or give --cache")
    unset = [name for name in NNUNET_VARIABLES if not environment.get(name)]
    for name in NNUNET_VARIABLES:
        if name not in unset:
            yield _readable(name, Path(environment[name]))
    if unset:
        yield Finding("nnU-Net's folders", f"not set: {', '.join(unset)}, which nnU-Net's own commands alone need")


def _readable(name: str, folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding(name, f"{folder}: no such folder", f"make it, or correct or unset {name}")
    if not os.access(folder, os.R_OK | os.X_OK):
        return Finding(name, f"{folder}: cannot be read", "have its owner allow it (chmod go+rX), or choose another")
    n_entries = sum(1 for _ in folder.iterdir())
    return Finding(name, f"{folder}: {n_entries} entries")
