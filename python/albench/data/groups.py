"""Cases that belong together, as several scans of one patient do."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from albench.data.dataset import Dataset
from albench.data.msd import DATASET_JSON, read_json_object
from albench.errors import InputError
from albench.machine.names import require_names
from albench.machine.text import read_text

GROUPS_CSV = "groups.csv"
AUTO, NONE = "auto", "none"
_COLUMNS = ["case", "group"]
KNOWN_NAMES = {
    "patientXXX_frameYY": r"(patient\d+)_frame\d+",  # ACDC
    "sub-X_ses-Y": r"(sub-[A-Za-z0-9]+)_ses-.+",  # BIDS
}
"""Forms of case names that name a patient, with the regular expressions that find it."""


@dataclass(frozen=True)
class CaseGroups:
    """Which cases belong together.

    Attributes
    ----------
    groups
        Case to group; empty where no two cases share one.
    note
        For the user: how they were found; empty where there are none.
    """

    groups: Mapping[str, str]
    note: str = ""

    @property
    def digest(self) -> str | None:
        """First 12 hex digits of the SHA-256 of the groups, whatever they are called; None where there are none."""
        if not self.groups:
            return None
        members: dict[str, list[str]] = {}
        for case in sorted(self.groups):
            members.setdefault(self.groups[case], []).append(case)
        return hashlib.sha256(json.dumps(sorted(members.values())).encode()).hexdigest()[:12]


def declared_groups(root: Path, cases: Sequence[str]) -> dict[str, str] | None:
    """Read which group each case is in, from ``groups`` in ``dataset.json`` or from ``groups.csv`` beside it.

    The former is an object from case to group, the latter a table with the columns ``case`` and ``group``. Cases that
    are not listed are groups of their own.

    Returns
    -------
    dict
        Of the cases listed; None where nothing is said.

    Raises
    ------
    InputError
        Both are there, or one is not of this form, or names a case that is none or two groups for one.
    """
    table, description = root / GROUPS_CSV, root / DATASET_JSON
    entry = read_json_object(description).get("groups") if description.is_file() else None
    if entry is not None and table.is_file():
        raise InputError(f'{table}: expected this file or "groups" in {DATASET_JSON}, found both')
    if entry is not None:
        if not isinstance(entry, dict) or not all(isinstance(group, str | int) for group in entry.values()):
            raise InputError(f'{description}: expected "groups" as {{case: group, ...}}, found {entry!r:.80}')
        groups = {case: str(group) for case, group in entry.items()}
        source = description
    elif table.is_file():
        groups, source = _read_table(table), table
    else:
        return None
    unknown = sorted(set(groups).difference(cases))
    if unknown:
        raise InputError(f"{source}: expected groups of the data set's cases, found {unknown[0]:.200}, which is none")
    require_names(source, "group", groups.values())
    return groups


def _read_table(path: Path) -> dict[str, str]:
    groups: dict[str, str] = {}
    rows = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = next(rows, [])
        if header != _COLUMNS:
            raise InputError(f"{path}: expected the columns {', '.join(_COLUMNS)}, found {header!r:.200}")
        for row in rows:
            if row and (len(row) != 2 or not all(row) or groups.setdefault(*row) != row[1]):
                raise InputError(f"{path}: expected a case with one group in line {rows.line_num}, found {row!r:.200}")
    except csv.Error as error:
        raise InputError(f"{path}: expected a table in line {rows.line_num}, found: {error}") from error
    return groups


def case_groups(dataset: Dataset, group_by: str) -> CaseGroups:
    """Say which cases of a data set belong together.

    Parameters
    ----------
    group_by
        ``auto``: as the data set says, else by names of a form that names the patient, if all cases have it; ``none``:
        each case by itself; else a regular expression with one group, found in every case's name.

    Raises
    ------
    InputError
        For an expression that is none, or that does not find a group in every name.
    """
    if group_by == NONE:
        return CaseGroups({})
    if group_by != AUTO:
        return _shared(_by_pattern(dataset, group_by), f"--group-by {group_by}")
    if dataset.groups is not None:
        groups = {case: dataset.groups.get(case, f"case {case}") for case in dataset.case_names}
        return _shared(groups, "as the data set says")
    for form, pattern in KNOWN_NAMES.items():
        matches = {case: re.fullmatch(pattern, case) for case in dataset.case_names}
        groups = {case: match[1] for case, match in matches.items() if match}
        if len(groups) == len(dataset.case_names):
            return _shared(groups, f"cases are named {form}; --group-by none treats each by itself")
    return CaseGroups({})


def _by_pattern(dataset: Dataset, pattern: str) -> dict[str, str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group-by {pattern}: expected a regular expression, found none ({error})") from None
    if expression.groups != 1:
        raise InputError(
            f"--group-by {pattern}: expected auto, none or an expression with one group in parentheses, "
            f"found {expression.groups}"
        )
    groups = {}
    for case in dataset.case_names:
        match = expression.search(case)
        if match is None or not match[1]:
            raise InputError(f"--group-by {pattern}: expected a group in every case's name, found none in {case}")
        groups[case] = match[1]
    return groups


def _shared(groups: Mapping[str, str], how: str) -> CaseGroups:
    """Keep groups where any has two cases."""
    n_groups = len(set(groups.values()))
    if n_groups == len(groups):
        return CaseGroups({})
    return CaseGroups(
        groups, f"{len(groups)} cases of {n_groups} groups, which stay together in pool, test and folds: {how}"
    )
