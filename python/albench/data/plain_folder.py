"""Reader of a plain folder of images and labels: cases are matched by name, labels found in the data."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.checksum import hash_files, index_path_for
from albench.data.dataset import Case
from albench.data.images import read_header, read_image
from albench.data.label_values import label_values
from albench.data.msd import MsdContent, same_form
from albench.data.readers import ENDINGS, ending_of, has_header, label_pixels, read_pixels, require_ending
from albench.data.voxels import scan_voxels
from albench.errors import InputError
from albench.machine.files import build_folder
from albench.progress import Reporter

IMAGE_FOLDERS = ("images", "imagesTr", "image", "imgs", "volume", "volumes")
LABEL_FOLDERS = ("labels", "labelsTr", "label", "masks", "segmentation", "segmentations")

_MOST_CLASSES = 60
_HIGHEST = 2**31 - 1  # label value
_CHANNEL = re.compile(r"_\d{4}$")
_OF_LABELS = "seg|segmentations?|labels?|masks?|gt|ground[ _-]?truth"
_OF_IMAGES = "img|images?|scan|vol|volumes?|ct|mri?"
"""Words that people put before or behind the name of a case, in either of its files."""


def find_pair(root: Path) -> tuple[Path, Path] | None:
    """Folders of images and labels in `root`; None unless there is one of each."""
    images, labels = (
        [root / name for name in names if (root / name).is_dir()] for names in (IMAGE_FOLDERS, LABEL_FOLDERS)
    )
    return (images[0], labels[0]) if len(images) == len(labels) == 1 else None


def read_plain(root: Path, cache_dir: Path, reporter: Reporter) -> tuple[MsdContent, tuple[str, ...]]:
    """Read a folder whose labels have the names of their images, or these without ``_0000`` and on for channels.

    Classes are the values that occur in the labels, in ascending order, 0 being background. Where they are not
    consecutive, e.g. 0 and 255, labels are written anew with consecutive ones, in `cache_dir`.

    Returns
    -------
    tuple
        What a ``dataset.json`` would have said, and what a user should know of how it was found.

    Raises
    ------
    InputError
        A label without an image, files of several formats, different numbers of channels, or labels that are none.
    """
    pair = find_pair(root)
    assert pair is not None
    images, labels = (_files(folder) for folder in pair)
    if not labels:
        raise InputError(
            f"{pair[1]}: expected label files ending in one of {', '.join(ENDINGS)}, found {_others(pair[1])}"
        )
    ending = _one_ending(root, [*images.values(), *labels.values()])
    if not images:
        raise InputError(f"{pair[0]}: expected images ending in one of {', '.join(ENDINGS)}, found {_others(pair[0])}")
    cases = _matched(pair[0], images, labels)
    channel_names = _channel_names(root, cases)
    used = {path for case in cases for path in case.images}
    spare = sum(path not in used for path in images.values())
    values_of_cases = label_values([case.reference for case in cases], root, cache_dir, reporter)
    values = _classes(cases, values_of_cases)
    notes = [
        f"no dataset.json: {len(cases)} cases with {len(channel_names)} "
        f"{'channel' if len(channel_names) == 1 else 'channels'} and the label values "
        f"{', '.join(map(str, values))} found in {pair[0].name} and {pair[1].name}"
    ]
    if any(case.name != _stem(case.reference) for case in cases):
        example = next(case for case in cases if case.name != _stem(case.reference))
        notes.append(f"labels are matched by what names share: {example.reference.name} is that of {example.name}")
    if spare:
        notes.append(f"{spare} {'image' if spare == 1 else 'images'} without a label left out")
    if values != list(range(len(values))):
        cases = _relabelled(root, cases, values, ending, cache_dir, reporter)
        became = ", ".join(f"{value} is class-{number}" for number, value in enumerate(values) if number)
        notes.append(f"label values are not consecutive, so that copies with consecutive ones are used: {became}")
    names = {number: f"class-{number}" if number else "background" for number in range(len(values))}
    return MsdContent(root.name, channel_names, names, ending, tuple(cases)), tuple(notes)


def _files(folder: Path) -> dict[str, Path]:
    """Image files by name without ending."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        # folders and links that lead nowhere, too: cases that would be missed otherwise
        if ending_of(path.name) is None or path.name.startswith("."):
            continue
        stem = _stem(path)
        if stem in files:
            raise InputError(f"{folder}: expected one file a name, found {files[stem].name} and {path.name}")
        files[stem] = path
    return files


def _stem(path: Path) -> str:
    return same_form(path.name.removesuffix(ending_of(path.name) or ""))


