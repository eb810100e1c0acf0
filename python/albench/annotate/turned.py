"""Voxels of a file turned to the nearest axes right, anterior and superior, and back; nothing is resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.annotation.grid import GridError, Triple, toward_ras
from albench.errors import InputError

Box = tuple[Triple, Triple]
"""Start and stop, not included, along three axes."""


@dataclass(frozen=True)
class Turn:
    """How the axes of a file are permuted and flipped.

    Attributes
    ----------
    axes
        For x (to the right), y (anterior) and z (superior): the file's axis that runs along it, 0 = i.
    flipped
        Whether that axis runs the other way.
    """

    axes: Triple
    flipped: tuple[bool, bool, bool]

    @classmethod
    def of_affine(cls, affine: Sequence[Sequence[float]] | NDArray[np.float64] | None) -> Turn:
        """Find the turn that nibabel's `as_closest_canonical` makes.

        Parameters
        ----------
        affine
            (4, 4): voxel (i, j, k, 1) to mm in RAS; None for photographs and stacks, whose rows run downwards.

        Raises
        ------
        InputError
            Two axes of the file run along the same line.
        """
        if affine is None:
            return cls((0, 1, 2), (False, True, False))
        try:
            x, y, z = toward_ras(np.asarray(affine, dtype=np.float64))
        except GridError as error:
            raise InputError(str(error)) from None
        return cls((x[0], y[0], z[0]), (x[1], y[1], z[1]))

    def turned(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return voxels (i, j, k, ...) of a file with axes (x, y, z, ...); a view."""
        rest = tuple(range(3, voxels.ndim))
        return voxels.transpose(*self.axes, *rest)[self._flips]

    def back(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return voxels (x, y, z) with the axes (i, j, k) of the file; a view."""
        return voxels[self._flips].transpose(np.argsort(self.axes))

    def triple(self, of_file: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Return what belongs to the axes i, j, k in the order x, y, z."""
        x, y, z = (of_file[axis] for axis in self.axes)
        return x, y, z

    def box(self, start: Sequence[int], stop: Sequence[int], shape: Sequence[int]) -> Box:
        """Return a box of a file of `shape` in voxels (x, y, z) of the turned image."""
        return self._box(self.triple(start), self.triple(stop), self.triple(shape))

    def box_back(self, start: Sequence[int], stop: Sequence[int], shape: Sequence[int]) -> Box:
        """Return a box of the turned image in voxels (i, j, k) of the file, whose shape is `shape`."""
        low, high = self._box(start, stop, self.triple(shape))
        order = [self.axes.index(axis) for axis in range(3)]
        first, last = (tuple(end[place] for place in order) for end in (low, high))
        return (first[0], first[1], first[2]), (last[0], last[1], last[2])

    def axis(self, of_file: int) -> int:
        """Return the axis (0 = x) of the turned image that an axis of the file became."""
        return self.axes.index(of_file)

    def _box(self, start: Sequence[int], stop: Sequence[int], shape: Sequence[int]) -> Box:
        low, high = [0, 0, 0], [0, 0, 0]
        for axis, flip in enumerate(self.flipped):
            first, last, edge = start[axis], stop[axis], shape[axis]
            low[axis], high[axis] = (edge - last, edge - first) if flip else (first, last)
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    @property
    def _flips(self) -> tuple[slice, slice, slice]:
        x, y, z = (slice(None, None, -1 if flip else None) for flip in self.flipped)
        return x, y, z


def slices(box: Box) -> tuple[slice, slice, slice]:
    """Return a box as an index."""
    first, second, third = (slice(low, high) for low, high in zip(*box, strict=True))
    return first, second, third


def widened(box: Box, by: Sequence[int], shape: Sequence[int]) -> Box:
    """Return a box with more voxels on each side, as far as there are any."""
    low = [max(0, start - more) for start, more in zip(box[0], by, strict=True)]
    high = [min(edge, stop + more) for stop, more, edge in zip(box[1], by, shape, strict=True)]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
