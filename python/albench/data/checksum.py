"""Hashes of files, remembered, so that loading a data set again does not read it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from albench.data.dataset import Case
from albench.errors import InputError
from albench.files import sha256, write_json

_MISSING = "missing"


def hash_files(paths: Sequence[Path], index_path: Path) -> list[str]:
    """SHA-256 of each file, read only where size or modification time changed since the last call.

    Parameters
    ----------
    paths
        Files; one that does not exist gets the word ``missing`` (verification reports it, with its case).
    index_path
        JSON file with what is known already; rewritten when something changed. A damaged one is ignored.

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
    hashes: list[str] = []
    for path in paths:
        if not path.is_file():
            hashes.append(_MISSING)
            continue
        try:
            status = path.stat()
            entry = known.get(str(path))
            if not (isinstance(entry, list) and entry[:2] == [status.st_size, status.st_mtime_ns]):
                entry = [status.st_size, status.st_mtime_ns, sha256(path)]
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        fresh[str(path)] = entry
        hashes.append(str(entry[2]))
    if fresh != known:
        write_json(index_path, fresh)
    return hashes


def index_path_for(root: Path, cache_dir: Path) -> Path:
    """Where the hashes of the files below ``root`` are remembered."""
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return cache_dir / "hashes" / f"{root.name}-{key}.json"


def dataset_checksum(
    cases: Sequence[Case], labels: Mapping[int, str], channel_names: Sequence[str], index_path: Path
) -> str:
    """Checksum of a data set's content, whatever folder or archive it lies in; see :class:`Dataset`."""
    files = [path for case in cases for path in (*case.images, case.label)]
    hashes = iter(hash_files(files, index_path))
    content = {
        "labels": sorted(labels.items()),
        "channels": list(channel_names),
        "cases": [[case.name, *(next(hashes) for _ in (*case.images, case.label))] for case in cases],
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