def _others(folder: Path) -> str:
    """Say what is in a folder, for a message."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return f"other files or folders, first {names[0]}" if names else "none"


def _one_ending(root: Path, paths: Sequence[Path]) -> str:
    counts = Counter(next(ending for ending in ENDINGS if path.name.lower().endswith(ending)) for path in paths)
    if len(counts) > 1:
        endings = ", ".join(f"{number} {ending}" for ending, number in sorted(counts.items()))
        raise InputError(f"{root}: expected images and labels of one format, as nnU-Net does, found {endings}")
    ending = next(iter(counts))
    for path in paths:
        require_ending(path, path.name[-len(ending) :])
    return ending


def _matched(folder: Path, images: dict[str, Path], labels: dict[str, Path]) -> list[Case]:
    """Cases, sorted by name: a label's name, or what is left of it without a word such as ``_seg``, is its image's.

    The image may have a word of its own, such as ``_ct``. Whatever fits more than once is refused.
    """
    names = dict.fromkeys([*images, *(_CHANNEL.sub("", stem) for stem in images)])
    bare: dict[str, list[str]] = {}
    for name in names:
        bare.setdefault(_without_word(name, _OF_IMAGES), []).append(name)
    cases: dict[str, Case] = {}
    label_of: dict[Path, Path] = {}
    for stem, path in sorted(labels.items()):
        shared = _without_word(stem, _OF_LABELS)
        fitting = next((found for found in ([stem], [shared], bare.get(shared, [])) if set(found) & set(names)), [])
        chosen = [_images_of(name, images) for name in fitting]
        if len(set(chosen)) > 1:
            found = " and ".join(sorted(each[0].name for each in chosen))
            raise InputError(f"{path}: expected one image that it can be the label of, found {found} in {folder}")
        if not chosen:
            expected = " or ".join(dict.fromkeys((stem, shared)))
            raise InputError(
                f"{path}: expected an image called {expected}, or with _0000 and on behind, in {folder}, found none"
            )
        for image in chosen[0]:
            if label_of.setdefault(image, path) is not path:
                raise InputError(f"{path}: expected one label of {image.name}, found {label_of[image].name} as well")
        name = stem if fitting == [stem] else shared
        cases[name] = Case(name, chosen[0], path)
    return [cases[name] for name in sorted(cases)]


def _without_word(stem: str, words: str) -> str:
    """Return what is left of a name without one of the words before or behind it."""
    match = re.fullmatch(rf"(?:(?:{words})[ ._-]+)(.+)|(.+?)[ ._-]+(?:{words})", stem, re.IGNORECASE | re.DOTALL)
    return stem if match is None else match[1] or match[2]


def _images_of(name: str, images: dict[str, Path]) -> tuple[Path, ...]:
    """Return the image of a name, or the images of its channels."""
    if name in images:
        return (images[name],)
    return tuple(path for stem, path in images.items() if _CHANNEL.sub("", stem) == name)


def _channel_names(root: Path, cases: Sequence[Case]) -> tuple[str, ...]:
    counts = {len(case.images) for case in cases}
    if len(counts) > 1:
        raise InputError(f"{root}: expected as many images in every case, found {sorted(counts)}")
    (n_files,) = counts
    header = read_header(cases[0].images[0])
    n_channels = n_files if n_files > 1 else header.n_channels
    if n_files == 1 and len(header.size) == 2 and n_channels in (3, 4):
        return ("R", "G", "B", "A")[:n_channels]
    return ("image",) if n_channels == 1 else tuple(f"channel-{number}" for number in range(n_channels))


def _classes(cases: Sequence[Case], values_of_cases: Sequence[tuple[float, ...] | None]) -> list[int]:
    """Label values of all cases, background included."""
    values = {0}
    for case, in_case in zip(cases, values_of_cases, strict=True):
        wrong = [value for value in in_case or () if not 0 <= value <= _HIGHEST or value != int(value)]
        if wrong or len(in_case or ()) > _MOST_CLASSES:
            what = f"{wrong[0]:g}" if wrong else f"{len(in_case or ())} values: is it an image?"
            raise InputError(f"{case.label}: expected a label map of a few whole numbers from 0 up, found {what}")
        values.update(map(int, in_case or ()))
    unreadable = next((case for case, known in zip(cases, values_of_cases, strict=True) if known is None), None)
    if len(values) < 2 and unreadable is not None:
        scan_voxels(unreadable.reference, values=False)  # raises what is wrong with it
    if len(values) < 2:
        raise InputError(f"{cases[0].reference.parent}: expected labels with foreground, found the value 0 alone")
    if len(values) > _MOST_CLASSES:
        raise InputError(
            f"{cases[0].reference.parent}: expected at most {_MOST_CLASSES} label values, found {len(values)}"
        )
    return sorted(values)


def _relabelled(
    root: Path, cases: Sequence[Case], values: Sequence[int], ending: str, cache_dir: Path, reporter: Reporter
) -> list[Case]:
    """Cases with copies of their labels in which the n-th of `values` is n; made once per content."""
    hashes = hash_files([case.reference for case in cases], index_path_for(root, cache_dir, "labels"), reporter)
    names = [case.name for case in cases]
    digest = hashlib.sha256(repr((names, hashes, list(values))).encode()).hexdigest()[:12]

    def fill(folder: Path) -> None:
        with reporter.task(f"{root.name}: writing consecutive labels", len(cases)) as advance:
            for case in cases:
                voxels, image = _voxels(case.reference)
                if voxels.dtype.kind == "f":
                    voxels = np.rint(voxels)  # of a scale in the header, whole numbers but for the last bits
                changed = SimpleITK.GetImageFromArray(np.searchsorted(values, voxels).astype(np.uint8), isVector=False)
                if image is not None:
                    changed.CopyInformation(image)
                SimpleITK.WriteImage(changed, str(folder / f"{case.name}{ending}"), useCompression=True)
                advance()

    made = build_folder(cache_dir / "relabelled" / f"{root.name}-{digest}", fill)
    return [Case(case.name, case.images, made / f"{case.name}{ending}") for case in cases]


def _voxels(path: Path) -> tuple[NDArray[Any], Any]:
    """Voxels of a label, and the image that has their grid; None for photographs and stacks, which have none."""
    if has_header(path):
        image = read_image(path)
        if image.GetNumberOfComponentsPerPixel() > 1:
            raise InputError(
                f"{path}: expected one number a voxel, found several; write one label map, in which no labels overlap"
            )
        return SimpleITK.GetArrayViewFromImage(image), image
    pixels = label_pixels(path, read_pixels(path))
    if pixels is None:
        raise InputError(f"{path}: expected a mask of one number a pixel, found colours")
    return pixels, None
