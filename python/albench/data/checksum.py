"""Hashes of files, remembered, so that loading a data set again does not read it again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albench.data.dataset import Case
from albench.data.readers import spacing_file
from albench.errors import InputError
from albench.machine.files import sha256, write_json
from albench.progress import Reporter

_MISSING = "missing"


@dataclass(frozen=True)
class Checksums:
    """SHA-256 (hex) of what a data set holds.

    Attributes
    ----------
    dataset
        See `Dataset.checksum`.
    cases
        Of the bytes of each case's files, by name.
    """

    dataset: str
    cases: Mapping[str, str]


def hash_files(paths: Sequence[Path], index_path: Path, reporter: Reporter) -> list[str]:
    """SHA-256 of each file, read only where size, modification time or inode changed since the last call.

    Parameters
    ----------
    paths
        Files; one that does not exist gets the word ``missing`` (verification reports it, with its case).
    index_path
        JSON file with what is known already; rewritten when something changed. A damaged one is ignored.
    reporter
        Shows progress where something has to be read.

    Returns
    -------
    list of str
        In the order of ``paths``.

    Raises
    ------
    InputError
        A file exists but cannot be read.
    """
    try:
        known = dict(json.loads(index_path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        known = {}
    fresh: dict[str, list[int | str]] = {}
    unknown: list[Path] = []
    for path in paths:
        if str(path) in fresh or not path.is_file():
            continue
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        entry, state = known.get(str(path)), [status.st_size, status.st_mtime_ns, status.st_ino]
        if isinstance(entry, list) and len(entry) == 4 and entry[:3] == state:
            fresh[str(path)] = entry
        else:
            fresh[str(path)] = [*state]
            unknown.append(path)
    if unknown:
        what = "1 file" if len(unknown) == 1 else f"{len(unknown)} files"
        title = f"{index_path.stem.rsplit('-', 1)[0]}: hashing {what}"
        with reporter.task(title, len(unknown)) as advance, ThreadPoolExecutor(os.cpu_count()) as executor:
            for path, digest in zip(unknown, executor.map(_sha256, unknown), strict=True):
                fresh[str(path)].append(digest)
                advance()
    hashes = [str(fresh[str(path)][3]) if str(path) in fresh else _MISSING for path in paths]
    if fresh != known:
        write_json(index_path, fresh)
    return hashes


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def index_path_for(root: Path, cache_dir: Path, what: str = "hashes") -> Path:
    """Where something about the files below ``root`` is remembered: their hashes, if nothing else is said."""
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return cache_dir / what / f"{root.name}-{key}.json"


def _files_of(case: Case) -> list[Path]:
    """All that is read of a case: images, label, and the spacing of stacks, which lies beside them."""
    described = {spacing_file(path) for path in case.files}
    return [*case.files, *sorted(path for path in described if path is not None)]


def checksums_of(
    cases: Sequence[Case],
    labels: Mapping[int, str],
    channel_names: Sequence[str],
    index_path: Path,
    reporter: Reporter,
) -> Checksums:
    """Hash a data set's content, whatever folder or archive it lies in."""
    files = {case.name: _files_of(case) for case in cases}
    hashes = iter(hash_files([path for paths in files.values() for path in paths], index_path, reporter))
    content: dict[str, Any] = {
        "labels": sorted(labels.items()),
        "channels": list(channel_names),
        "cases": [[name, *(next(hashes) for _ in paths)] for name, paths in files.items()],
    }
    return Checksums(_digest(content), {name: _digest(of_files) for name, *of_files in content["cases"]})


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
