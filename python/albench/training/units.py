"""The units of a data set's cases: slices or 3D patches, with the labels they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.borders import border
from albench.coldstart.descriptors import describe_patches
from albench.data import Case
from albench.pool import Pool, Unit, cut_points, patch_grid, slice_boxes
from albench.training.base import PoolScan
from albench.training.reading import read_case_images, read_label
from albench.training.scan import CaseScan

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
    describe: bool = False,
) -> PoolScan:
    """Patches that tile nnU-Net's crop of every case; reads every label map, and to describe them every image, once.

    A voxel is a border voxel where one of its six neighbours has another label, in the patch or beside it.
    """
    units: list[Unit] = []
    counts, borders, starts, stops, descriptors = [], [], [], [], []
    for case in sorted(cases, key=lambda case: case.name):
        box = scans[case.name].box
        segmentation = read_label(case.label)
        edges = [cut_points(low, high, size) for (low, high), size in zip(box, patch_size, strict=True)]
        edge_voxels = border(segmentation, range(3))
        counts.append(_per_patch(segmentation, edges, n_labels))
        borders.append(_per_patch(np.where(edge_voxels, segmentation, -1), edges, n_labels))
        start, stop = patch_grid(box, patch_size)
        starts.append(start)
        stops.append(stop)
        units += [Unit(case.name, index) for index in range(len(start))]
        if describe:
            descriptors.append(describe_patches(read_case_images(case)[0], box, start, stop))
    return _joined(units, {}, (counts, borders, starts, stops), descriptors)


def _per_patch(segmentation: NDArray[np.int16], edges: Sequence[Sequence[int]], n_labels: int) -> NDArray[np.int64]:
    """Count labels in the patches between cut points, row-major; int64 (n_patches, n_labels)."""
    inside = segmentation[tuple(slice(cuts[0], cuts[-1]) for cuts in edges)]
    columns = []
    for label in range(n_labels):
        sums: NDArray[Any] = inside == label
        for axis, cuts in enumerate(edges):
            sums = np.add.reduceat(sums, np.asarray(cuts[:-1]) - cuts[0], axis=axis, dtype=np.int64)
        columns.append(sums.ravel())
    return np.stack(columns, axis=1)
