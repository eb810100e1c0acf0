"""Slices in batches of one shape, padded to what the network can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from albench.pool import Unit


@dataclass(frozen=True)
class SliceBatch:
    """Slices of one case.

    Attributes
    ----------
    positions
        int64 (b,): positions of the slices in the list of units they were asked for by.
    images
        float32 (b, channel, row, column), padded.
    crop
        Rows and columns of the padded image that the slice itself covers.
    """

    positions: NDArray[np.int64]
    images: torch.Tensor
    crop: tuple[slice, slice]


BatchMaker = Callable[[Sequence[Unit]], Iterator[SliceBatch]]
"""Makes batches of the slices that a list of units names; positions in a batch are those in that list."""


def padded_edge(length: int, patch: int, divisor: int) -> int:
    """Smallest edge at least `length` and `patch` that `divisor` divides."""
    return -(-max(length, patch) // divisor) * divisor


def pad_slices(
    images: torch.Tensor, patch_size: Sequence[int], divisors: Sequence[int]
) -> tuple[torch.Tensor, tuple[slice, slice]]:
    """Pad (b, c, row, column) images with zeros, centred as nnU-Net does; zero is the mean after normalisation."""
    pads: list[int] = []
    crop: list[slice] = []
    for length, patch, divisor in zip(images.shape[2:], patch_size, divisors, strict=True):
        extra = padded_edge(length, patch, divisor) - length
        pads = [extra // 2, extra - extra // 2, *pads]  # functional.pad counts from the last axis
        crop.append(slice(extra // 2, extra // 2 + length))
    return functional.pad(images, pads), (crop[0], crop[1])


def slice_batches(
    units: Sequence[Unit],
    image_of: Callable[[str], NDArray[np.float32]],
    first_slice_of: Callable[[str], int],
    *,
    patch_size: Sequence[int],
    divisors: Sequence[int],
    batch_size: int,
    device: torch.device,
) -> Iterator[SliceBatch]:
    """Batches of the slices that `units` name, case by case; each image is read once.

    Parameters
    ----------
    units
        In any order.
    image_of
        Preprocessed image of a case, float32 (channel, slice, row, column).
    first_slice_of
        Original index of a case's first preprocessed slice.
    divisors
        The network halves rows and columns until they were divided by these.
    """
    by_case: dict[str, list[int]] = {}
    for position, unit in enumerate(units):
        by_case.setdefault(unit.case, []).append(position)
    for case, positions in by_case.items():
        image = image_of(case)
        first = first_slice_of(case)
        for begin in range(0, len(positions), batch_size):
            chunk = positions[begin : begin + batch_size]
            slices = image[:, [units[p].index - first for p in chunk]]
            tensor = torch.from_numpy(np.ascontiguousarray(slices.swapaxes(0, 1))).to(device)
            padded, crop = pad_slices(tensor, patch_size, divisors)
            yield SliceBatch(np.asarray(chunk, dtype=np.int64), padded, crop)
