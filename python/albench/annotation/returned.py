"""Reading what an annotator's editor has saved, whatever it calls the file and however it stores numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.annotation.grid import Grid, GridError, Placement, place
from albench.annotation.layout import MITK, SEGMENTATION
from albench.annotation.segments import Segmentation, read_segmentation
from albench.data.images import read_image, require_readable
from albench.data.readers import has_header, label_pixels, read_pixels
from albench.data.verify import TRUST
from albench.data.voxels import scan_voxels
from albench.errors import InputError


@dataclass(frozen=True, eq=False)
class Returned:
    """A label map on part or all of an image's grid.

    Attributes
    ----------
    voxels
        Numbers of any type, axes i, j, k of the image; the part that `placement` covers.
    placement
        How the file's voxels lie on the image's grid.
    has_ignore
        Whether voxels that nobody has annotated can be told from background: not so in segmentations whose segment
        for them was deleted.
    rest_is_background
        Whether the file says that there is nothing in the part of the image that it leaves out.
    completed
        Whether the annotator has marked the work as completed, in the file.
    elsewhere
        What the header says against the image's grid, where it was passed over; None where it fits.
    """

    path: Path
    voxels: NDArray[Any]
    placement: Placement
    has_ignore: bool = True
    rest_is_background: bool = False
    completed: bool = False
    elsewhere: str | None = None


def read_returned(path: Path, onto: Grid, values: Mapping[str, int], *, by_voxels: bool = False) -> Returned:
    """Read the labels in a file, with axes that run as the image's.

    The header is compared before any voxel is read: a file cannot hold more voxels than the image.

    Parameters
    ----------
    path
        NIfTI, NRRD, MetaImage, GIPL, a photograph or stack, or a segmentation of 3D Slicer or MITK.
    onto
        Grid of the image.
    values
        Name to value of every label, the ignore label included: segments are told by name.
    by_voxels
        Whether a label map with as many voxels as the image lies over it voxel by voxel where its header says that it
        lies elsewhere; of segmentations the header always counts.

    Raises
    ------
    InputError
        Missing, truncated, damaged, or no label map; a `SegmentError` for segments that overlap or have unknown names.
    GridError
        It is on another grid.
    """
    grid, elsewhere = Grid.of_file(path), None
    is_segmentation = path.name.lower().endswith((SEGMENTATION, MITK))
    try:
        placement = place(grid, onto)
    except GridError as error:
        if not by_voxels or is_segmentation or grid.shape != onto.shape:
            raise
        placement, elsewhere = place(grid, onto.without_place), str(error)
    if not is_segmentation:
        return Returned(path, placement.turn(_read_voxels(path)), placement, elsewhere=elsewhere)
    segmentation = read_segmentation(path)
    return Returned(
        path,
        placement.turn(segmentation.merged(values).transpose()),
        placement,
        has_ignore=segmentation.has_ignore,
        rest_is_background=_is_cropped(segmentation, placement, onto),
        completed=segmentation.is_completed(),
    )


def _is_cropped(segmentation: Segmentation, placement: Placement, onto: Grid) -> bool:
    """Whether 3D Slicer has left out what has no segment, rather than segmented a part of the image.

    It says of which image the file is a part, or at least where the part lies: from where it does by its header, too.
    """
    if placement.is_turned or segmentation.offset is None:
        return False
    return segmentation.reference_shape == onto.shape or (
        any(segmentation.offset) and segmentation.offset == placement.start
    )


def read_label(path: Path, onto: Grid, *, by_voxels: bool = False) -> NDArray[Any]:
    """Read a label map that al-bench or nnU-Net wrote on the image's own grid, axes i, j, k.

    Parameters
    ----------
    by_voxels
        Whether it lies over the image voxel by voxel, whatever its header says, as for nnU-Net.

    Raises
    ------
    InputError
        As `read_returned`; or it is on another grid, its axes run otherwise than the image's, it holds a part of it, or
        numbers that are not whole.
    """
    try:
        returned = read_returned(path, onto.without_place if by_voxels else onto, {})
    except GridError as error:
        hint = f"; {TRUST} takes it voxel by voxel" if Grid.of_file(path).shape == onto.shape else ""
        raise InputError(f"{path}: {error}{hint}") from None
    if returned.placement.is_turned or not returned.placement.is_whole:
        raise InputError(
            f"{path}: expected the grid of the image, voxel by voxel, found a part of it or turned axes; {TRUST} "
            "passes over what headers say"
        )
    whole = as_whole(returned.voxels)
    if whole is None:
        raise InputError(f"{path}: expected whole numbers, found others")
    return whole


def as_whole(voxels: NDArray[Any]) -> NDArray[Any] | None:
    """Return the numbers as whole ones, of an integer type; None where some are not."""
    if voxels.dtype.kind in "iu":
        return voxels
    whole: NDArray[Any] = np.rint(voxels)
    return whole.astype(np.int32) if ((whole == voxels) & (np.abs(whole) < 2**31)).all() else None


def _read_voxels(path: Path) -> NDArray[Any]:
    """Numbers of a file, axes i, j, k, in the order of the file."""
    if not scan_voxels(path, values=False).finite:  # and reads to the end: ITK fills up what is cut off
        raise InputError(f"{path}: expected label values, found NaN or infinity")
    require_readable(path)
    if has_header(path):
        array = SimpleITK.GetArrayFromImage(image := read_image(path))
        if image.GetNumberOfComponentsPerPixel() > 1:
            raise InputError(f"{path}: expected one number a voxel, found {image.GetNumberOfComponentsPerPixel()}")
    else:
        pixels = label_pixels(path, read_pixels(path))
        if pixels is None:
            raise InputError(f"{path}: expected one number a pixel, found colours")
        array = pixels
    while array.ndim > 3:
        array = array[0]
    voxels: NDArray[Any] = array.transpose()
    return voxels[..., None] if voxels.ndim == 2 else voxels
