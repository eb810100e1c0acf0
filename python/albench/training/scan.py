"""What a case's files hold, before anything is planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from acvl_utils.cropping_and_padding.bounding_boxes import get_bbox_from_mask
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask
from numpy.typing import NDArray

from albench.coldstart.descriptors import describe_slices
from albench.data import Case, CaseFacts
from albench.training.reading import read_case_images, read_label, read_spacing
from albench.units.borders import border

if TYPE_CHECKING:
    from nnunetv2.imageio.base_reader_writer import BaseReaderWriter


@dataclass(frozen=True)
class CaseScan:
    """What planning needs to know of a case.

    Attributes
    ----------
    shape, spacing_mm
        Of the original grid, axes (z, y, x).
    box
        Bounds of the non-zero region that nnU-Net crops to, ``(low, high)`` per axis.
    voxel_counts, border_counts
        Per slicing axis an int64 array (n_slices, n_labels): voxels of each label in each original slice, and those
        of them with a neighbour of another label in the slice. Empty where labels were not asked for.
    descriptors
        float32 (n_slices, d) of each original slice along the axis that was asked for, if any.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    box: tuple[tuple[int, int], ...]
    voxel_counts: tuple[NDArray[np.int64], ...] = ()
    border_counts: tuple[NDArray[np.int64], ...] = ()
    descriptors: NDArray[np.float32] | None = None


def scan_case(
    case: Case,
    n_labels: int | None,
    describe_axis: int | None = None,
    reader: BaseReaderWriter | None = None,
    facts: CaseFacts | None = None,
) -> CaseScan:
    """Read a case once: geometry, nnU-Net's crop, and label counts of every slice along every axis.

    Parameters
    ----------
    n_labels
        None: labels are not looked at. A case without a label has no voxel of any.
    describe_axis
        Slices along it are described as well, from the images alone.
    reader
        As for `read_case_images`.
    facts
        What that reader has found in the case's images, which are read again only to describe them.
    """
    descriptors = None
    if facts is None or describe_axis is not None:
        images, spacing_mm = read_case_images(case, reader)
        box = tuple((int(low), int(high)) for low, high in get_bbox_from_mask(create_nonzero_mask(images)))
        descriptors = None if describe_axis is None else describe_slices(images, box, describe_axis)
        shape: tuple[int, ...] = images.shape[1:]
        del images  # a large volume and its labels need not be in memory together
    else:
        shape, spacing_mm, box = facts.shape, facts.spacing_mm, facts.box
    counts: list[NDArray[np.int64]] = []
    borders: list[NDArray[np.int64]] = []
    if n_labels is not None and case.label is None:
        counts = [np.zeros((length, n_labels), dtype=np.int64) for length in shape]
        borders = counts
    elif n_labels is not None:
        segmentation = read_label(case.reference, reader)
        for axis in range(3):
            edges = border(segmentation, [other for other in range(3) if other != axis])
            counts.append(_per_slice(segmentation, n_labels, axis))
            borders.append(_per_slice(segmentation, n_labels, axis, edges))
    return CaseScan(
        shape=shape,
        spacing_mm=spacing_mm,
        box=box,
        voxel_counts=tuple(counts),
        border_counts=tuple(borders),
        descriptors=descriptors,
    )


def likely_axis(cases: Sequence[Case]) -> int:
    """Axis along which nnU-Net will most probably slice, from headers alone: that of the largest median spacing."""
    return int(np.argmax(np.median([read_spacing(case) for case in cases], axis=0)))


def _per_slice(
    segmentation: NDArray[Any], n_labels: int, axis: int, where: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count labels in every slice along `axis`, in the voxels of `where` alone; int64 (n_slices, n_labels)."""
    counts = np.empty((segmentation.shape[axis], n_labels), dtype=np.int64)
    others = tuple(a for a in range(3) if a != axis)
    for label in range(n_labels):
        mask = segmentation == label
        counts[:, label] = (mask if where is None else mask & where).sum(axis=others)
    return counts
