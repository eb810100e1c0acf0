"""The units of a data set's cases: slices or 3D patches, with the labels they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albench.coldstart.descriptors import describe_patches
from albench.config import PatchGrid
from albench.data import Case
from albench.training.base import PoolScan
from albench.training.reading import read_case_images, read_label
from albench.training.scan import CaseScan
from albench.units.borders import border
from albench.units.pool import Pool, Unit, patch_grid, patch_spans, slice_boxes

if TYPE_CHECKING:
    from nnunetv2.imageio.base_reader_writer import BaseReaderWriter

_PATCHES_PER_EDGE = 3


def slice_pool(scans: Mapping[str, CaseScan], axis: int) -> PoolScan:
    """Slices inside nnU-Net's crop, along `axis`."""
    units: list[Unit] = []
    counts, borders, starts, stops, descriptors = [], [], [], [], []
    for case, scan in sorted(scans.items()):
        low, high = scan.box[axis]
        units += [Unit(case, index) for index in range(low, high)]
        counts.append(scan.voxel_counts[axis][low:high])
        borders.append(scan.border_counts[axis][low:high])
        start, stop = slice_boxes(scan.shape, axis, low, high)
        starts.append(start)
        stops.append(stop)
        if scan.descriptors is not None:
            descriptors.append(scan.descriptors[low:high])
    return _joined(units, dict.fromkeys(sorted(scans), axis), (counts, borders, starts, stops), descriptors)


def _joined(
    units: Sequence[Unit],
    axes: dict[str, int],
    columns: Sequence[Sequence[NDArray[np.int64]]],
    descriptors: Sequence[NDArray[np.float32]],
) -> PoolScan:
    """Put the cases below each other; `columns` are those of a pool, case by case."""
    counts, borders, starts, stops = map(np.concatenate, columns)
    pool = Pool(tuple(units), axes, counts, borders, starts, stops)
    return PoolScan(pool, np.concatenate(descriptors) if descriptors else None)


def default_patch_size(scans: Mapping[str, CaseScan]) -> tuple[int, int, int]:
    """Return a third of the median shape of the crops, at least one voxel; axes (z, y, x)."""
    shapes = [[high - low for low, high in scan.box] for scan in scans.values()]
    z, y, x = (max(1, int(np.ceil(edge / _PATCHES_PER_EDGE))) for edge in np.median(shapes, axis=0))
    return z, y, x


def patch_pool(
    cases: Sequence[Case],
    scans: Mapping[str, CaseScan],
    patch_size: Sequence[int],
    n_labels: int,
    *,
    kind: PatchGrid = "tiling",
    describe: bool = False,
    reader: BaseReaderWriter | None = None,
) -> PoolScan:
    """Patches that cover nnU-Net's crop of every case; reads every label map, and to describe them every image, once.

    A voxel is a border voxel where one of its six neighbours has another label, in the patch or beside it.
    """
    units: list[Unit] = []
    starts, stops, descriptors = [], [], []
    counts: list[list[NDArray[np.int64]]] = [[], []]  # of all voxels of a patch, and of those at a border
    own: list[list[NDArray[np.int64]]] = [[], []]  # the same, without what an earlier patch holds
    for case in sorted(cases, key=lambda case: case.name):
        box = scans[case.name].box
        segmentation = _labels(case, scans[case.name].shape, reader)
        at_border = np.where(border(segmentation, range(3)), segmentation, -1)
        spans = [patch_spans(low, high, size, kind) for (low, high), size in zip(box, patch_size, strict=True)]
        for number, labels in enumerate((segmentation, at_border)):
            counts[number].append(_per_patch(labels, spans, n_labels))
            if kind == "overlapping":
                own[number].append(_per_patch(labels, [_own(span) for span in spans], n_labels))
        start, stop = patch_grid(box, patch_size, kind)
        starts.append(start)
        stops.append(stop)
        units += [Unit(case.name, index) for index in range(len(start))]
        if describe:
            descriptors.append(describe_patches(read_case_images(case, reader)[0], box, start, stop))
    scanned = _joined(units, {}, (*counts, starts, stops), descriptors)
    if kind == "tiling":
        return scanned
    pool = replace(scanned.pool, own_counts=np.concatenate(own[0]), own_border_counts=np.concatenate(own[1]))
    return replace(scanned, pool=pool)


def _labels(case: Case, shape: tuple[int, ...], reader: BaseReaderWriter | None) -> NDArray[Any]:
    """Label map, (z, y, x); of a case that has none, -1 everywhere, which is no label."""
    return np.full(shape, -1, dtype=np.int16) if case.label is None else read_label(case.label, reader)


def _own(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave of each patch along an axis what lies beyond the one before it; int64 (n, 2)."""
    return np.column_stack([np.maximum(spans[:, 0], np.concatenate([[0], spans[:-1, 1]])), spans[:, 1]])


def _per_patch(segmentation: NDArray[np.int16], spans: Sequence[NDArray[np.int64]], n_labels: int) -> NDArray[np.int64]:
    """Count labels in the patches that spans along each axis make, row-major; int64 (n_patches, n_labels)."""
    # Between all bounds first: what overlaps is made of these cells.
    cuts = [np.unique(span) for span in spans]
    inside = segmentation[tuple(slice(edges[0], edges[-1]) for edges in cuts)]
    columns = []
    for label in range(n_labels):
        sums: NDArray[Any] = inside == label
        for axis, edges in enumerate(cuts):
            sums = np.add.reduceat(sums, edges[:-1] - edges[0], axis=axis, dtype=np.int64)
        for axis, (edges, span) in enumerate(zip(cuts, spans, strict=True)):
            before = np.insert(np.cumsum(sums, axis=axis), 0, 0, axis=axis)
            first, last = np.searchsorted(edges, span).T
            sums = np.take(before, last, axis) - np.take(before, first, axis)
        columns.append(sums.ravel())
    return np.stack(columns, axis=1)
