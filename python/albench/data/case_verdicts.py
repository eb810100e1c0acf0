"""What reading a case gave, remembered by the bytes of its files: after an import few cases are read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from albench.data.case_check import CaseCheck, Problem, check_case
from albench.data.checksum import index_path_for
from albench.data.dataset import Case, Dataset
from albench.data.opening import CaseFacts
from albench.machine.files import write_json
from albench.machine.text import read_json_text

_VERSION = 1


class CaseVerdicts:
    """Checks of the cases of one data set; asked for by several threads, which each have other cases.

    Parameters
    ----------
    path
        File of what is remembered; None: nothing is. A damaged one is ignored.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        self._fresh: dict[str, Any] = {}
        if path is not None and path.is_file():
            with contextlib.suppress(ValueError, TypeError, OSError):
                self._known = dict(read_json_text(path))

    @classmethod
    def of(cls, dataset: Dataset) -> CaseVerdicts:
        """Take up what is known of a data set."""
        if dataset.cache_dir is None or not dataset.case_checksums:
            return cls(None)
        return cls(index_path_for(dataset.root, dataset.cache_dir, "verified-cases"))

    def check(self, case: Case, dataset: Dataset) -> CaseCheck:
        """Return what `check_case` says; files are read only where they, or the data set's description, changed.

        A case that stops a run is read again: its files may be readable by then.
        """
        key = _key(case, dataset)
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # nothing there, or damage
            found = _restored(self._known[key])
            self._fresh[key] = self._known[key]
            return found
        check = check_case(case, dataset)
        if not any(problem.stops_a_run and not problem.is_of_geometry for problem in check.problems):
            self._fresh[key] = _content(check)
        return check

    def save(self) -> None:
        """Remember what was asked for since, and nothing else."""
        if self._path is not None and self._fresh != self._known:
            write_json(self._path, self._fresh)


def _key(case: Case, dataset: Dataset) -> str:
    """Digest of all that `check_case` looks at, and of the paths that its messages name."""
    content = [
        _VERSION,
        case.name,
        [str(path) for path in case.files],
        dataset.case_checksums.get(case.name),
        sorted(dataset.labels.items()),
        dataset.channel_names,
        dataset.file_ending,
        dataset.annotation is None,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _content(check: CaseCheck) -> dict[str, Any]:
    return check._asdict() | {
        "problems": [asdict(problem) for problem in check.problems],
        "facts": None if check.facts is None else asdict(check.facts),
        "values": sorted(check.values),
    }


def _restored(content: Mapping[str, Any]) -> CaseCheck:
    spacing, facts = content["spacing_mm"], content["facts"]
    return CaseCheck(
        problems=[Problem(**problem) for problem in content["problems"]],
        digest=content["digest"],
        spacing_mm=None if spacing is None else tuple(map(float, spacing)),
        n_axes=content["n_axes"],
        facts=None if facts is None else CaseFacts.stored(facts),
        values=frozenset(content["values"]),
    )
