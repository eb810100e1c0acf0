"""Where the voxels of a file lie, and where those of another file are among them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes, io_orientation
from numpy.typing import NDArray

from albench.data.images import Header, read_header
from albench.data.readers import has_header

AXES = "ijk"
"""First, second and third index of a voxel in its file."""

TOLERANCE_VOXELS = 0.05
"""How far from a voxel of the image a voxel of a label may lie.

NIfTI's float32 headers move origins by 1.2e-5 mm and directions by 2e-8; headers written with four decimals move the
far end of 512 voxels of 0.9765625 mm by 0.02 voxels. A label that is off by more was made on another grid.
"""

Triple = tuple[int, int, int]

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class GridError(ValueError):
    """Two grids have no voxels in common; the message says what was expected and what was found."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Grid of an image or label file.

    Attributes
    ----------
    shape
        Voxels along i, j and k; the last is 1 for images of two axes.
    affine
        float64 (4, 4): voxel (i, j, k, 1), the centre of the first being 0, to mm in RAS; None where a format has no
        header, as that of photographs.
    """

    shape: Triple
    affine: NDArray[np.float64] | None

    @classmethod
    def of_file(cls, path: Path) -> Grid:
        """Read the grid from a file's header, as ITK reads it.

        Raises
        ------
        InputError
            The file is missing or no image.
        GridError
            It has other than two or three axes.
        """
        return cls.of_header(read_header(path), has_affine=has_header(path))

    @classmethod
    def of_header(cls, header: Header, *, has_affine: bool = True) -> Grid:
        """Take the grid from a header; a fourth axis of length 1 is none."""
        if len(header.size) > 4 or (len(header.size) == 4 and header.size[3] > 1):
            raise GridError(f"expected a label map of two or three axes, found {_times(header.size)} voxels")
        header = header.spatial
        n = len(header.size)
        if n not in (2, 3):
            raise GridError(f"expected a label map of two or three axes, found {n}")
        shape = (*header.size, 1)[:3]
        return cls((shape[0], shape[1], shape[2]), affine_ras(header) if has_affine else None)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxel centres in mm along i, j and k; 1 where there is no header."""
        if self.affine is None:
            return 1.0, 1.0, 1.0
        edges = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(edges[0]), float(edges[1]), float(edges[2])

    @property
    def without_place(self) -> Grid:
        """The same voxels, nowhere in the world: a file of their shape lies on them voxel by voxel."""
        return Grid(self.shape, None)

    @property
    def orientation(self) -> str | None:
        """Whither i, j and k lead most of all, such as ``LPS``."""
        return None if self.affine is None else "".join(map(str, aff2axcodes(self.affine)))


def toward_ras(affine: NDArray[np.float64]) -> tuple[tuple[int, bool], tuple[int, bool], tuple[int, bool]]:
    """Return for right, anterior and superior the axis nearest to it, 0 = i, and whether that runs the other way.

    As nibabel's `as_closest_canonical` has it.

    Parameters
    ----------
    affine
        (4, 4): voxel (i, j, k, 1) to mm in RAS.

    Raises
    ------
    GridError
        The axes do not span the space.
    """
    toward = io_orientation(affine)
    if not np.isfinite(toward).all():
        raise GridError(f"affine: expected three axes that span the space, got {np.asarray(affine).tolist()}")
    of = {int(world): (axis, bool(sign < 0)) for axis, (world, sign) in enumerate(toward)}
    return of[0], of[1], of[2]


def affine_ras(header: Header) -> NDArray[np.float64]:
    """ITK's geometry, which is LPS, as a matrix in RAS; a missing third axis has a spacing of 1 mm, as in ITK.

    Returns
    -------
    ndarray
        float64 (4, 4), to be multiplied with a voxel (i, j, k, 1).
    """
    n = len(header.size)
    affine = np.eye(4)
    affine[:n, :n] = np.reshape(header.direction, (n, n)) * np.asarray(header.spacing)
    affine[:n, 3] = header.origin
    return np.asarray(_LPS_TO_RAS @ affine, dtype=np.float64)


