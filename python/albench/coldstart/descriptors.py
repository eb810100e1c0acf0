"""What a slice looks like, in numbers, from its voxels alone: no labels, no network, no downloaded weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PERCENTILES = (0.5, 99.5)
_GRID = 32  # voxels of the averaged slice along each edge
_THUMBNAIL = 16
_CELLS = 4
_N_LEVELS = 32
_N_ORIENTATIONS = 9


def block_widths(n_columns: int) -> tuple[int, ...]:
    """Columns of position, thumbnail, histogram and gradients in descriptors of `n_columns` columns.

    Raises
    ------
    ValueError
        No number of channels makes that many columns.
    """
    of_channel = (_THUMBNAIL**2, _N_LEVELS, _CELLS**2 * _N_ORIENTATIONS)
    n_channels, rest = divmod(n_columns - 1, sum(of_channel))
    if n_channels < 1 or rest:
        raise ValueError(f"descriptors: expected 1 + {sum(of_channel)} columns a channel, got {n_columns}")
    return (1, *(n_channels * width for width in of_channel))


def describe_slices(images: NDArray[np.float32], box: Sequence[tuple[int, int]], axis: int) -> NDArray[np.float32]:
    """Describe every slice of a case along one axis.

    Each part is there for something that tells slices apart in any modality and at any resolution:

    - *position* (1 column): where the slice lies in the body; neighbours in a volume are near duplicates.
    - *thumbnail* (16 x 16 a channel): coarse layout, area averages.
    - *histogram* (32 levels a channel): how much of the slice is air, fat, bone, enhancing tissue, wherever it is.
      Square roots of the shares, so that Euclidean distances are Hellinger distances.
    - *gradients* (4 x 4 cells x 9 orientations a channel): edges, as in histograms of oriented gradients (Dalal and
      Triggs, CVPR 2005) with cells of 8 x 8 on a grid of 32 x 32 area averages, unsigned orientation, and a vote
      shared between the two nearest orientations. Square roots of a cell's mean; not normalised by the slice's own
      contrast, which would blow up the noise of empty slices.

    Intensities are scaled per case and channel, its 0.5th percentile to 0 and its 99.5th to 1, then clipped: MR
    intensities mean nothing across scans, and outliers are metal or noise. (Where these percentiles are equal,
    minimum and maximum do; a constant channel is 0.) The slice is cut to `box` first: how much empty margin a scanner
    leaves says nothing of the slice.

    Parameters
    ----------
    images
        Finite, (channel, z, y, x).
    box
        Bounds ``(low, high)`` of the non-empty region per axis z, y, x. Slices outside it are described too.
    axis
        Slicing axis: 0 = z, 1 = y, 2 = x.

    Returns
    -------
    ndarray
        float32 (n_slices, 1 + 432 n_channels), all values in [0, 1]; columns in the order above, channels side by side
        within each part.
    """
    n_slices = images.shape[1 + axis]
    low, high = box[axis]
    position = np.clip((np.arange(n_slices) + 0.5 - low) / (high - low), 0.0, 1.0)
    window = tuple(slice(None) if a == axis else slice(*box[a]) for a in range(3))
    channels = [np.moveaxis(_scaled(channel, box)[window], axis, 0) for channel in images]
    return np.concatenate([position[:, None], _looks(channels)], axis=1).astype(np.float32)


def describe_patches(
    images: NDArray[np.float32],
    box: Sequence[tuple[int, int]],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Describe 3D patches of a case: the mean of what `describe_slices` says of their slices along z.

    Parameters
    ----------
    images, box
        As for `describe_slices`; intensities are scaled per case, not per patch.
    starts, stops
        int64 (n, 3): bounds of the patches, axes (z, y, x).

    Returns
    -------
    ndarray
        float32 (n, 1 + 432 n_channels), columns as of `describe_slices`; position is that of the patch's middle.
    """
    low, high = box[0]
    channels = [_scaled(channel, box) for channel in images]
    rows = []
    for start, stop in zip(starts, stops, strict=True):
        window = tuple(map(slice, start, stop))
        looks = _looks([channel[window] for channel in channels]).mean(axis=0)
        position = ((start[0] + stop[0]) / 2 - low) / (high - low)
        rows.append(np.concatenate([[position], looks]))
    return np.array(rows, dtype=np.float32)


