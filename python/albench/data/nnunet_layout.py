"""Reader of nnU-Net's own raw layout: ``dataset.json``, ``imagesTr/<case>_<channel>``, ``labelsTr/<case>``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from albench.data.dataset import Case
from albench.data.msd import DATASET_JSON, MsdContent, channel_names_from, same_form, title_from
from albench.data.readers import require_ending
from albench.errors import InputError, is_plain

IGNORE = "ignore"
"""nnU-Net's name of the label of voxels that nobody has annotated."""

_IMAGE = re.compile(r"(.+)_([0-9]{4})", re.DOTALL)


def is_nnunet_layout(content: Mapping[str, Any]) -> bool:
    """Whether a ``dataset.json`` is nnU-Net's: it says the file ending; a list left from version 1 does not count."""
    if "training" in content:
        return "file_ending" in content and "channel_names" in content
    return "file_ending" in content or "channel_names" in content


def read_nnunet(root: Path, content: Mapping[str, Any]) -> MsdContent:
    """Read and check what ``root/dataset.json`` holds; images are not opened.

    Cases are the files of ``labelsTr``, or what the entry ``dataset`` lists. Each has one image file a channel, or, as
    photographs do, one file with all channels.

    Raises
    ------
    InputError
        An entry is missing or of another form, labels are regions or not consecutive from 0, an ignore label is not
        the highest, or a case lacks an image.
    """
    path = root / DATASET_JSON
    ending = content.get("file_ending")
    if not isinstance(ending, str) or not re.fullmatch(r"(\.[A-Za-z0-9]{1,10}){1,2}", ending):
        raise InputError(f'{path}: expected "file_ending" with its dot, found {ending!r:.200}')
    require_ending(path, ending)
    channel_names = channel_names_from(path, content, "channel_names")
    cases = _listed(path, content, ending) if "dataset" in content else _found(root, ending)
    for case in cases:
        if len(case.images) not in (1, len(channel_names)):
            raise _other_images(root, case, len(channel_names), ending)
    return MsdContent(
        title=title_from(path, content),
        channel_names=channel_names,
        labels=read_labels(path, content),
        file_ending=ending,
        cases=tuple(cases),
        has_ignore=IGNORE in content["labels"],
        notes=_notes(path, content, cases),
    )


def _notes(path: Path, content: Mapping[str, Any], cases: Sequence[Case]) -> tuple[str, ...]:
    """Tell of what the description says and nothing here depends on."""
    notes = []
    n_said = content.get("numTraining", len(cases))
    if n_said != len(cases):
        notes.append(f'{path.name} says "numTraining": {n_said!r:.40}, found {len(cases)} cases with labels')
    reader = content.get("overwrite_image_reader_writer")
    if reader not in (None, "None") and "source_checksum" not in content:
        notes.append(
            f'{path.name} says "overwrite_image_reader_writer": {reader!r:.60}; nnU-Net\'s reader for '
            f"the ending {content['file_ending']} is used"
        )
    return tuple(notes)


def _other_images(root: Path, case: Case, n_channels: int, ending: str) -> InputError:
    whole = root / "imagesTr" / f"{case.name}{ending}"
    hint = f"; {whole.name} is there and lacks its channel's number" if whole.is_file() and not case.images else ""
    images = (
        f"an image {case.name}_0000{ending}" if n_channels == 1 else f"{n_channels} images {case.name}_0000{ending}"
    )
    also = "" if n_channels == 1 else " and on, or one with all channels"
    return InputError(f"{case.label}: expected {images}{also} in imagesTr, found {len(case.images) or 'none'}{hint}")


def _found(root: Path, ending: str) -> list[Case]:
    """Cases by the files of labelsTr; hidden ones, such as macOS puts beside others, are none."""
    channels = images_in(root / "imagesTr", ending)
    labels = labels_in(root / "labelsTr", ending)
    if not labels:
        raise InputError(f"{root / 'labelsTr'}: expected label files ending in {ending}, found none")
    return [Case(name, tuple(channels.get(same_form(name), ())), label) for name, label in labels.items()]


def images_in(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Image files of a folder by case, one a channel, in order; names with composed letters.

    Raises
    ------
    InputError
        Channels of a case are not numbered from 0 without gaps.
    """
    channels: dict[str, list[Path]] = {}
    for image in sorted(folder.glob(f"*{ending}")):
        match = _IMAGE.fullmatch(same_form(image.name.removesuffix(ending)))
        if match is None or image.name.startswith("."):
            continue
        known = channels.setdefault(match[1], [])
        if int(match[2]) != len(known):
            raise InputError(f"{image}: expected channels numbered from 0000 on, found this after {len(known)} of them")
        known.append(image)
    return channels


def labels_in(folder: Path, ending: str) -> dict[str, Path]:
    """Label files of a folder by case; hidden ones are none."""
    found = sorted(folder.glob(f"*{ending}"))
    return {path.name.removesuffix(ending): path for path in found if not path.name.startswith(".")}


def _listed(path: Path, content: Mapping[str, Any], ending: str) -> list[Case]:
    """Cases as the entry ``dataset`` lists them, which nnU-Net prefers to folders; paths count from the description."""
    entry = content["dataset"]
    if not isinstance(entry, dict) or not entry:
        raise InputError(
            f'{path}: expected "dataset" as {{case: {{"images": [...], "label": ...}}}}, found {entry!r:.200}'
        )
    cases = []
    for name, files in sorted(entry.items()):
        images, label = (files.get("images"), files.get("label")) if isinstance(files, dict) else (None, None)
        texts = [*images, label] if isinstance(images, list) else []
        if not texts or not all(isinstance(text, str) and is_plain(text) and text.endswith(ending) for text in texts):
            raise InputError(
                f'{path}: expected "images" and "label" of {name:.100} under "dataset", all ending in {ending}, '
                f"found {files!r:.200}"
            )
        places = [Path(os.path.abspath(path.parent / os.path.expandvars(text))) for text in texts]  # noqa: PTH100
        cases.append(Case(name, tuple(places[:-1]), places[-1]))
    return cases


def _fault(values: Sequence[Any]) -> str:
    """Say which of the ways to write labels was not expected."""
    if any(isinstance(value, list) for value in values):
        return "without regions, which are labels of several values"
    if any(isinstance(value, str) and not value.isdecimal() for value in values):
        return "and not {value: name, ...} as in nnU-Net v1"
    return "of background and more, with whole numbers as values"


def read_labels(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Return value to name, without the ignore label; nnU-Net has it the other way round.

    Raises
    ------
    InputError
        Labels are regions or not consecutive from 0, or the ignore label is not the highest.
    """
    entry = content.get("labels")
    if isinstance(entry, dict) and IGNORE in entry:
        ignore = entry[IGNORE]
        entry = {name: value for name, value in entry.items() if name != IGNORE}
        if ignore != len(entry):
            raise InputError(f'{path}: expected "ignore" to be the highest label, {len(entry)}, found {ignore!r:.200}')
    values = list(entry.values()) if isinstance(entry, dict) else []
    if not isinstance(entry, dict) or len(values) < 2 or not all(type(value) is int for value in values):
        raise InputError(f'{path}: expected "labels" as {{name: value, ...}} {_fault(values)}, found {entry!r:.200}')
    if sorted(values) != list(range(len(values))):
        raise InputError(f'{path}: expected "labels" numbered from 0 without gaps, found {sorted(values)!r:.200}')
    return dict(sorted((value, str(name)) for name, value in entry.items())) | {0: "background"}
