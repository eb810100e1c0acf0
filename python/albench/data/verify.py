"""Reading every case once, before hours of training depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.dataset import Case, Dataset
from albench.data.images import read_image
from albench.errors import InputError
from albench.files import write_json

# Headers store float32 and people resave images with other tools: differences below a thousandth of a voxel
# (position) or 1e-3 (direction cosines) move no label by anything visible.
_POSITION_TOLERANCE_VOXELS = 1e-3
_SPACING_TOLERANCE = 1e-3
_DIRECTION_TOLERANCE = 1e-3
_VERDICT_VERSION = 1


@dataclass(frozen=True)
class Problem:
    """Something wrong with one case; ``message`` names the file, what was expected and what was found."""

    case: str
    message: str


def _grid_differences(image: Any, label: Any) -> Iterator[str]:
    """Differences between the grids of two images of one number of axes; nothing where they agree."""
    if image.GetDimension() != label.GetDimension():
        yield f"expected as many axes as the image has, {image.GetDimension()}, found {label.GetDimension()}"
        return
    if image.GetSize() != label.GetSize():
        yield f"expected the image's shape {image.GetSize()[::-1]} (z, y, x), found {label.GetSize()[::-1]}"
        return
    spacing = np.array(image.GetSpacing())
    if not np.allclose(spacing, label.GetSpacing(), rtol=_SPACING_TOLERANCE, atol=0):
        found = tuple(round(value, 4) for value in label.GetSpacing()[::-1])
        expected = tuple(round(value, 4) for value in image.GetSpacing()[::-1])
        yield f"expected the image's spacing {expected} mm (z, y, x), found {found}"
    shift = np.abs(np.array(image.GetOrigin()) - np.array(label.GetOrigin()))
    if np.any(shift > _POSITION_TOLERANCE_VOXELS * spacing.min() + 1e-6 * np.abs(image.GetOrigin())):
        yield f"expected the image's origin {image.GetOrigin()} mm (x, y, z), found {label.GetOrigin()}"
    if not np.allclose(image.GetDirection(), label.GetDirection(), atol=_DIRECTION_TOLERANCE):
        yield f"expected the image's orientation {image.GetDirection()}, found {label.GetDirection()}"


def _label_values(label: NDArray[Any]) -> NDArray[Any]:
    """Sorted distinct values; counting is much faster than sorting for the usual small integers."""
    if np.issubdtype(label.dtype, np.integer) and label.min() >= 0 and label.max() < 1 << 16:
        return np.flatnonzero(np.bincount(label.ravel()))
    return np.unique(label)


def _check_label(path: Path, label: Any, labels: dict[int, str]) -> Iterator[str]:
    values = _label_values(SimpleITK.GetArrayViewFromImage(label))
    wrong = values[~np.isin(values, list(labels))]
    if wrong.size:
        # .item(): "7" and not "np.uint8(7)".
        found = ", ".join(str(value.item()) for value in wrong[:5]) + (", ..." if wrong.size > 5 else "")
        allowed = ", ".join(map(str, labels))
        yield f"{path}: expected only label values {allowed} (dataset.json), found {found}"


def _channels(image: Any) -> list[Any]:
    """Images of one number a voxel: of a 3D or 4D image, or of a photograph with its colours."""
    if image.GetDimension() == 2 and image.GetNumberOfComponentsPerPixel() > 1:
        colours = range(image.GetNumberOfComponentsPerPixel())
        return [SimpleITK.VectorIndexSelectionCast(image, colour) for colour in colours]
    if image.GetDimension() < 4:
        return [image]
    size = image.GetSize()
    return [SimpleITK.Extract(image, (*size[:3], 0), (0, 0, 0, channel)) for channel in range(size[3])]


def _form(image: Any) -> str:
    return f"{image.GetDimension()} axes with {image.GetNumberOfComponentsPerPixel()} numbers a voxel"


def _check_case(case: Case, dataset: Dataset) -> Iterator[str]:
    """Everything wrong with one case, in the order a person would look."""
    channels: list[tuple[Path, Any]] = []
    n_unusable = 0
    for path in case.images:
        try:
            image = read_image(path)
        except InputError as error:
            yield str(error)
            n_unusable += 1
            continue
        if image.GetDimension() not in (2, 3, 4) or (
            image.GetDimension() > 2 and image.GetNumberOfComponentsPerPixel() != 1
        ):
            yield f"{path}: expected a photograph, or a 3D or 4D image of single numbers, found {_form(image)}"
            n_unusable += 1
            continue
        channels.extend((path, channel) for channel in _channels(image))
    if len(channels) != dataset.n_channels and n_unusable == 0:
        names = ", ".join(dataset.channel_names)
        found = "1 channel" if len(channels) == 1 else f"{len(channels)} channels"
        yield f"{case.images[0]}: expected {dataset.n_channels} channels ({names}), found {found}"
    try:
        label = read_image(case.label)
    except InputError as error:
        yield str(error)
        return
    if label.GetDimension() not in (2, 3) or label.GetNumberOfComponentsPerPixel() != 1:
        yield f"{case.label}: expected a 2D or 3D label, found {_form(label)}"
        return
    yield from _check_label(case.label, label, dataset.labels)
    if channels:
        for difference in _grid_differences(channels[0][1], label):
            yield f"{case.label}: label does not fit its image {channels[0][0].name}: {difference}"
    for path, channel in channels[1:]:
        for difference in _grid_differences(channels[0][1], channel):
            yield f"{path}: channel does not fit the first one: {difference}"


def find_problems(dataset: Dataset, *, n_workers: int) -> list[Problem]:
    """Read every file of every case to its end and list all that is wrong, sorted by case.

    Parameters
    ----------
    dataset
        What to read. One case a worker is in memory at a time.
    n_workers
        Threads; decompression and ITK release Python's lock, so they run side by side.
    """

    def check(case: Case) -> list[Problem]:
        return [Problem(case.name, message) for message in _check_case(case, dataset)]

    with ThreadPoolExecutor(max(1, n_workers)) as executor:
        return [problem for problems in executor.map(check, dataset.cases) for problem in problems]


def _verdict_path(dataset: Dataset) -> Path | None:
    if dataset.cache_dir is None:
        return None
    return dataset.cache_dir / "verified" / f"{dataset.checksum}-v{_VERDICT_VERSION}.json"


def verify_cases(dataset: Dataset, *, n_workers: int) -> None:
    """Check a whole data set; a data set found good is not read again as long as its checksum stays.

    Parameters
    ----------
    dataset, n_workers
        As for :func:`find_problems`.

    Raises
    ------
    InputError
        A file is missing, truncated or unreadable; an image has NaN or infinity or the wrong number of
        channels; image and label differ in shape, spacing, origin or orientation; a label has a value that
        ``dataset.json`` does not list. One line with the first problem (by case name) and how many more there
        are; :func:`find_problems` has them all.
    """
    verdict = _verdict_path(dataset)
    if verdict is not None and verdict.is_file():
        return
    problems = find_problems(dataset, n_workers=n_workers)
    if problems:
        more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise InputError(f"{dataset.name}: case {problems[0].case}: {problems[0].message}{more}")
    if verdict is not None:
        write_json(verdict, {"dataset": dataset.name, "n_cases": len(dataset.cases), "checksum": dataset.checksum})