def _looks(channels: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """All parts but the position, of the slices of scaled channels (slice, row, column); (n_slices, 432 n_channels)."""
    n_slices = len(channels[0])
    thumbnails, histograms, gradients = [], [], []
    for channel in channels:
        slices = np.ascontiguousarray(channel)
        grid = _averages(slices)
        half = grid.reshape(n_slices, _THUMBNAIL, _GRID // _THUMBNAIL, _THUMBNAIL, _GRID // _THUMBNAIL)
        thumbnails.append(half.mean(axis=(2, 4)).reshape(n_slices, -1))
        histograms.append(_histograms(slices))
        gradients.append(_gradients(grid))
    return np.concatenate([*thumbnails, *histograms, *gradients], axis=1)


def _scaled(channel: NDArray[np.float32], box: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Scale a channel to [0, 1] by percentiles of what lies in the box."""
    inside = channel[tuple(slice(*bounds) for bounds in box)]
    low, high = np.percentile(inside, _PERCENTILES)
    if low == high:
        low, high = inside.min(), inside.max()
    if low == high:
        return np.zeros(channel.shape, dtype=np.float32)
    scaled: NDArray[np.float32] = (channel - np.float32(low)) / np.float32(high - low)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    return scaled


def _overlap(n: int) -> NDArray[np.float32]:
    """Matrix (_GRID, n) of area averaging along an axis: row i is cell i's share of each voxel; rows sum to 1."""
    edges = np.arange(_GRID + 1) * (n / _GRID)
    voxels = np.arange(n)
    shared = np.minimum(edges[1:, None], voxels + 1) - np.maximum(edges[:-1, None], voxels)
    return np.asarray(np.clip(shared, 0.0, None) * (_GRID / n), dtype=np.float32)


def _averages(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average slices (n, rows, columns) over the cells of a grid; float32 (n, 32, 32)."""
    rows, columns = _overlap(slices.shape[1]), _overlap(slices.shape[2])
    return np.asarray(np.clip(rows @ (slices @ columns.T), 0.0, 1.0))


def _histograms(slices: NDArray[np.float32]) -> NDArray[np.float64]:
    """Square root of the share of each intensity level in each slice; float64 (n, 32)."""
    levels = np.minimum(slices * _N_LEVELS, _N_LEVELS - 1).astype(np.uint8)
    counts = np.array([np.bincount(values.ravel(), minlength=_N_LEVELS) for values in levels])
    return np.asarray(np.sqrt(counts / (slices.shape[1] * slices.shape[2])))


def _gradients(grid: NDArray[np.float32]) -> NDArray[np.float64]:
    """Square root of the mean gradient per cell and orientation; float64 (n, 4 * 4 * 9)."""
    n = len(grid)
    down, right = np.gradient(grid, axis=(1, 2))
    strength = np.hypot(down, right)
    angle = np.arctan2(down, right) * np.float32(_N_ORIENTATIONS / np.pi)
    angle[angle < 0] += _N_ORIENTATIONS  # unsigned: opposite directions are one orientation
    first = angle.astype(np.int64)
    share = angle - first
    edge = _GRID // _CELLS
    cell = np.arange(_GRID) // edge
    place = (np.arange(n)[:, None, None] * _CELLS**2 + cell[:, None] * _CELLS + cell) * _N_ORIENTATIONS
    sums = np.zeros(n * _CELLS**2 * _N_ORIENTATIONS)
    for orientation, weight in ((first, strength * (1 - share)), (first + 1, strength * share)):
        orientation[orientation >= _N_ORIENTATIONS] -= _N_ORIENTATIONS
        sums += np.bincount((place + orientation).ravel(), weight.ravel(), minlength=sums.size)
    # A gradient of intensities in [0, 1] is at most sqrt(2) long.
    return np.asarray(np.sqrt(sums / (edge**2 * np.sqrt(2.0))).reshape(n, -1))
