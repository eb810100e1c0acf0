"""Opening a case with the reader that nnU-Net trains with: what no look at headers and bytes could promise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from albench.data.dataset import Case, Dataset
from albench.data.images import Header
from albench.data.readers import is_stack, reader_of
from albench.errors import InputError
from albench.machine.text import reason

LARGEST_INTENSITY = 1e15
"""Squares of larger ones, summed over an image, leave single precision, in which nnU-Net normalises."""
_SMALLEST_RANGE = 1e-7  # nnU-Net divides by the standard deviation, and by no less than 1e-8
_OF_BYTES = "rgb_to_0_1"  # channels of this name nnU-Net divides by 255, and takes no others
_WIDE = 1e4  # times the ranges beside it
_SAMPLE = 100_000  # voxels
_LARGE = 1 << 22  # numbers: of cases with more, one is open at a time
_one_large = Lock()

Found = tuple[Literal["unreadable", "not finite", "intensities", "constant", "outliers", "shape", "label value"], str]


@dataclass(frozen=True)
class CaseFacts:
    """What planning needs to know of a case.

    Attributes
    ----------
    shape, spacing_mm
        As nnU-Net's reader has them, axes (z, y, x).
    box
        Bounds of the non-zero region that nnU-Net crops to, ``(low, high)`` per axis.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    box: tuple[tuple[int, int], ...]

    @classmethod
    def stored(cls, content: Mapping[str, Any]) -> CaseFacts:
        """Return what JSON kept of one."""
        box = tuple((int(low), int(high)) for low, high in content["box"])
        return cls(tuple(map(int, content["shape"])), tuple(map(float, content["spacing_mm"])), box)


def open_case(case: Case, dataset: Dataset, header: Header) -> tuple[CaseFacts | None, list[Found]]:
    """Read images and label as training does, and compare them with what verification has seen.

    Parameters
    ----------
    header
        Of the first image.

    Returns
    -------
    tuple
        Facts, None where the case cannot be trained on; and what is to be said, with its kind.
    """
    if len(header.size) == 4 and dataset.file_ending == ".nii":  # split into 3D files before nnU-Net sees it
        shape, spacing_mm = header.geometry
        return CaseFacts(shape, spacing_mm, tuple((0, edge) for edge in shape)), []
    found: list[Found] = []
    numbers = math.prod(header.geometry.shape) * dataset.n_channels
    with _one_large if numbers > _LARGE else nullcontext():
        try:
            facts = _open(case, dataset, header, found)
        except InputError as error:
            return None, [("unreadable", str(error))]
    return facts, found


def _open(case: Case, dataset: Dataset, header: Header, found: list[Found]) -> CaseFacts:
    first = case.images[0]
    images, properties = _read(first, "read_images", [str(path) for path in case.images])
    expected = (dataset.n_channels, *header.geometry.shape)
    said_mm, spacing_mm = header.geometry.spacing_mm, tuple(float(edge) for edge in properties["spacing"])
    if is_stack(first):  # whose spacing is put where the reader finds it before anything is trained
        spacing_mm = said_mm
    if images.shape != expected or not np.allclose(spacing_mm, said_mm, rtol=1e-3, atol=0):
        raise InputError(
            f"{first}: unreadable: expected {expected} (channel, z, y, x) at {said_mm} mm, as its header says, found "
            f"{images.shape} at {spacing_mm} by nnU-Net's reader"
        )
    if len(case.images) == len(images):
        for file, channel, name in zip(case.images, images, dataset.channel_names, strict=True):
            found += _intensities(file, channel, [name])
    else:  # in one file, where a colour may well be the same everywhere
        found += _intensities(first, images, dataset.channel_names)
    box = _box(images)
    del images  # a large volume and its label need not be in memory together
    if case.label is None:
        return CaseFacts(expected[1:], spacing_mm, box)
    label, _ = _read(case.label, "read_seg", str(case.label))
    if label.shape[1:] != expected[1:]:
        shape = f"{case.label}: expected the image's shape {expected[1:]} (z, y, x), found {label.shape[1:]}"
        found.append(("shape", f"{shape} by nnU-Net's reader"))
    low, high = float(label[0].min()), float(label[0].max())  # of a mask with colours, which are equal, the first
    if not 0 <= low <= high <= dataset.ignore_label:
        values = f"expected label values from 0 to {max(dataset.labels)}, found {low:g} to {high:g}"
        found.append(("label value", f"{case.label}: {values} by nnU-Net's reader"))
    return CaseFacts(expected[1:], spacing_mm, box)


def _read(path: Path, method: str, argument: Any) -> tuple[NDArray[Any], dict[str, Any]]:
    reader = reader_of(path)
    try:
        array, properties = getattr(reader, method)(argument)
    except Exception as error:  # each reader has errors of its own
        raise InputError(
            f"{path}: unreadable: expected what nnU-Net's reader {type(reader).__name__} opens, found: {reason(error)}"
        ) from error
    return array, properties


def _intensities(file: Path, voxels: NDArray[np.float32], channels: Sequence[str]) -> Iterator[Found]:
    """Yield what keeps the voxels of a file, of some channels, from being normalised, or makes them useless."""
    where = f"{file}: "
    low, high = float(voxels.min()), float(voxels.max())
    if not math.isfinite(low) or not math.isfinite(high):
        yield "not finite", f"{where}expected finite intensities, found {low:g} to {high:g}"
    elif max(-low, high) > LARGEST_INTENSITY:
        yield (
            "intensities",
            f"{where}expected intensities up to {LARGEST_INTENSITY:g}, which single precision can normalise, found "
            f"{low:g} to {high:g}",
        )
    elif _OF_BYTES in map(str.casefold, channels) and not 0 <= low <= high <= 255:
        yield "intensities", f"{where}expected intensities from 0 to 255 for {_OF_BYTES}, found {low:g} to {high:g}"
    elif low == high:
        yield "constant", f"{where}expected intensities that differ, found {low:g} in every voxel"
    elif high - low < _SMALLEST_RANGE:
        yield (
            "constant",
            f"{where}expected intensities that differ by {_SMALLEST_RANGE:g} or more, found {low:g} to {high:g}: "
            f"nnU-Net does not scale up less; multiply them",
        )
    elif gap := _gap(voxels, low, high):
        yield (
            "outliers",
            f"{where}expected intensities on one scale, found {low:g} to {high:g} with none between {gap[0]:g} and "
            f"{gap[1]:g}, next to which normalisation makes all others one: is it a fill value?",
        )


def _gap(voxels: NDArray[np.float32], low: float, high: float) -> tuple[float, float] | None:
    """Bounds of a gap in the intensities that is much wider than the ranges on both sides of it."""
    sample = voxels.reshape(-1)[:: max(1, voxels.size // _SAMPLE)]
    levels = np.unique(np.concatenate([sample, [low, high]]).astype(np.float64))
    place = int(np.argmax(np.diff(levels)))
    below, above = levels[place], levels[place + 1]
    widest = max(below - low, high - above)
    return (float(below), float(above)) if 0 < widest < (above - below) / _WIDE else None


def _box(images: NDArray[np.float32]) -> tuple[tuple[int, int], ...]:
    """Bounds of what is not zero in some channel, from (channel, z, y, x); of all where everything is."""
    bounds = []
    for axis in range(1, 4):
        others = tuple(other for other in range(4) if other != axis)
        inside = np.flatnonzero(images.any(axis=others))
        bounds.append((int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, images.shape[axis]))
    return tuple(bounds)
