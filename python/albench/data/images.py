"""Opening image files, with errors that name the file."""

from __future__ import annotations

import gzip
import zlib
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
        raise InputError(
            f"{path}: expected 3 spatial axes (and at most one of channels), found {len(size)} axes"
        )
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


def _stream_length(path: Path) -> int:
    """Bytes of a file after decompression; decompressing to the end checks gzip's own checksum."""
    with path.open("rb") as raw:
        if raw.read(2) != _GZIP_MAGIC:
            return path.stat().st_size
    length = 0
    with gzip.open(path) as stream:
        while chunk := stream.read(_CHUNK):
            length += len(chunk)
    return length


def require_whole(path: Path) -> None:
    """Read the file to its end and raise where it is cut short or damaged.

    ITK reads a truncated ``.nii.gz`` without complaint and fills up with zeros, hence this look at the bytes.

    Raises
    ------
    InputError
        Missing, truncated, or failing its own checksum.
    """
    require_file(path)
    try:
        length = _stream_length(path)
        if not path.name.endswith((".nii", ".nii.gz")):
            return
        header = nibabel.load(path).header
        n_voxels = int(np.prod(header.get_data_shape(), dtype=np.int64))
        expected = int(header.get_data_offset()) + n_voxels * int(header.get_data_dtype().itemsize)
    except EOFError as error:
        raise InputError(
            f"{path}: truncated: expected a complete gzip file, found its end missing"
        ) from error
    except (OSError, zlib.error, ImageFileError) as error:
        raise InputError(f"{path}: unreadable: expected a NIfTI image, found: {_last_line(error)}") from error
    if length < expected:
        raise InputError(f"{path}: truncated: expected {expected} bytes of header and voxels, found {length}")


def read_image(path: Path) -> Any:
    """Read an image whole with SimpleITK.

    Returns
    -------
    SimpleITK.Image
        3D, or 4D with the channels last; ``SimpleITK.GetArrayViewFromImage`` gives (z, y, x) or (c, z, y, x).

    Raises
    ------
    InputError
        Missing, truncated or unreadable.
    """
    require_whole(path)
    try:
        return SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: unreadable: expected an image, found: {_last_line(error)}") from error


def write_image(
    array: NDArray[Any], path: Path, *, spacing_mm: tuple[float, float, float], note: str
) -> None:
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
