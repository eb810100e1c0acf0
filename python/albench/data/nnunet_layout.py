"""Reader of nnU-Net's own raw layout: ``dataset.json``, ``imagesTr/<case>_<channel>``, ``labelsTr/<case>``."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albench.data.dataset import Case
from albench.data.msd import DATASET_JSON, MsdContent, channel_names_from, title_from
from albench.data.readers import require_ending
from albench.errors import InputError

IGNORE = "ignore"
"""nnU-Net's name of the label of voxels that nobody has annotated."""


def is_nnunet_layout(content: Mapping[str, Any]) -> bool:
    """Whether a ``dataset.json`` is nnU-Net's, which lists no cases but their file ending."""
    return "file_ending" in content and "training" not in content


def read_nnunet(root: Path, content: Mapping[str, Any]) -> MsdContent:
    """Read and check what ``root/dataset.json`` holds; images are not opened.

    Cases are the files of ``labelsTr``. Each has one image file a channel, or, as photographs do, one file with all
    channels.

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
    cases = []
    for label in sorted((root / "labelsTr").glob(f"*{ending}")):
        name = label.name.removesuffix(ending)
        images = tuple(sorted((root / "imagesTr").glob(f"{glob.escape(name)}_{'[0-9]' * 4}{ending}")))
        if len(images) not in (1, len(channel_names)):
            raise InputError(
                f"{label}: expected {len(channel_names)} images {name}_0000{ending} and on in imagesTr, "
                f"or one with all channels, found {len(images)}"
            )
        cases.append(Case(name, images, label))
    if not cases:
        raise InputError(f"{root / 'labelsTr'}: expected label files ending in {ending}, found none")
    return MsdContent(
        title=title_from(path, content),
        channel_names=channel_names,
        labels=_labels(path, content),
        file_ending=ending,
        cases=tuple(cases),
        has_ignore=IGNORE in content["labels"],
    )


def _labels(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Value to name; nnU-Net has it the other way round."""
    entry = content.get("labels")
    if isinstance(entry, dict) and IGNORE in entry:
        ignore = entry[IGNORE]
        entry = {name: value for name, value in entry.items() if name != IGNORE}
        if ignore != len(entry):
            raise InputError(f'{path}: expected "ignore" to be the highest label, {len(entry)}, found {ignore!r:.200}')
    values = list(entry.values()) if isinstance(entry, dict) else []
    if not isinstance(entry, dict) or len(values) < 2 or not all(type(value) is int for value in values):
        raise InputError(f'{path}: expected "labels" as {{name: value, ...}} without regions, found {entry!r:.200}')
    if sorted(values) != list(range(len(values))):
        raise InputError(f'{path}: expected "labels" numbered from 0 without gaps, found {sorted(values)!r:.200}')
    return dict(sorted((value, str(name)) for name, value in entry.items())) | {0: "background"}
