"""From a name or a path to a :class:`Dataset`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from albench.data.archive import archive_stem, is_archive, unpack
from albench.data.checksum import dataset_checksum, hash_files, index_path_for
from albench.data.dataset import Dataset
from albench.data.msd import DATASET_JSON, MsdContent, find_msd_root, read_json_object, read_msd
from albench.data.nnunet_layout import is_nnunet_layout, read_nnunet
from albench.data.phantom import build_phantom
from albench.data.registry import REGISTRY, DatasetEntry, get_entry
from albench.errors import InputError
from albench.files import build_folder, writing_to

DATA_VARIABLE = "ALBENCH_DATA"
DEFAULT_DATA_DIR = Path("../shared/data")


def load_dataset(name: str, *, data_dir: Path | None, cache_dir: Path) -> Dataset:
    """Find a data set, unpack it where need be, and read its ``dataset.json``. No image is opened.

    Parameters
    ----------
    name
        A registry name, or the path of a folder or ``.tar`` in the layout of the MSD or of nnU-Net's raw data.
    data_dir
        Where real data lie: a folder that holds ``TaskNN_Name/`` or ``TaskNN_Name.tar``, or the task folder
        or the archive itself. None: the environment's ``ALBENCH_DATA``, else ``../shared/data``.
    cache_dir
        Unpacked archives, generated phantoms, hashes and verdicts go here, and are found again by later
        calls.

    Raises
    ------
    InputError
        Unknown name; data not found (with the places looked at); a damaged, unsafe or incomplete archive; a
        ``dataset.json`` that is none; no space left.
    """
    cache_dir = Path(cache_dir).expanduser().absolute()
    with writing_to(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
    if name not in REGISTRY and _looks_like_path(name):
        return _load_path(Path(name).expanduser(), cache_dir)
    entry = get_entry(name)
    if entry.phantom is not None:
        root = build_phantom(entry.phantom, cache_dir)
    else:
        source = _find_source(entry, data_dir)
        root = _unpacked(source, cache_dir) if is_archive(source) else source
    return _dataset(root, cache_dir, entry.name, entry)


def _looks_like_path(name: str) -> bool:
    return "/" in name or name.startswith((".", "~")) or is_archive(Path(name)) or Path(name).exists()


def _load_path(path: Path, cache_dir: Path) -> Dataset:
    """Load a data set of the user's own: a folder or an archive."""
    if not path.exists():
        raise InputError(f"{path}: expected a data set (folder or .tar in MSD or nnU-Net layout), found nothing there")
    path = path.resolve()
    if path.is_dir():
        return _dataset(find_msd_root(path), cache_dir, path.name, None)
    if not is_archive(path):
        raise InputError(f"{path}: expected a folder or .tar in MSD or nnU-Net layout, found another kind of file")
    return _dataset(_unpacked(path, cache_dir), cache_dir, archive_stem(path), None)


def _dataset(root: Path, cache_dir: Path, name: str, entry: DatasetEntry | None) -> Dataset:
    content = _content(root)
    if entry is not None and sorted(content.labels) != sorted(entry.labels):
        raise InputError(
            f"{root / DATASET_JSON}: expected the labels of {entry.name} {entry.labels}, found {content.labels}"
        )
    # a known data set given by its path has the same scanner behind it
    geometry = entry or next((known for known in REGISTRY.values() if known.msd_folder == name), None)
    return Dataset(
        name=name,
        title=entry.title if entry else content.title,
        root=root,
        channel_names=content.channel_names,
        labels=content.labels,
        file_ending=content.file_ending,
        cases=content.cases,
        kind=entry.kind if entry else "patients",
        checksum=dataset_checksum(
            content.cases, content.labels, content.channel_names, index_path_for(root, cache_dir)
        ),
        cache_dir=cache_dir,
        spacing_is_true=geometry.spacing_is_true if geometry else True,
        nsd_tolerance_mm=geometry.nsd_tolerance_mm if geometry else None,
    )


def _content(root: Path) -> MsdContent:
    """Read the data set's ``dataset.json``, in either layout."""
    content = read_json_object(root / DATASET_JSON)
    return read_nnunet(root, content) if is_nnunet_layout(content) else read_msd(root, content)


def _data_places(data_dir: Path | None) -> tuple[Path, str]:
    """Folder to look in and how the user chose it.

    Only one place: data found elsewhere than where the user pointed would be a surprise.
    """
    if data_dir is not None:
        return Path(data_dir).expanduser().absolute(), "given with --data"
    if value := os.environ.get(DATA_VARIABLE):
        return Path(value).expanduser().absolute(), f"from {DATA_VARIABLE}"
    return DEFAULT_DATA_DIR.absolute(), "the default"


def _find_source(entry: DatasetEntry, data_dir: Path | None) -> Path:
    """Folder or archive of a registered data set."""
    base, chosen = _data_places(data_dir)
    if _is_this_data_set(base, entry):
        return base.resolve()
    names = (entry.msd_folder, f"{entry.msd_folder}.tar", entry.name, f"{entry.name}.tar")
    places = [base / name for name in names]
    for place in places:
        if (place / DATASET_JSON).is_file() or (is_archive(place) and place.is_file()):
            return place.resolve()
    advice = f"set --data or {DATA_VARIABLE} to the folder that holds {entry.msd_folder}.tar"
    if not base.exists():
        found = "no such folder"
    elif (base / DATASET_JSON).is_file() or base.is_file():
        found = "another data set"
    else:
        found = "none of " + ", ".join(names)
    raise InputError(f"data set '{entry.name}': looked in {base} ({chosen}), found {found}; {advice}")


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
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(title).casefold() in names


def _unpacked(archive: Path, cache_dir: Path) -> Path:
    """Root of the unpacked archive; unpacked once per content."""
    digest = hash_files([archive], index_path_for(archive, cache_dir))[0]

    def fill(folder: Path) -> None:
        unpack(archive, folder)
        try:
            cases = _content(find_msd_root(folder)).cases
        except InputError as error:
            # The temporary folder is gone when the message is read: the archive is what the user can look at.
            raise InputError(str(error).replace(str(folder), str(archive))) from error
        files = [path for case in cases for path in (*case.images, case.label)]
        missing = [path for path in files if not path.is_file()]
        # An archive cut between two members reads without an error: only the list of cases tells.
        if missing:
            raise InputError(
                f"{archive}: incomplete or truncated archive: expected {len(files)} images and labels, "
                f"{len(missing)} are not in it, first {missing[0].relative_to(folder)}"
            )

    return find_msd_root(build_folder(cache_dir / f"{archive_stem(archive)}-{digest[:12]}", fill))
