"""Small pictures of chosen units, kept beside the query that chose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.foreign import read_arrays
from albench.units.view import UnitView

EDGE = 128
"""Pixels of a picture's longer edge at most."""

MAX_BYTES = 2**27
"""Of a file of pictures, unpacked: two thousand of them."""

_WINDOW = (0.5, 99.5)
_LARGEST_ASPECT = 4.0
_SMOOTH, _LABELS = Image.Resampling.BOX, Image.Resampling.NEAREST


@dataclass(frozen=True, eq=False)
class Picture:
    """A unit in square pixels, every array uint8 (row, column) of one shape.

    Attributes
    ----------
    image
        Grey values, 0 and 255 at the 0.5th and 99.5th percentile.
    prediction, reference
        Labels; no reference where nobody has annotated.
    uncertainty
        Entropy as a share of the logarithm of the number of labels, 255 being all of it.
    """

    image: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    reference: NDArray[np.uint8] | None
    uncertainty: NDArray[np.uint8]


def picture(view: UnitView, n_labels: int) -> Picture:
    """Shrink a view to a picture; voxels that are no squares are stretched to their true shape, up to 4 to 1."""
    height, width = view.image.shape
    aspect = float(np.clip(view.spacing[0] / view.spacing[1], 1 / _LARGEST_ASPECT, _LARGEST_ASPECT))
    tall, broad = height * max(1.0, aspect), width * max(1.0, 1 / aspect)
    scale = min(1.0, EDGE / max(tall, broad))
    size = max(1, round(broad * scale)), max(1, round(tall * scale))

    def fit(plane: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, how), dtype=np.uint8)

    low, high = np.percentile(view.image, _WINDOW)
    grey = (view.image - low) / max(float(high - low), 1e-12)
    share = view.uncertainty / np.log(n_labels)
    return Picture(
        image=fit(_bytes(grey), _SMOOTH),
        prediction=fit(view.prediction, _LABELS),
        reference=None if view.reference is None else fit(view.reference, _LABELS),
        uncertainty=fit(_bytes(share), _SMOOTH),
    )


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(255 * np.clip(values, 0.0, 1.0)), dtype=np.uint8)


def save_gallery(path: Path, views: Sequence[UnitView], n_labels: int) -> None:
    """Write pictures of units, in the order of the query, as one compressed file."""
    arrays = {
        f"{field.name}_{number}": plane
        for number, made in enumerate(picture(view, n_labels) for view in views)
        for field in fields(Picture)
        if (plane := getattr(made, field.name)) is not None
    }
    with atomic_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_gallery(path: Path) -> list[Picture]:
    """Read the pictures that `save_gallery` wrote.

    Raises
    ------
    InputError
        If the file is damaged or something else.
    """
    arrays = read_arrays(path, MAX_BYTES, "pictures")
    names = [field.name for field in fields(Picture)]
    numbers = range(sum(name.startswith("image_") for name in arrays))
    may_lack = {f"reference_{number}" for number in numbers}
    if set(arrays) | may_lack != {f"{name}_{number}" for name in names for number in numbers}:
        raise InputError(f"{path}: expected pictures written by `al-bench run`, found {', '.join(sorted(arrays)):.200}")
    pictures = [
        Picture(
            image=arrays[f"image_{number}"],
            prediction=arrays[f"prediction_{number}"],
            reference=arrays.get(f"reference_{number}"),
            uncertainty=arrays[f"uncertainty_{number}"],
        )
        for number in numbers
    ]
    for picture in pictures:
        planes = [plane for name in names if (plane := getattr(picture, name)) is not None]
        shape = planes[0].shape
        if len(shape) != 2 or not 1 <= min(shape) <= max(shape) <= EDGE:
            raise InputError(f"{path}: expected pictures of 1 to {EDGE} pixels an edge, found shape {shape}")
        if any(plane.dtype != np.uint8 or plane.shape != shape for plane in planes):
            raise InputError(f"{path}: expected the planes of a picture to be uint8 of one shape, found others")
    return pictures
