"""The part of a NIfTI header that decides which numbers the voxels are, refused where readers would differ."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from albench.errors import InputError

_MAGIC = b"n+1\0"
HEADER_BYTES = 348
"""Of NIfTI-1; ITK, through which nnU-Net reads, knows no NIfTI-2."""
_FURTHEST = 1 << 26  # bytes before the voxels; extensions of the header are in between
_NO_SCALE = float(np.finfo(np.float64).eps)
"""ITK, through which nnU-Net reads, takes a smaller slope for none."""
_OTHERS: dict[str, tuple[bytes, ...]] = {
    "NIfTI-2": (struct.pack("<i", 540), struct.pack(">i", 540)),
    "gzip in gzip": (b"\x1f\x8b",),
    "a zip archive": (b"PK\x03\x04",),
    "bzip2": (b"BZh",),
    "NRRD": (b"NRRD",),
    "a page of a web site": (b"<",),
    "a pointer of Git LFS, whose file was not downloaded": (b"version https://git-lfs",),
}


class NiftiHeader(NamedTuple):
    """Where the voxels are and what they mean.

    Attributes
    ----------
    shape
        Along x, y, z and on.
    dtype
        Of a voxel in the file, byte order included.
    offset
        Bytes before the first voxel, in the uncompressed file.
    slope, intercept
        A voxel is ``slope * number + intercept``.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float

    @property
    def n_bytes(self) -> int:
        """Of all voxels, in the uncompressed file."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_nifti_header(path: Path, start: bytes) -> NiftiHeader:
    """Read the header of a NIfTI-1 file, either byte order.

    Parameters
    ----------
    path
        For messages.
    start
        The first `HEADER_BYTES` bytes of the uncompressed file, or all of a shorter one.

    Raises
    ------
    InputError
        No header of a single-file image of whole or real numbers with at most 64 bits; a size, offset or scale that
        makes no sense, or that readers take differently.
    """
    sizes = (struct.pack("<i", HEADER_BYTES), struct.pack(">i", HEADER_BYTES))
    if not start.startswith(sizes) or len(start) < HEADER_BYTES:
        raise _wrong(path, "a NIfTI-1 image", _kind_of(start))
    header: Any = nibabel.Nifti1Header.from_fileobj(io.BytesIO(start[:HEADER_BYTES]), check=False)
    if bytes(header["magic"]) != _MAGIC:
        raise _wrong(path, "a NIfTI image in one file", f"magic {bytes(header['magic'])!r}")
    n_axes = int(header["dim"][0])
    shape = tuple(int(edge) for edge in header["dim"][1 : 1 + max(0, n_axes)])
    if not 2 <= n_axes <= 7 or min(shape) < 1:
        raise _wrong(path, "2 to 7 axes of one voxel or more", f"dim {header['dim'].tolist()}")
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError):
        dtype = np.dtype("V0")
    if dtype.kind not in "iuf" or dtype.itemsize > 8 or int(header["bitpix"]) != 8 * dtype.itemsize:
        actual = f"datatype {int(header['datatype'])} with {int(header['bitpix'])} bits"
        raise _wrong(path, "whole or real numbers of 8 to 64 bits", actual)
    offset = float(header["vox_offset"])
    if not HEADER_BYTES + 4 <= offset <= _FURTHEST or offset != int(offset):
        raise _wrong(path, f"voxels from byte {HEADER_BYTES + 4} on", f"vox_offset {offset}")
    _require_grid(path, header)
    return NiftiHeader(shape, dtype, int(offset), *_scaling(path, header))


def _require_grid(path: Path, header: Any) -> None:
    """Raise where the fields that place the voxels, of those in use, have numbers that are none."""
    fields = {"pixdim": header["pixdim"][1 : 1 + min(3, int(header["dim"][0]))]}
    used = []
    if header["qform_code"] > 0:
        used += ["quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"]
    if header["sform_code"] > 0:
        used += ["srow_x", "srow_y", "srow_z"]
    for field, numbers in (fields | {field: header[field] for field in used}).items():
        if not np.isfinite(numbers).all():
            raise _wrong(path, "finite spacing and position", f"{field} {numbers.tolist()}")


def _scaling(path: Path, header: Any) -> tuple[float, float]:
    """Slope and intercept. By the standard there are none where the slope is 0; in doubt ITK's answer counts here."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    by_standard = (slope, intercept) if math.isfinite(slope) and slope else (1.0, 0.0)
    by_itk = (
        slope if math.isfinite(slope) and abs(slope) >= _NO_SCALE else 1.0,
        intercept if math.isfinite(intercept) and abs(intercept) >= _NO_SCALE else 0.0,
    )
    if not np.allclose(by_standard, by_itk, rtol=0, atol=_NO_SCALE):
        raise _wrong(path, "scl_slope and scl_inter that all readers take alike", f"{slope:g} and {intercept:g}")
    return by_itk


def _kind_of(start: bytes) -> str:
    """Say what a file is that is called NIfTI and is none."""
    for names, signs in _OTHERS.items():
        if start.lstrip().startswith(signs):
            return names
    return "another kind of file" if start else "an empty file"


def _wrong(path: Path, expected: str, actual: str) -> InputError:
    return InputError(f"{path}: unreadable: expected {expected}, found {actual}")
