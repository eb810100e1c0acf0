"""Where data sets lie: what the user keeps, and what al-bench downloaded."""

from __future__ import annotations

import json
import os
from pathlib import Path

from albench.data.archive import archive_stem, is_archive
from albench.data.msd import DATASET_JSON
from albench.data.registry import DatasetEntry
from albench.errors import InputError

DATA_VARIABLE = "ALBENCH_DATA"


def cache_folder(given: Path | None) -> Path:
    """Folder for downloads, unpacked data and phantoms: the given one, else ALBENCH_CACHE, else ~/.cache/al-bench."""
    folder = given or Path(os.environ.get("ALBENCH_CACHE", "~/.cache/al-bench"))
    try:
        return folder.expanduser()
    except RuntimeError:
        raise InputError(
            f"--cache: expected a folder, found none: {folder} needs a home folder, which neither HOME nor the user's "
            f"entry names; give --cache or set ALBENCH_CACHE"
        ) from None


def downloads_folder(cache_dir: Path) -> Path:
    """Where data sets are that nobody has said another place of."""
    return cache_dir / "data"


def prepared_folder(entry: DatasetEntry, cache_dir: Path) -> Path:
    """Where `al-bench datasets prepare` unpacks what it downloads."""
    return downloads_folder(cache_dir) / entry.msd_folder


def find_source(entry: DatasetEntry, data_dir: Path | None, cache_dir: Path) -> Path:
    """Folder or archive of a registered data set: the user's own, else what was downloaded before.

    Raises
    ------
    InputError
        Neither is there; one line with the place looked at and how to get the data set.
    """
    place = look_up(entry, data_dir, cache_dir)
    if place is not None:
        return place
    base, chosen = _data_place(data_dir, cache_dir)
    if not base.exists():
        there = "no such folder"
    elif (base / DATASET_JSON).is_file() or base.is_file():
        there = "another data set"
    else:
        there = "none of " + ", ".join(_names(entry))
    raise InputError(
        f"data set '{entry.name}': looked in {base} ({chosen}), found {there}; {how_to_get(entry)}, "
        f"or set --data or {DATA_VARIABLE} to the folder that holds {entry.msd_folder}.tar"
    )


def how_to_get(entry: DatasetEntry) -> str:
    """Say what a user has to do for a data set that is not there."""
    if entry.url is None:
        return f"no public archive is known ({entry.obtain})"
    return f"`al-bench datasets prepare {entry.name}` downloads it ({_size(entry.size_mb)})"


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"


def look_up(entry: DatasetEntry, data_dir: Path | None, cache_dir: Path) -> Path | None:
    """As `find_source`, None where there is nothing."""
    base, _ = _data_place(data_dir, cache_dir)
    if _is_this_data_set(base, entry):
        return base.resolve()
    for place in (base / name for name in _names(entry)):
        if (place / DATASET_JSON).is_file() or (is_archive(place) and place.is_file()):
            return place.resolve()
    prepared = prepared_folder(entry, cache_dir)
    return prepared if prepared.is_dir() else None


def _names(entry: DatasetEntry) -> tuple[str, ...]:
    return (entry.msd_folder, f"{entry.msd_folder}.tar", entry.name, f"{entry.name}.tar")


def _data_place(data_dir: Path | None, cache_dir: Path) -> tuple[Path, str]:
    """Folder to look in and how the user chose it.

    Only one place: data found elsewhere than where the user pointed would be a surprise.
    """
    if data_dir is not None:
        return Path(data_dir).expanduser().absolute(), "given with --data"
    if value := os.environ.get(DATA_VARIABLE):
        return Path(value).expanduser().absolute(), f"from {DATA_VARIABLE}"
    return downloads_folder(cache_dir).absolute(), "the cache"


def _is_this_data_set(base: Path, entry: DatasetEntry) -> bool:
    """Whether ``base`` is the data set itself: by the folder's or archive's name or by what its JSON says."""
    names = {
        entry.name.casefold(),
        entry.msd_folder.casefold(),
        entry.msd_folder.casefold().split("_", 1)[-1],
    }
    if base.is_file():
        return is_archive(base) and archive_stem(base).casefold() in names
    if not (base / DATASET_JSON).is_file():
        return False
    if base.name.casefold() in names:
        return True
    try:
        title = json.loads((base / DATASET_JSON).read_text(encoding="utf-8-sig"))["name"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return str(title).casefold() in names
