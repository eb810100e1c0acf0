"""Reader of the Medical Segmentation Decathlon's layout: ``dataset.json``, ``imagesTr``, ``labelsTr``."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from albench.data.dataset import Case, Kind
from albench.data.readers import ending_of, require_ending
from albench.errors import InputError, is_plain
from albench.machine.text import read_json_text

DATASET_JSON = "dataset.json"
_DEEPEST, _LONGEST = 32, 255  # folders in folders, and bytes of a file's name


@dataclass(frozen=True)
class MsdContent:
    """What a ``dataset.json`` says, checked, before any image is opened.

    Attributes
    ----------
    has_ignore
        Whether labels may hold the ignore label, one above the highest value, where nobody has annotated yet.
    kind
        What the images are of.
    notes
        What a user should know of it, a line each.
    """

    title: str
    channel_names: tuple[str, ...]
    labels: dict[int, str]
    file_ending: str
    cases: tuple[Case, ...]
    has_ignore: bool = False
    kind: Kind = "patients"
    notes: tuple[str, ...] = ()


def find_msd_root(folder: Path) -> Path:
    """Folder with ``dataset.json``: ``folder`` itself or its only child that has one.

    Raises
    ------
    InputError
        None or several such folders.
    """
    if (folder / DATASET_JSON).is_file():
        return folder
    folders = sorted(path.parent for path in folder.glob(f"*/{DATASET_JSON}"))
    if len(folders) == 1:
        return folders[0]
    names = ", ".join(path.name for path in folders) or "none"
    raise InputError(
        f"{folder}: expected one data set ({DATASET_JSON} in it or in one folder, or images and labels), found {names}"
    )


def read_json_object(path: Path) -> dict[str, Any]:
    """Content of a ``dataset.json``; InputError where it is missing, holds no JSON object or one out of bounds."""
    content = read_json_text(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    return content


def read_msd(root: Path, content: Mapping[str, Any]) -> MsdContent:
    """Read and check what ``root/dataset.json`` holds; images are not opened and need not exist.

    Raises
    ------
    InputError
        It lacks an entry, or lists a file outside of ``root``, a case twice, or label values that are not consecutive
        from 0.
    """
    path = root / DATASET_JSON
    cases = _cases(root, path, content)
    return MsdContent(
        title=title_from(path, content),
        channel_names=channel_names_from(path, content, "modality"),
        labels=_labels(path, content),
        file_ending=_ending(cases),
        cases=cases,
    )


def _numbered(path: Path, content: Mapping[str, Any], key: str) -> dict[int, str]:
    """Entry ``key`` of the form {"0": "name", ...}, with whole numbers from 0 without gaps."""
    entry = content.get(key)
    if not isinstance(entry, dict) or not entry:
        raise InputError(f'{path}: expected "{key}" as {{"0": name, ...}}, found {entry!r:.200}')
    wrong = [name for name in entry.values() if isinstance(name, bool) or not isinstance(name, str | int)]
    if wrong:
        raise InputError(f'{path}: expected texts as names in "{key}", found {wrong[0]!r:.200}')
    try:
        numbered = {int(number): str(name).strip() for number, name in entry.items()}
    except ValueError as error:
        raise InputError(f'{path}: expected whole numbers as keys of "{key}", found {sorted(entry)!r:.200}') from error
    if sorted(numbered) != list(range(len(entry))):
        raise InputError(f'{path}: expected "{key}" numbered from 0 without gaps, found {sorted(numbered)!r:.200}')
    return dict(sorted(numbered.items()))


def title_from(path: Path, content: Mapping[str, Any]) -> str:
    """Title of the data set: its ``name`` where it says one, else the folder's."""
    title = content.get("name") or path.parent.name
    if not isinstance(title, str):
        raise InputError(f'{path}: expected a text as "name", found {title!r:.200}')
    return title


def channel_names_from(path: Path, content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Names of the channels under `key`, in order, CT and MRI as nnU-Net spells them."""
    # nnU-Net picks CT normalisation by the name; the MSD spells it in several ways.
    names = _numbered(path, content, key).values()
    return tuple("CT" if name.casefold() == "ct" else "MRI" if name.casefold() == "mri" else name for name in names)


def _labels(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    labels = _numbered(path, content, "labels")
    if len(labels) < 2:
        raise InputError(f'{path}: expected background and at least one more in "labels", found {labels!r:.200}')
    if len(set(labels.values())) < len(labels):
        raise InputError(f'{path}: expected different names in "labels", found {list(labels.values())!r:.200}')
    return labels | {0: "background"}


def _inside(root: Path, path: Path, name: object) -> Path:
    """File below ``root`` that an entry names, e.g. ``./imagesTr/a.nii.gz``."""
    pure = PurePosixPath(name) if isinstance(name, str) else None
    if pure is None or pure.is_absolute() or ".." in pure.parts or not pure.parts or not _is_path(pure):
        raise InputError(f"{path}: expected files inside the data set's folder, found {name!r:.200}")
    place = root.joinpath(*pure.parts)
    if not place.exists():
        forms = (root.joinpath(*unicodedata.normalize(form, str(pure)).split("/")) for form in ("NFC", "NFD"))
        return next((other for other in forms if other.exists()), place)
    return place


def same_form(name: str) -> str:
    """Return a name with composed letters: systems write "ü" as one character or as two."""
    return unicodedata.normalize("NFC", name)


def _is_path(pure: PurePosixPath) -> bool:
    """Whether a file system could have it."""
    parts = pure.parts
    return is_plain(str(pure)) and len(parts) <= _DEEPEST and all(len(part.encode()) <= _LONGEST for part in parts)


def _stem(path: Path) -> str:
    ending = ending_of(path.name)
    return path.stem if ending is None else path.name.removesuffix(ending)


def _ending(cases: tuple[Case, ...]) -> str:
    return cases[0].reference.name.removeprefix(_stem(cases[0].reference))


def _cases(root: Path, path: Path, content: Mapping[str, Any]) -> tuple[Case, ...]:
    training = content.get("training")
    if not isinstance(training, list) or not training:
        raise InputError(f'{path}: expected a list of cases under "training" (MSD layout), found {training!r:.200}')
    listed: list[tuple[list[Path], Path]] = []
    for pair in training:
        if not isinstance(pair, dict) or not {"image", "label"} <= pair.keys():
            raise InputError(f'{path}: expected {{"image": ..., "label": ...}} in "training", found {pair!r:.200}')
        label = _inside(root, path, pair["label"])
        images = pair["image"] if isinstance(pair["image"], list) else [pair["image"]]
        if not images:
            raise InputError(f'{path}: expected an image of each case in "training", found none of {label.name}')
        listed.append(([_inside(root, path, image) for image in images], label))
    folders = {label.parent.name for _, label in listed}
    # a folder a case, with the same file names in each
    by_folder = len({label.name for _, label in listed}) == 1 and len(folders) == len(listed) > 1
    cases: dict[str, Case] = {}
    for images, label in listed:
        case = Case(label.parent.name if by_folder else _stem(label), tuple(images), label)
        if case.name in cases:
            raise InputError(f'{path}: expected every case once in "training", found {case.name} twice')
        cases[case.name] = case
    ordered = tuple(cases[name] for name in sorted(cases))
    ending = _ending(ordered)
    if not ending:
        raise InputError(f"{path}: expected files with an ending, e.g. .nii.gz, found {ordered[0].reference.name}")
    require_ending(path, ending)
    for case in ordered:
        for file in case.files:
            if not file.name.endswith(ending):
                raise InputError(f"{path}: expected one file ending for all cases ({ending}), found {file.name}")
    return ordered
