"""Opening image files, with errors that name the file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import SimpleITK
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from albench.errors import InputError

_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


class Geometry(NamedTuple):
    """Grid of an image.

    Attributes
    ----------
    shape
        Voxels along z, y, x.
    spacing_mm
        Distance of voxel centres in mm along z, y, x.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


def _last_line(error: Exception) -> str:
    """ITK's errors span lines, the reason being on the last one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).removeprefix("sitk::ERROR: ")


def case_geometry(path: Path) -> Geometry:
    """Grid of an image or label file, from its header alone.

    Raises
    ------
    InputError
        The file is missing, or no image, or has other than three spatial axes.
    """
    require_file(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: expected an image, found: {_last_line(error)}") from error
    size, spacing = reader.GetSize(), reader.GetSpacing()
    if len(size) not in (3, 4):
        raise InputError(f"{path}: expected 3 spatial axes (and at most one of channels), found {len(size)} axes")
    return Geometry((size[2], size[1], size[0]), (spacing[2], spacing[1], spacing[0]))


def require_file(path: Path) -> None:
    """Raise where there is no file at ``path``.

    Raises
    ------
    InputError
        Nothing there, or something that is no plain file.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'none'}")


class _Voxels(NamedTuple):
    """Where a NIfTI file has its voxels: offset in bytes, number, and dtype on disk."""

    offset: int
    n_voxels: int
    dtype: np.dtype[Any]


def _voxels(path: Path) -> _Voxels:
    """Read what the header says; voxels are left alone."""
    try:
        image: Any = nibabel.load(path)
    except ImageFileError:
        # A small file cut short is "no image" to nibabel; reading to the end tells the two apart.
        for _ in _pieces(path):
            pass
        raise
    n_voxels = int(np.prod(image.shape, dtype=np.int64))
    return _Voxels(int(image.dataobj.offset), n_voxels, np.dtype(image.get_data_dtype()))


def _pieces(path: Path) -> Iterator[bytes]:
    """Bytes of a file, decompressed; reading gzip to its end makes it check its own checksum."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
    with gzip.open(path) if compressed else path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def _check_bytes(path: Path, voxels: _Voxels) -> None:
    """Count the bytes and look at every floating-point voxel as it is on the disk."""
    length, rest, finite = 0, b"", True
    floating = np.issubdtype(voxels.dtype, np.floating)
    for piece in _pieces(path):
        body = piece[max(0, voxels.offset - length) :]
        length += len(piece)
        if floating:
            rest += body
            n_whole = len(rest) // voxels.dtype.itemsize
            finite = finite and bool(np.isfinite(np.frombuffer(rest, voxels.dtype, n_whole)).all())
            rest = rest[n_whole * voxels.dtype.itemsize :]
    expected = voxels.offset + voxels.n_voxels * voxels.dtype.itemsize
    if length < expected:
        raise InputError(f"{path}: truncated: expected {expected} bytes of header and voxels, found {length}")
    if not finite:
        raise InputError(f"{path}: expected finite intensities, found NaN or infinity")


def require_sound(path: Path) -> None:
    """Read the file to its end and raise where it is cut short or damaged or has voxels that are no numbers.

    ITK reads a truncated ``.nii.gz`` without complaint and fills up with zeros, and puts zeros for NaN and
    infinity, hence this look at the bytes of NIfTI files. Other formats are left to ITK.

    Raises
    ------
    InputError
        Missing, truncated, failing its own checksum, or holding NaN or infinity.
    """
    require_file(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        return
    try:
        _check_bytes(path, _voxels(path))
    except EOFError as error:
        raise InputError(f"{path}: truncated: expected a complete gzip file, found its end missing") from error
    except (OSError, zlib.error, ImageFileError) as error:
        raise InputError(f"{path}: unreadable: expected a NIfTI image, found: {_last_line(error)}") from error


def read_image(path: Path) -> Any:
    """Read an image whole with SimpleITK.

    Returns
    -------
    SimpleITK.Image
        3D, or 4D with the channels last; ``SimpleITK.GetArrayViewFromImage`` gives (z, y, x) or (c, z, y, x).

    Raises
    ------
    InputError
        Missing, truncated, unreadable, or with NaN or infinity.
    """
    require_sound(path)
    try:
        return SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: unreadable: expected an image, found: {_last_line(error)}") from error


def write_image(array: NDArray[Any], path: Path, *, spacing_mm: tuple[float, float, float], note: str) -> None:
    """Write a compressed NIfTI file; the same voxels give the same bytes.

    Parameters
    ----------
    array
        (z, y, x); its dtype is kept.
    path
        Ends in ``.nii.gz``.
    spacing_mm
        Along z, y, x.
    note
        Goes into the header's description, at most 79 characters.
    """
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing_mm[::-1])
    image.SetMetaData("ITK_FileNotes", note)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
