"""A pool of images, few of them annotated: a folder of scans, and the raw data set that grows as they are labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from albench.data.checksum import checksums_of, hash_files, index_path_for
from albench.data.dataset import Case, Dataset
from albench.data.groups import declared_groups
from albench.data.label_values import annotation_of
from albench.data.msd import DATASET_JSON, channel_names_from, read_json_object, same_form, title_from
from albench.data.nnunet_layout import images_in, labels_in, read_labels
from albench.data.readers import require_ending
from albench.errors import InputError
from albench.machine.names import require_names
from albench.progress import Reporter

IMAGES = ("imagesTr", "imagesTs")
LABELS = "labelsTr"


@dataclass(frozen=True)
class Description:
    """What images and labels of a project are, as a ``dataset.json`` of nnU-Net says.

    Attributes
    ----------
    labels
        Value to name, consecutive from 0, the ignore label left out.
    """

    channel_names: tuple[str, ...]
    labels: dict[int, str]
    file_ending: str


def read_raw_description(raw: Path) -> Description:
    """Read the ``dataset.json`` of an nnU-Net raw data set; there may be nothing else yet.

    Raises
    ------
    InputError
        There is none, with one to copy; or it is none of nnU-Net's.
    """
    path = raw / DATASET_JSON
    if not path.is_file():
        raise InputError(
            f"{raw}: expected {DATASET_JSON}, found none; write one such as "
            '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "ignore": 2}, '
            '"numTraining": 0, "file_ending": ".nii.gz"}'
        )
    content = read_json_object(path)
    ending = content.get("file_ending")
    if not isinstance(ending, str):
        raise InputError(f'{path}: expected "file_ending", such as ".nii.gz", found {ending!r:.200}')
    require_ending(path, ending)
    return Description(channel_names_from(path, content, "channel_names"), read_labels(path, content), ending)


def project_cases(images: Path, raw: Path | None, ending: str) -> list[str]:
    """Return the names of the cases that `load_project` would gather, sorted; no file is opened.

    Raises
    ------
    InputError
        No folder, or channels that are not numbered from 0 on.
    """
    return sorted({case for of_folder in _listed(images, raw, ending) for case in of_folder})


def load_project(
    images: Path,
    raw: Path | None,
    description: Description,
    *,
    name: str,
    cache_dir: Path,
    reporter: Reporter,
) -> Dataset:
    """Gather the images of a pool and what is annotated of them.

    Parameters
    ----------
    images
        Folder of ``<case>_0000<ending>`` files, or a raw data set, whose ``imagesTr`` and ``imagesTs`` are taken.
    raw
        Raw data set that holds what is annotated, in ``labelsTr``; its images belong to the pool as well. None: nothing
        is.
    description
        Of both.
    name
        What the data set is called, in random streams too.

    Raises
    ------
    InputError
        No image; a case without all its channels; one name for two different images; a label without an image.
    """
    channels: dict[str, tuple[Path, ...]] = {}
    for of_folder in _listed(images, raw, description.file_ending):
        for case, files in of_folder.items():
            channels[case] = _one_of(case, channels.get(case), tuple(files), cache_dir, reporter)
    if not channels:
        raise InputError(
            f"--images {images}: expected images called <case>_0000{description.file_ending}, or a raw data set with "
            f"imagesTr, found none"
        )
    labels = {} if raw is None else {same_form(case): path for case, path in _labels(raw, description).items()}
    if lost := sorted(set(labels) - set(channels)):
        raise InputError(f"{labels[lost[0]]}: expected an image {lost[0]}_0000{description.file_ending}, found none")
    _require_channels(channels, description)
    require_names(images, "case", list(channels), of_files=True)
    cases = tuple(Case(case, files, labels.get(case)) for case, files in sorted(channels.items()))
    root = raw if raw is not None else images
    ignore = max(description.labels) + 1
    annotation = annotation_of(cases, ignore, root, cache_dir, reporter)
    index = index_path_for(images, cache_dir)
    checksums = checksums_of(cases, description.labels, description.channel_names, index, reporter)
    n_labelled = len(labels)
    return Dataset(
        name=name,
        title=_title(root, name),
        root=root,
        channel_names=description.channel_names,
        labels=description.labels,
        file_ending=description.file_ending,
        cases=cases,
        kind="patients",
        checksum=checksums.dataset,
        case_checksums=checksums.cases,
        cache_dir=cache_dir,
        annotation=annotation,
        groups=declared_groups(root, [case.name for case in cases]),
        notes=(f"{len(cases)} cases, {n_labelled} of them with labels, complete or in part",),
    )


def _listed(images: Path, raw: Path | None, ending: str) -> list[Mapping[str, Sequence[Path]]]:
    """Image files of each folder by case."""
    folders = _image_folders(images) + ([] if raw is None or raw == images else [raw / IMAGES[0]])
    return [images_in(folder, ending) for folder in folders if folder.is_dir()]


def _image_folders(images: Path) -> list[Path]:
    if not images.is_dir():
        raise InputError(f"--images {images}: expected a folder of images, found none")
    inside = [images / name for name in IMAGES if (images / name).is_dir()]
    return inside or [images]


def _labels(raw: Path, description: Description) -> Mapping[str, Path]:
    folder = raw / LABELS
    return labels_in(folder, description.file_ending) if folder.is_dir() else {}


def _one_of(
    case: str, known: tuple[Path, ...] | None, found: tuple[Path, ...], cache_dir: Path, reporter: Reporter
) -> tuple[Path, ...]:
    """Return the files of a case that several folders have; InputError where they are different images.

    A link that leads nowhere, as after a project was moved, is no other image.
    """
    if known is None or [path.resolve() for path in known] == [path.resolve() for path in found]:
        return known or found
    if any(path.is_symlink() and not path.exists() for path in found):
        return known
    index = index_path_for(found[0].parent, cache_dir, "twins")
    hashes = hash_files([*known, *found], index, reporter)
    if hashes[: len(known)] != hashes[len(known) :]:
        raise InputError(
            f"case {case}: expected one image of that name, found two that differ: {known[0]} and {found[0]}"
        )
    return known


def _require_channels(channels: Mapping[str, Sequence[Path]], description: Description) -> None:
    wanted = len(description.channel_names)
    for case, files in channels.items():
        if len(files) not in (1, wanted):
            names = ", ".join(description.channel_names)
            raise InputError(
                f"case {case}: expected {wanted} images {case}_0000{description.file_ending} and on ({names}), found "
                f"{len(files)}: {files[0]}"
            )


def _title(root: Path, name: str) -> str:
    path = root / DATASET_JSON
    return title_from(path, read_json_object(path)) if path.is_file() else name
