"""Where units lie: from the grid of the pool to voxels of the file, to mm, and to words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.annotation.grid import Grid, GridError, toward_ras
from albench.data.images import Header, read_header
from albench.data.readers import has_header
from albench.errors import InputError
from albench.results.handed_out import FileAxis, Point
from albench.results.query import Bounds, QueriedUnit

Turn = tuple[int, bool]

_AXES: tuple[FileAxis, FileAxis, FileAxis] = ("i", "j", "k")
_PLANES = ("sagittal", "coronal", "axial")
"""Perpendicular to the axes right, anterior and superior."""
_PLAIN_DEGREES = 0.5
"""Tilt up to which a plane is not called oblique: less than a voxel over any image."""


@dataclass(frozen=True, eq=False)
class FileGrid(Grid):
    """Grid of an image's file, and how nnU-Net's reader turns what is in it.

    Attributes
    ----------
    turns
        For each axis (z, y, x) of the array that the reader makes of the file: the file's axis, 0 = i, and whether it
        runs backwards.
    """

    turns: tuple[Turn, Turn, Turn] = ((2, False), (1, False), (0, False))

    def as_stored(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Bring labels from the axes (z, y, x) of nnU-Net's reader to those of the file, (k, j, i)."""
        backwards = tuple(axis for axis, (_, reverse) in enumerate(self.turns) if reverse)
        source = {file_axis: axis for axis, (file_axis, _) in enumerate(self.turns)}
        return np.ascontiguousarray(np.flip(labels, backwards).transpose([source[2], source[1], source[0]]))


def file_grid(path: Path, reader: str | None = None) -> FileGrid:
    """Read the grid of an image's file.

    Parameters
    ----------
    reader
        Name of the nnU-Net reader of the file: two of them turn what they read to RAS. None: one that does not.

    Raises
    ------
    InputError
        The file is missing or no image, or has other than two or three spatial axes.
    """
    header = read_header(path)
    try:
        grid = Grid.of_header(header.spatial, has_affine=has_header(path))
    except GridError as error:
        raise InputError(f"{path}: {error}") from None
    if reader == "NibabelIOWithReorient":
        return FileGrid(grid.shape, grid.affine, _turns_by_nibabel(path))
    if reader == "SimpleITKIOWithReorient":
        return FileGrid(grid.shape, grid.affine, _turns_by_itk(header))
    return FileGrid(grid.shape, grid.affine)


def _turns_by_nibabel(path: Path) -> tuple[Turn, Turn, Turn]:
    """Return the turns to RAS by nibabel's affine, another than ITK's where the header has none."""
    x, y, z = toward_ras(nibabel.load(path).affine)
    return z, y, x


def _turns_by_itk(header: Header) -> tuple[Turn, Turn, Turn]:
    """Return the turns of ITK's own filter, for which the direction alone counts."""
    voxel = SimpleITK.Image(1, 1, 1, SimpleITK.sitkUInt8)
    voxel.SetDirection(header.spatial.direction)
    turning = SimpleITK.DICOMOrientImageFilter()
    turning.SetDesiredCoordinateOrientation("RAS")
    turning.Execute(voxel)
    x, y, z = zip(turning.GetPermuteOrder(), turning.GetFlipAxes(), strict=True)
    return z, y, x


def placed(unit: QueriedUnit, grid: FileGrid) -> QueriedUnit:
    """Return `unit` with its place in the file, in mm and in words.

    Raises
    ------
    ValueError
        It lies outside of the file, or is neither slice nor patch.
    """
    found: dict[str, Any]
    if unit.start is not None and unit.stop is not None:
        low, high = _turned(grid, unit.start, unit.stop)
        found = {"file_start": low, "file_stop": high, "plane": "patch"}
    elif unit.axis is not None:
        axis, backwards = grid.turns[unit.axis]
        index = grid.shape[axis] - 1 - unit.index if backwards else unit.index
        if index < 0:
            raise ValueError(f"expected a slice of {grid.shape[axis]}, got number {unit.index}")
        found = {"file_axis": _AXES[axis], "file_index": index}
        found["plane"] = "image" if grid.affine is None else plane_name(grid.affine, axis)
    else:
        raise ValueError(f"{unit.case}, unit {unit.index}: expected a slice or a patch, got neither")
    start, stop = unit.model_copy(update=found).box_ijk(grid.shape)
    if grid.affine is not None:
        ends: list[tuple[float, ...]] = [(low - 0.5, high - 0.5) for low, high in zip(start, stop, strict=True)]
        if "file_axis" in found:  # a slice has no thickness, hence four corners
            ends[_AXES.index(found["file_axis"])] = (float(found["file_index"]),)
        found["centre_ras_mm"] = point_ras(grid.affine, middle(start, stop))
        found["corners_ras_mm"] = tuple(
            point_ras(grid.affine, corner[::-1]) for corner in itertools.product(*reversed(ends))
        )
    return unit.model_copy(update=found)


def _turned(grid: FileGrid, start: Bounds, stop: Bounds) -> tuple[Bounds, Bounds]:
    """Bounds (z, y, x) in the pool as bounds (i, j, k) in the file."""
    low, high = [0, 0, 0], [0, 0, 0]
    for (axis, backwards), first, last in zip(grid.turns, start, stop, strict=True):
        edge = grid.shape[axis]
        low[axis], high[axis] = (edge - last, edge - first) if backwards else (first, last)
    if min(low) < 0:
        raise ValueError(f"expected a place in a file of {grid.shape} voxels, found {start} to {stop} (z, y, x)")
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def middle(start: Sequence[int], stop: Sequence[int]) -> tuple[float, float, float]:
    """Index of the middle of a box, the centre of the first voxel being 0; a half between two voxels."""
    i, j, k = ((low + high - 1) / 2 for low, high in zip(start, stop, strict=True))
    return i, j, k


def point_ras(affine: NDArray[np.float64], index: Sequence[float]) -> Point:
    """Place of an index (i, j, k), which need not be whole, in mm towards right, anterior and superior."""
    r, a, s = (float(value) for value in (affine @ (*index, 1.0))[:3])
    return r, a, s


def plane_name(affine: NDArray[np.float64], axis: int) -> str:
    """Name of the slices perpendicular to an axis of the file, such as ``axial`` or ``oblique axial 17°``.

    The angle is that between the slice's normal and the nearest axis of the body.
    """
    first, second = (affine[:3, other] for other in range(3) if other != axis)
    normal = np.abs(np.cross(first, second))
    nearest = int(np.argmax(normal))
    tilt = math.degrees(math.atan2(float(np.linalg.norm(np.delete(normal, nearest))), float(normal[nearest])))
    return _PLANES[nearest] if tilt < _PLAIN_DEGREES else f"oblique {_PLANES[nearest]} {tilt:.0f}°"


def unit_title(unit: QueriedUnit, shape: Bounds) -> str:
    """Return in words which unit of a file it is, slices counted from 1: ``axial 34/120``, ``patch``, ``image``."""
    if unit.file_axis is None or unit.file_index is None:
        return unit.plane
    n_slices = shape[_AXES.index(unit.file_axis)]
    return unit.plane if n_slices == 1 else f"{unit.plane} {unit.file_index + 1}/{n_slices}"
