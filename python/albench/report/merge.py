"""Several run folders in one report: which of their studies are the same, and what differs between the others."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from albench.config import difference
from albench.errors import InputError
from albench.results.settings import Settings, StudySettings
from albench.results.tables import RESULT_KEYS, RUN_KEYS


@dataclass(frozen=True)
class StudyConfiguration:
    """Settings of one study, and the name its protocol goes by in the report's tables."""

    dataset: str
    protocol: str
    settings: dict[str, Any]


def tell_apart(
    folders: Sequence[tuple[Path, Settings]],
) -> tuple[list[StudyConfiguration], list[dict[str, str]], list[str]]:
    """Decide which studies are one.

    Studies of one data set and protocol name are the same where their settings agree but for what belongs to the
    machine; else each kind gets a letter, and they are shown side by side.

    Parameters
    ----------
    folders
        Run folders with their settings.

    Returns
    -------
    tuple
        The configurations, different ones once each; for each folder the protocol's name by data set; and a sentence
        for each difference.
    """
    kinds: dict[tuple[str, str], list[tuple[Path, StudySettings]]] = {}
    kind_of: list[dict[str, tuple[str, int]]] = []
    notes = []
    for folder, stored in folders:
        kind_of.append({})
        for settings in stored.studies:
            dataset, name = settings.dataset, settings.protocol
            known = kinds.setdefault((dataset, name), [])
            for place, (first, other) in enumerate(known):
                if not difference(other.portable(), settings.portable()):
                    kind_of[-1][dataset] = (name, place)
                    changed = difference(other.values, settings.values)
                    if changed:
                        notes.append(
                            f"{dataset}, {name}: {first} and {folder} ran on differing machines "
                            f"({'; '.join(changed)}) and are joined."
                        )
                    break
            else:
                kind_of[-1][dataset] = (name, len(known))
                known.append((folder, settings))
    for (dataset, name), variants in kinds.items():
        first, settings = variants[0]
        for place, (folder, other) in enumerate(variants[1:], start=1):
            lines = "; ".join(difference(settings.portable(), other.portable()))
            notes.append(
                f"{dataset}, {name}: {first} (A) and {folder} ({_letter(place)}) have different settings and stand "
                f"side by side: {lines}."
            )
    own_names = [
        {dataset: _name(name, place, len(kinds[dataset, name])) for dataset, (name, place) in own.items()}
        for own in kind_of
    ]
    configs = [
        StudyConfiguration(dataset, _name(name, place, len(variants)), dict(settings.stored))
        for (dataset, name), variants in kinds.items()
        for place, (_, settings) in enumerate(variants)
    ]
    return configs, own_names, notes


def joined(tables: Sequence[pd.DataFrame], folders: Sequence[Path]) -> pd.DataFrame:
    """Put result rows below each other; rows that are the same in two folders are kept once.

    Raises
    ------
    InputError
        If two folders hold the same run with different results.
    """
    marked = [table.assign(_folder=str(folder)) for table, folder in zip(tables, folders, strict=True)]
    table = pd.concat(marked, ignore_index=True)
    # absent classes (NaN) agree with each other and with nothing else
    twice = table[table.duplicated(RESULT_KEYS, keep=False)].fillna({"dice": -1.0})
    ends = twice.groupby(RESULT_KEYS)["dice"].agg(["min", "max"])
    differing = ends.index[ends["min"] != ends["max"]]
    if len(differing):
        run = ", ".join(f"{name}={value}" for name, value in zip(RUN_KEYS, differing[0], strict=False))
        where = " and ".join(sorted(set(twice.set_index(RESULT_KEYS).loc[[differing[0]], "_folder"])))
        raise InputError(f"{where}: expected one result of {run}, found two that differ")
    return table.drop_duplicates(RESULT_KEYS, ignore_index=True).drop(columns="_folder")


def _name(protocol: str, place: int, n_kinds: int) -> str:
    return protocol if n_kinds == 1 else f"{protocol} ({_letter(place)})"


def _letter(place: int) -> str:
    return string.ascii_uppercase[place] if place < len(string.ascii_uppercase) else str(place + 1)
