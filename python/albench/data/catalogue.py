"""The known data sets, and what of them is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albench.data.archive import is_archive
from albench.data.locate import how_to_get, look_up, prepared_folder
from albench.data.registry import DatasetEntry, list_entries
from albench.protocols import dataset_settings


@dataclass(frozen=True)
class KnownDataset:
    """One row of ``al-bench datasets``.

    Attributes
    ----------
    here
        ``yes``, ``archive`` (unpacked when first used), ``downloaded`` (by ``prepare``), ``generated`` when first used,
        or ``no``.
    path
        Where it is; None where it is not, or is generated.
    obtain
        What to do for one that is not here.
    checksum_source
        Who publishes the checksum; None where nobody does, and the first download is trusted.
    settings
        By protocol, the settings that this data set has of its own.
    """

    name: str
    title: str
    modality: str
    n_cases: int
    size_mb: int
    licence: str
    citation: str
    notes: str
    labels: dict[int, str]
    url: str | None
    checksum: str | None
    checksum_source: str | None
    here: str
    path: str | None
    obtain: str | None
    settings: dict[str, dict[str, Any]]


def list_known(data_dir: Path | None, cache_dir: Path) -> list[KnownDataset]:
    """All registered data sets, in the registry's order; nothing but names of files is looked at."""
    return [_row(entry, data_dir, cache_dir) for entry in list_entries()]


def _row(entry: DatasetEntry, data_dir: Path | None, cache_dir: Path) -> KnownDataset:
    path = None if entry.phantom else look_up(entry, data_dir, cache_dir)
    if entry.phantom:
        here = "generated"
    elif path is None:
        here = "no"
    elif path.resolve() == prepared_folder(entry, cache_dir).resolve():
        here = "downloaded"
    else:
        here = "archive" if is_archive(path) else "yes"
    return KnownDataset(
        name=entry.name,
        title=entry.title,
        modality=entry.modality,
        n_cases=entry.n_cases,
        size_mb=entry.size_mb,
        licence=entry.licence,
        citation=entry.citation,
        notes=entry.notes,
        labels=entry.labels,
        url=entry.url,
        checksum=entry.checksum,
        checksum_source=entry.checksum_source,
        here=here,
        path=str(path) if path else None,
        obtain=how_to_get(entry) if here == "no" else None,
        settings=dataset_settings(entry.name),
    )