@dataclass(frozen=True)
class Placement:
    """How the voxels of one file lie on the grid of another.

    Attributes
    ----------
    shape
        Of the grid that they are laid on, voxels along i, j and k.
    axes
        For i, j and k of that grid: the file's axis that runs along it.
    flipped
        For i, j and k of that grid: whether the file's axis runs the other way.
    start
        Where, on that grid, the first voxel lies once the file's axes run as the grid's.
    stop
        One past the last.
    """

    shape: Triple
    axes: Triple
    flipped: tuple[bool, bool, bool]
    start: Triple
    stop: Triple

    @property
    def is_turned(self) -> bool:
        """Whether axes are permuted or flipped."""
        return self.axes != (0, 1, 2) or any(self.flipped)

    @property
    def is_whole(self) -> bool:
        """Whether every voxel of the grid is covered."""
        return self.start == (0, 0, 0) and self.stop == self.shape

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Part of the grid that is covered."""
        i, j, k = (slice(low, high) for low, high in zip(self.start, self.stop, strict=True))
        return i, j, k

    def turn(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return a file's voxels, in its own order of axes, with axes that run as the grid's; a view."""
        turned = voxels.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def describe(self) -> str:
        """Say how axes were turned, e.g. ``i and j flipped`` or ``axes kij``."""
        parts = [] if self.axes == (0, 1, 2) else [f"axes {''.join(AXES[axis] for axis in self.axes)}"]
        flips = [AXES[axis] for axis, flip in enumerate(self.flipped) if flip]
        return ", ".join([*parts, *([f"{' and '.join(flips)} flipped"] if flips else [])])


def place(file: Grid, onto: Grid) -> Placement:
    """Find where the voxels of `file` lie on the grid `onto`.

    Axes may be permuted and flipped, and the file may hold a part of the image, as long as every voxel of the file is
    one of the image.

    Raises
    ------
    GridError
        Other spacing or direction, a shift by a part of a voxel, voxels outside of the image; or, where one of them has
        no header, another shape.
    """
    if file.affine is None or onto.affine is None:
        if file.shape != onto.shape:
            raise GridError(f"expected {_times(onto.shape)} voxels, found {_times(file.shape)}")
        return Placement(onto.shape, (0, 1, 2), (False, False, False), (0, 0, 0), onto.shape)
    to_voxels = np.linalg.solve(onto.affine, file.affine)
    turn = _turn(to_voxels[:3, :3], file, onto)
    corners = np.array(list(itertools.product(*((0, edge - 1) for edge in file.shape))), dtype=np.float64)
    exact = corners @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    start = np.rint(exact.min(axis=0))
    axes = np.abs(turn).argmax(axis=1)
    stop = start + np.array(file.shape)[axes]
    sign = turn.sum(axis=1)
    rounded = corners @ turn.T + np.where(sign < 0, stop - 1, start)
    worst = float(np.abs(exact - rounded).max())
    if worst > TOLERANCE_VOXELS:
        raise GridError(_difference(file, onto, worst))
    if (start < 0).any() or (stop > onto.shape).any():
        raise GridError(
            f"expected voxels of the image alone, {_times(onto.shape)}, found {_times(file.shape)} from voxel "
            f"({', '.join(f'{first:.0f}' for first in start)}) on"
        )
    i, j, k = (bool(each < 0) for each in sign)
    return Placement(onto.shape, _triple(axes), (i, j, k), _triple(start), _triple(stop))


def _turn(linear: NDArray[Any], file: Grid, onto: Grid) -> NDArray[np.float64]:
    """Nearest matrix that permutes and flips axes, (3, 3) with one 1 or -1 a row and column."""
    turn = np.zeros((3, 3))
    nearest = np.abs(linear).argmax(axis=1)
    turn[np.arange(3), nearest] = np.sign(linear[np.arange(3), nearest])
    if not (np.abs(turn).sum(axis=0) == 1).all():
        raise GridError(_difference(file, onto, None))
    return turn


def _difference(file: Grid, onto: Grid, worst: float | None) -> str:
    """Say in which of size, spacing, direction and position two grids differ."""
    sizes = f"{_times(onto.shape)} voxels of {_lengths(onto.spacing_mm)} mm"
    found = f"{_times(file.shape)} of {_lengths(file.spacing_mm)} mm"
    if np.allclose(sorted(file.spacing_mm), sorted(onto.spacing_mm), rtol=1e-3):
        by = "turned by no right angle" if worst is None else f"off by {worst:.2f} voxels"
        found += f", {by}"
    return f"expected the image's grid, {sizes}, found {found}; export on the grid of the image"


def _triple(values: NDArray[Any]) -> Triple:
    return int(values[0]), int(values[1]), int(values[2])


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _lengths(spacing: Sequence[float]) -> str:
    return " x ".join(f"{edge:.7g}" for edge in spacing)
