"""The values that label files hold, read once and remembered."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from albench.data.checksum import hash_files, index_path_for
from albench.data.dataset import Annotation, Case
from albench.data.voxels import scan_voxels
from albench.errors import InputError
from albench.machine.files import write_json
from albench.progress import Reporter

Values = tuple[float, ...]


def label_values(paths: Sequence[Path], root: Path, cache_dir: Path, reporter: Reporter) -> list[Values | None]:
    """Sorted distinct values of each label file; None for one that cannot be read, which verification reports.

    Parameters
    ----------
    paths
        Label files below `root`.
    root, cache_dir
        What is found is kept in `cache_dir` by content, so that files are read again only where they changed.
    reporter
        Shows progress where files are read.
    """
    hashes = hash_files(paths, index_path_for(root, cache_dir, "labels"), reporter)
    store = index_path_for(root, cache_dir, "label-values")
    try:
        known: dict[str, list[float]] = dict(json.loads(store.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        known = {}
    unknown = {digest: path for digest, path in zip(hashes, paths, strict=True) if digest not in known}
    if unknown:
        title = f"{root.name}: reading the labels of {len(unknown)} cases"
        with reporter.task(title, len(unknown)) as advance, ThreadPoolExecutor(os.cpu_count()) as executor:
            for digest, values in zip(unknown, executor.map(_values, unknown.values()), strict=True):
                if values is not None:
                    known[digest] = values
                advance()
        write_json(store, {digest: known[digest] for digest in hashes if digest in known})
    return [tuple(known[digest]) if digest in known else None for digest in hashes]


def _values(path: Path) -> list[float] | None:
    try:
        scan = scan_voxels(path, values=True)
    except InputError:
        return None
    return [float(value) for value in scan.values] if scan.finite else None


def annotation_of(
    cases: Sequence[Case], ignore: int, root: Path, cache_dir: Path, reporter: Reporter
) -> Mapping[str, Annotation]:
    """How much of each case is labelled, by which values beside and besides the ignore label its file holds."""
    labelled = [case for case in cases if case.label is not None]
    values = label_values([case.reference for case in labelled], root, cache_dir, reporter)
    annotation = {case.name: _annotation(each or (), ignore) for case, each in zip(labelled, values, strict=True)}
    return {case.name: annotation.get(case.name, "none") for case in cases}


def _annotation(values: Values, ignore: int) -> Annotation:
    if ignore not in values:
        return "complete"
    return "none" if values == (ignore,) else "partial"
