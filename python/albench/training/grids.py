"""From a case's original grid to the preprocessed one and back: where a unit's voxels are for the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.errors import InputError

_ROUNDING = 1e-9  # voxels by which an interpolation may miss the voxel it is meant for


@dataclass(frozen=True, eq=False)
class Sources:
    """Original voxels, along one axis, behind the preprocessed ones of a box.

    Attributes
    ----------
    nearest
        int64 (n,): the voxel of the box that each centre lies in, counted from the crop.
    inside
        bool (n,): whether linear interpolation takes each from voxels of the box alone.
    """

    nearest: NDArray[np.int64]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class CaseGrid:
    """How nnU-Net preprocessed a case: axes transposed, cropped, resampled.

    Attributes
    ----------
    transpose
        Original axis (z, y, x) of each preprocessed axis.
    crop
        Bounds of the crop on the transposed grid, ``(low, high)`` per axis.
    shape
        Voxels along each preprocessed axis.
    """

    transpose: tuple[int, ...]
    crop: tuple[tuple[int, int], ...]
    shape: tuple[int, ...]

    @classmethod
    def read(cls, transpose: Sequence[int], properties: Mapping[str, Any], shape: Sequence[int]) -> CaseGrid:
        """Take a grid from nnU-Net's plans and its properties of a case."""
        crop = tuple((int(low), int(high)) for low, high in properties["bbox_used_for_cropping"])
        return cls(tuple(int(axis) for axis in transpose), crop, tuple(int(n) for n in shape))

    def box(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[slice, ...]:
        """Map a box of the original grid onto the preprocessed one.

        Bounds are scaled and rounded, each by itself, so boxes that meet on the original grid meet here: a tiling
        stays one, without gap or overlap. What lies outside the crop is cut off.

        Parameters
        ----------
        start, stop
            int64 (3,): original (z, y, x), `stop` not included.

        Returns
        -------
        tuple of slice
            One per preprocessed axis; empty where resampling leaves no voxel of the box.
        """
        slices = []
        for axis, (low, high), n in zip(self.transpose, self.crop, self.shape, strict=True):
            bounds = np.clip([int(start[axis]), int(stop[axis])], low, high) - low
            # Whole numbers throughout: nearest voxel border, halves up.
            first, last = (2 * bounds * n + (high - low)) // (2 * (high - low))
            slices.append(slice(int(first), int(last)))
        return tuple(slices)

    def sources(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[Sources, ...]:
        """Say where the preprocessed voxels of a box come from, axis by axis, in the order of `box`.

        Parameters
        ----------
        start, stop
            As for `box`.
        """
        by_axis = []
        for axis, (low, high), n, part in zip(
            self.transpose, self.crop, self.shape, self.box(start, stop), strict=True
        ):
            length = high - low
            first, last = (int(bound) for bound in np.clip([start[axis], stop[axis]], low, high) - low)
            places = np.arange(part.start, part.stop)
            nearest = np.clip(voxels_behind(places, length, n), first, last - 1)
            centres = (places + 0.5) * length / n - 0.5
            # the same number of voxels: each is one of the original grid
            margin = 0.0 if n == length else _ROUNDING
            below = np.maximum(np.floor(centres - margin), 0)
            above = np.minimum(np.ceil(centres + margin), length - 1)
            by_axis.append(Sources(nearest, (below >= first) & (above < last)))
        return tuple(by_axis)


def voxels_behind(places: NDArray[np.int64], length: int, n: int) -> NDArray[np.int64]:
    """Return the original voxel that each centre lies in once `length` voxels became `n`, int64; on a border the upper.

    Labels of lone slices go where nnU-Net's resampling, nearest or linear, finds at least half of their weight: here.
    """
    return (2 * places + 1) * length // (2 * n)


def require_voxels(case: str, boxes: Sequence[tuple[slice, ...]], grid: CaseGrid) -> None:
    """Raise where resampling leaves a unit of the case without a voxel to label or to score.

    Raises
    ------
    InputError
        Naming the case and its shape before and after.
    """
    if any(part.stop <= part.start for box in boxes for part in box):
        before = tuple(high - low for low, high in grid.crop)
        raise InputError(
            f"pool.patch_size: expected patches of at least one voxel after resampling, but case {case} goes from "
            f"{before} to {grid.shape} voxels (transposed axes), too few for its patches; take larger ones"
        )
