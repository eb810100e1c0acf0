"""Reading all voxels of a file once, piece by piece: is it whole, what values are in it, is it another file's twin."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.images import GZIP_MAGIC, last_line, require_file, require_readable
from albench.data.nifti_header import HEADER_BYTES, read_nifti_header
from albench.data.readers import has_header, label_pixels, read_pixels
from albench.errors import InputError

_PIECE = 1 << 20
MANY_VALUES = 1000
"""Where counting distinct values ends: no label map has as many."""


class VoxelScan(NamedTuple):
    """What reading a file to its end gave.

    Attributes
    ----------
    digest
        SHA-256 of shape, number format and voxels: equal for equal images, however compressed and with any header.
    finite
        Whether every voxel is a finite number as training has it: scaled as the header says, in single precision.
    values
        Sorted distinct values, as training has them; only the first `MANY_VALUES` found, and none where they were
        not asked for.
    is_label
        Whether a voxel is one number: masks saved with colours have it in each of them.
    """

    digest: str
    finite: bool
    values: NDArray[Any]
    is_label: bool = True


def scan_voxels(path: Path, *, values: bool) -> VoxelScan:
    """Read a file to its end.

    NIfTI files are looked at byte by byte, in pieces of a megabyte: ITK reads a truncated ``.nii.gz`` without complaint
    and fills up with zeros, and puts zeros for NaN and infinity. Other formats are read whole, by ITK.

    Parameters
    ----------
    values
        Whether to collect the distinct values.

    Raises
    ------
    InputError
        Missing, truncated, failing its own checksum, or no image.
    """
    require_file(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        return _scan_whole(path, values)
    try:
        return _scan_nifti(path, values)
    except EOFError as error:
        raise InputError(f"{path}: truncated: expected a complete gzip file, found its end missing") from error
    except gzip.BadGzipFile as error:
        behind = str(error).startswith("Not a gzipped file")  # the first bytes are gzip's, so these come later
        found = "other bytes behind its end" if behind else str(error)
        raise InputError(f"{path}: unreadable: expected a sound gzip file, found: {found}") from error
    except (OSError, zlib.error) as error:
        raise InputError(f"{path}: unreadable: expected a NIfTI image, found: {last_line(error)}") from error


class _Collector:
    """Takes voxels piece by piece."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], values: bool, slope: float = 1.0, intercept: float = 0.0
    ) -> None:
        self._digest = hashlib.sha256(f"{shape} {dtype.str}".encode())
        self._collects = values
        self._values: set[Any] = set()
        self._scaling = slope, intercept
        self._is_scaled = (slope, intercept) != (1.0, 0.0)
        self._bounds = dtype.kind == "f" or self._is_scaled  # whole numbers are finite
        self._least, self._most = np.inf, -np.inf

    def add(self, voxels: NDArray[Any]) -> None:
        self._digest.update(np.ascontiguousarray(voxels).data)
        if self._bounds and voxels.size:
            # either is NaN as soon as a voxel is
            self._least = np.minimum(self._least, np.float64(voxels.min()))
            self._most = np.maximum(self._most, np.float64(voxels.max()))
        if self._collects and len(self._values) < MANY_VALUES:
            self._values.update(_distinct(voxels).tolist())

    def scan(self) -> VoxelScan:
        slope, intercept = self._scaling
        with np.errstate(over="ignore", invalid="ignore"):
            # scaling is monotonous: where the extremes are finite, all is
            extremes = np.array([self._least, self._most]) * slope + intercept
            finite = not self._bounds or bool(np.isfinite(extremes.astype(np.float32)).all())
            distinct = np.array(sorted(self._values)[:MANY_VALUES])
            if self._bounds:
                distinct = np.unique((distinct * slope + intercept).astype(np.float32))
        return VoxelScan(self._digest.hexdigest(), finite, distinct)


def _distinct(voxels: NDArray[Any]) -> NDArray[Any]:
    """Distinct finite values: counting is much faster than sorting for the usual small integers."""
    if voxels.size and np.issubdtype(voxels.dtype, np.integer) and voxels.min() >= 0 and voxels.max() < 1 << 16:
        return np.flatnonzero(np.bincount(voxels.ravel().astype(np.intp, copy=False)))
    return np.unique(voxels[np.isfinite(voxels)])


def _scan_nifti(path: Path, values: bool) -> VoxelScan:
    pieces, start = _pieces(path), b""
    while len(start) < HEADER_BYTES and (piece := next(pieces, b"")):
        start += piece
    header = read_nifti_header(path, start)
    collector = _Collector(header.shape, header.dtype, values, header.slope, header.intercept)
    end, length, rest = header.offset + header.n_bytes, 0, b""
    for piece in itertools.chain([start], pieces):
        rest += piece[max(0, header.offset - length) : max(0, end - length)]
        length += len(piece)
        n_whole = len(rest) // header.dtype.itemsize
        if n_whole:
            collector.add(np.frombuffer(rest, header.dtype, n_whole))
            rest = rest[n_whole * header.dtype.itemsize :]
    if length < end:
        raise InputError(f"{path}: truncated: expected {end} bytes of header and voxels, found {length}")
    return collector.scan()


def _pieces(path: Path) -> Iterator[bytes]:
    """Bytes of a file, decompressed; reading gzip to its end makes it check its own checksum."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
    with gzip.open(path) if compressed else path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _scan_whole(path: Path, values: bool) -> VoxelScan:
    require_readable(path)
    if not has_header(path):
        pixels = read_pixels(path)
        label = label_pixels(path, pixels) if values else None
        if label is not None:
            pixels = label
        collector = _Collector(pixels.shape, pixels.dtype, values)
        collector.add(pixels)
        return collector.scan()._replace(is_label=label is not None)
    try:
        image = SimpleITK.ReadImage(str(path))
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: unreadable: expected an image, found: {last_line(error)}") from error
    array = SimpleITK.GetArrayViewFromImage(image)  # valid as long as the image is there
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: unreadable: expected whole or real numbers, found {array.dtype}")
    collector = _Collector(array.shape, array.dtype, values)
    collector.add(array)
    return collector.scan()._replace(is_label=image.GetNumberOfComponentsPerPixel() == 1)
