"""Laying a data set out the way nnU-Net v2 wants it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import SimpleITK

from albench.data.dataset import Case, Dataset
from albench.data.images import read_header, read_image
from albench.data.msd import DATASET_JSON
from albench.data.readers import has_header, is_stack, reader_of, spacing_file
from albench.errors import InputError
from albench.machine.files import build_folder, write_json
from albench.machine.removal import remove_tree
from albench.machine.text import read_json_text


def write_nnunet_raw(
    dataset: Dataset,
    cases: Sequence[str],
    out: Path,
    dataset_id: int,
    dataset_name: str,
    *,
    ignore: bool = True,
    replace: bool = False,
) -> Path:
    """Make an nnU-Net v2 raw data set of some of the cases.

    Images and labels are links to the originals where the file system has links, copies otherwise; 4D images
    are split into one file a channel, and the spacing of stacks goes where nnU-Net looks for it. Never write
    *through* a file of the result: replace it. The folder appears whole or not at all, and is left alone where it is
    there already.

    Parameters
    ----------
    dataset
        Source.
    cases
        Names of the cases to take.
    out
        Folder for raw data sets (nnU-Net's ``nnUNet_raw``).
    dataset_id
        1 to 999.
    dataset_name
        Letters, digits and underscores.
    ignore
        Whether labels include the ignore label, one above the highest value, as partial annotations need it.

    replace
        Whether a folder of that name whose ``dataset.json`` says something else, or is damaged, is made anew.

    Returns
    -------
    Path
        ``out/DatasetXXX_Name`` with ``imagesTr``, ``labelsTr`` and ``dataset.json``.

    Raises
    ------
    InputError
        Unknown or repeated case, id or name outside what nnU-Net takes, an image that cannot be read, no
        space left, or a folder of that name with other content that is not to be replaced.
    """
    if not 1 <= dataset_id <= 999:
        raise InputError(f"dataset_id: expected 1 to 999, found {dataset_id}")
    if not dataset_name.replace("_", "").isalnum() or not dataset_name.isascii():
        raise InputError(f"dataset_name: expected letters, digits and underscores, found '{dataset_name}'")
    chosen = [dataset.case(name) for name in sorted(cases)]
    if not chosen or len({case.name for case in chosen}) < len(chosen):
        raise InputError(f"{dataset.name}: expected at least one case and each once, found {sorted(cases)}")
    folder = Path(out).absolute() / f"Dataset{dataset_id:03d}_{dataset_name}"
    description = _description(dataset, chosen, ignore)

    def fill(temporary: Path) -> None:
        (temporary / "imagesTr").mkdir()
        (temporary / "labelsTr").mkdir()
        for case in chosen:
            _write_images(case, dataset, temporary / "imagesTr")
            if case.label is not None:
                _link(case.label, temporary / "labelsTr" / f"{case.name}{dataset.file_ending}")
            for link, source in _spacing_links(temporary, case).items():
                _link(source, link)
        write_json(temporary / DATASET_JSON, description)

    build_folder(folder, fill)
    try:
        _require_same(folder, description)
    except InputError:
        if not replace:
            raise
        remove_tree(folder, Path(out))
        build_folder(folder, fill)
    _lead_back(folder, dataset, chosen)
    return folder


def _lead_back(folder: Path, dataset: Dataset, cases: Sequence[Case]) -> None:
    """Have links of a folder that was there lead to the images again: these were moved, or somebody else made them."""
    for case in cases:
        links = {}
        if case.label is not None:
            links[folder / "labelsTr" / f"{case.name}{dataset.file_ending}"] = case.label
        images = [folder / "imagesTr" / f"{case.name}_{i:04d}{dataset.file_ending}" for i in range(dataset.n_channels)]
        if len(case.images) == len(images):
            links |= dict(zip(images, case.images, strict=True))
        elif images[0].is_symlink():
            links[images[0]] = case.images[0]
        described = _spacing_links(folder, case)
        for link, source in described.items():
            if not link.exists() and not link.is_symlink():
                _link(source, link)
        for link, source in (links | described).items():
            if link.is_symlink() and link.readlink() != source.resolve():
                link.unlink()
                _link(source, link)
        for image in set(images) - set(links):
            if image.is_symlink():
                raise InputError(f"{image}: expected a channel of {case.images[0]}, found a link; remove it")


def _spacing_links(folder: Path, case: Case) -> dict[Path, Path]:
    """Where nnU-Net looks for the spacing of a case's stacks, and the files that say it; nothing for other formats."""
    given = {folder / "imagesTr": spacing_file(case.images[0])}
    if case.label is not None:
        given[folder / "labelsTr"] = spacing_file(case.label)
    return {place / f"{case.name}.json": source for place, source in given.items() if source is not None}


def _description(dataset: Dataset, cases: Sequence[Case], ignore: bool) -> dict[str, Any]:
    """Content of nnU-Net's ``dataset.json``; nnU-Net passes over the keys from ``source`` on, ours."""
    values = {name: value for value, name in dataset.labels.items()}
    first = cases[0].images[0]
    # of .tif nnU-Net tries the reader of photographs first, whose failure it prints
    reader = {"overwrite_image_reader_writer": type(reader_of(first)).__name__} if is_stack(first) else {}
    return reader | {
        "channel_names": {str(index): name for index, name in enumerate(dataset.channel_names)},
        "labels": values | ({"ignore": dataset.ignore_label} if ignore else {}),
        "numTraining": len(cases),
        "file_ending": dataset.file_ending,
        "name": dataset.title,
        "source": dataset.name,
        "source_checksum": dataset.checksum,
        "source_kind": dataset.kind,
        "cases": [case.name for case in cases],
    }


def _require_same(folder: Path, description: dict[str, Any]) -> None:
    path = folder / DATASET_JSON
    try:
        stored = read_json_text(path)
        if not isinstance(stored, dict):
            raise InputError(f"a JSON {type(stored).__name__}")
    except InputError as error:
        raise InputError(f"{path}: expected the nnU-Net raw data set made before, found: {error}") from error
    differing = sorted(key for key in description if stored.get(key) != description[key])
    if differing:
        raise InputError(
            f"{path}: expected the raw data set of the same cases of {description['source']}, found another "
            f"{', '.join(differing)}; remove the folder or choose another one"
        )


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InputError(f"{source}: expected a file, found none")
    try:
        target.symlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)


def _write_images(case: Case, dataset: Dataset, folder: Path) -> None:
    """One file a channel, named as nnU-Net wants them."""
    targets = [folder / f"{case.name}_{index:04d}{dataset.file_ending}" for index in range(dataset.n_channels)]
    if len(case.images) == len(targets):
        for source, target in zip(case.images, targets, strict=True):
            _link(source, target)
        return
    photograph = len(case.images) == 1 and not has_header(case.images[0])
    if photograph and read_header(case.images[0]).n_channels == len(targets):
        _link(case.images[0], targets[0])  # nnU-Net's reader takes its colours for channels
        return
    image = read_image(case.images[0])
    size = image.GetSize()
    if len(case.images) != 1 or image.GetDimension() != 4 or size[3] != len(targets):
        n_channels = size[3] if image.GetDimension() == 4 else len(case.images)
        raise InputError(f"{case.images[0]}: expected {len(targets)} channels, found {n_channels}")
    for index, target in enumerate(targets):
        channel = SimpleITK.Extract(image, (*size[:3], 0), (0, 0, 0, index))
        SimpleITK.WriteImage(channel, str(target), useCompression=True)
