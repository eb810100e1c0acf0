"""Reading all voxels of a file once, piece by piece: is it whole, what values are in it, is it another file's twin."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import SimpleITK
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from albench.data.images import last_line, require_file
from albench.errors import InputError

_PIECE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
MANY_VALUES = 1000
"""Where counting distinct values ends: no label map has as many."""


class VoxelScan(NamedTuple):
    """What reading a file to its end gave.

    Attributes
    ----------
    digest
        SHA-256 of shape, number format and voxels: equal for equal images, however compressed and with any header.
    finite
        Whether no voxel is NaN or infinite.
    values
        Sorted distinct values, scaled as the header says; only the first `MANY_VALUES` found, and none where they were
        not asked for.
    """

    digest: str
    finite: bool
    values: NDArray[Any]


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
    except (OSError, zlib.error, ImageFileError) as error:
        raise InputError(f"{path}: unreadable: expected a NIfTI image, found: {last_line(error)}") from error


class _Collector:
    """Takes voxels piece by piece."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], values: bool) -> None:
        self._digest = hashlib.sha256(f"{shape} {dtype.str}".encode())
        self._collects = values and dtype.kind in "biuf"
        self._found: set[Any] = set()
        self.finite = True

    def add(self, voxels: NDArray[Any]) -> None:
        self._digest.update(np.ascontiguousarray(voxels).data)
        if np.issubdtype(voxels.dtype, np.inexact):
            self.finite = self.finite and bool(np.isfinite(voxels).all())
        if self._collects and len(self._found) < MANY_VALUES:
            self._found.update(_distinct(voxels).tolist())

    def scan(self, slope: float = 1.0, intercept: float = 0.0) -> VoxelScan:
        found = np.array(sorted(self._found)[:MANY_VALUES])
        if (slope, intercept) != (1.0, 0.0):
            found = np.unique(found * slope + intercept)
        return VoxelScan(self._digest.hexdigest(), self.finite, found)


def _distinct(voxels: NDArray[Any]) -> NDArray[Any]:
    """Distinct finite values: counting is much faster than sorting for the usual small integers."""
    if voxels.size and np.issubdtype(voxels.dtype, np.integer) and voxels.min() >= 0 and voxels.max() < 1 << 16:
        return np.flatnonzero(np.bincount(voxels.ravel()))
    return np.unique(voxels[np.isfinite(voxels)])


def _scan_nifti(path: Path, values: bool) -> VoxelScan:
    try:
        image: Any = nibabel.load(path)
    except ImageFileError:
        # A small file cut short is "no image" to nibabel; reading to the end tells the two apart.
        for _ in _pieces(path):
            pass
        raise
    dtype, offset = np.dtype(image.get_data_dtype()), int(image.dataobj.offset)
    collector = _Collector(image.shape, dtype, values)
    n_bytes = int(np.prod(image.shape, dtype=np.int64)) * dtype.itemsize
    length, rest = 0, b""
    for piece in _pieces(path):
        rest += piece[max(0, offset - length) : max(0, offset + n_bytes - length)]
        length += len(piece)
        n_whole = len(rest) // dtype.itemsize
        if n_whole:
            collector.add(np.frombuffer(rest, dtype, n_whole))
            rest = rest[n_whole * dtype.itemsize :]
    if length < offset + n_bytes:
        raise InputError(f"{path}: truncated: expected {offset + n_bytes} bytes of header and voxels, found {length}")
    return collector.scan(float(image.dataobj.slope), float(image.dataobj.inter))


def _pieces(path: Path) -> Iterator[bytes]:
    """Bytes of a file, decompressed; reading gzip to its end makes it check its own checksum."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
    with gzip.open(path) if compressed else path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _scan_whole(path: Path, values: bool) -> VoxelScan:
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: unreadable: expected an image, found: {last_line(error)}") from error
    array = SimpleITK.GetArrayViewFromImage(image)  # valid as long as the image is there
    collector = _Collector(array.shape, array.dtype, values)
    collector.add(array)
    return collector.scan()
