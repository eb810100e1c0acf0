"""Opening image files, with errors that name the file."""

from __future__ import annotations

import gzip
import io
import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.nifti_header import HEADER_BYTES
from albench.data.readers import (
    NO_SPACING,
    declared_numbers,
    ending_of,
    has_header,
    is_stack,
    read_pixels,
    read_spacing_file,
    require_nibabel,
    spacing_file,
)
from albench.data.text_headers import is_compressed, read_text_header, require_sound_text, says_spacing
from albench.errors import InputError
from albench.machine.names import require_utf8

GZIP_MAGIC = b"\x1f\x8b"
_GIPL_HEADER = 256  # bytes
_SMALL = 1 << 28  # voxels that any machine has memory for
_MOST_COMPRESSED = 1100  # bytes that deflate makes of one
_BETWEEN_SLICES = 999  # nnU-Net's: a 2D image is a slice that far from any other, in units of its own spacing

# They warn in lines of their own, again and again, of what is refused or remarked here with the file's name.
SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
for _library in ("nibabel.global", "tifffile"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


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


def last_line(error: Exception) -> str:
    """ITK's errors span lines, the reason being on the last one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).removeprefix("sitk::ERROR: ")


class Header(NamedTuple):
    """What a file's header says of its grid; axes in ITK's order (x, y, z and, of 4D images, channel).

    Attributes
    ----------
    n_components
        Numbers a voxel: more than one in photographs with colours.
    direction
        Matrix of direction cosines, row by row.
    has_spacing
        Whether the file, or one beside it, says the spacing: photographs have none, and nnU-Net takes 1 mm.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    n_components: int
    has_spacing: bool = True

    @property
    def spatial(self) -> Header:
        """Grid without the channel axis of a 4D image."""
        if len(self.size) < 4:
            return self
        direction = tuple(self.direction[4 * row + column] for row in range(3) for column in range(3))
        return Header(self.size[:3], self.spacing[:3], self.origin[:3], direction, self.n_components, self.has_spacing)

    @property
    def n_channels(self) -> int:
        """Channels that the file holds: colours of a photograph, or the last axis of a 4D image."""
        if len(self.size) == 2:
            return self.n_components
        return self.size[3] if len(self.size) == 4 else 1

    @property
    def geometry(self) -> Geometry:
        """Grid of the volume that nnU-Net makes of it, a 2D image being one slice.

        Raises
        ------
        ValueError
            There are other than two or three spatial axes.
        """
        size, spacing = self.spatial.size, self.spatial.spacing
        if len(size) == 2:
            size, spacing = (*size, 1), (*spacing, _BETWEEN_SLICES * max(spacing))
        if len(size) != 3:
            raise ValueError(f"expected 2 or 3 spatial axes (and at most one of channels), found {len(size)} axes")
        return Geometry((size[2], size[1], size[0]), (spacing[2], spacing[1], spacing[0]))


def read_header(path: Path) -> Header:
    """Read a file's header alone; of a photograph or stack, which has none, what nnU-Net's reader sees.

    Raises
    ------
    InputError
        The file is missing or no image, or its spacing or position is no number.
    """
    require_file(path)
    return _itk_header(path) if has_header(path) else _pixel_header(path)


def _pixel_header(path: Path) -> Header:
    require_readable(path)
    pixels, described = read_pixels(path), spacing_file(path)
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4) and not is_stack(path):
        size, n_components = pixels.shape[1::-1], pixels.shape[2]
    else:
        size, n_components = pixels.shape[::-1], 1
    n = len(size)
    spacing = (NO_SPACING,) * n
    if described is not None and n == 3:
        spacing = read_spacing_file(described)[::-1]
    direction = tuple(float(row == column) for row in range(n) for column in range(n))
    return Header(size, spacing, (0.0,) * n, direction, n_components, described is not None and n == 3)


def _itk_header(path: Path) -> Header:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if path.name.lower().endswith(".nii") and is_gzip(path):
            raise InputError(f"{path}: unreadable: expected no compression, found gzip; call it .nii.gz") from error
        raise InputError(f"{path}: unreadable: expected an image, found: {last_line(error)}") from error
    spacing, direction = reader.GetSpacing(), reader.GetDirection()
    n = len(spacing)
    header = Header(
        reader.GetSize(),
        # a negative spacing is an axis the other way round, to ITK when it reads the voxels, and so to nnU-Net
        tuple(map(abs, spacing)),
        reader.GetOrigin(),
        tuple(math.copysign(1, spacing[place % n]) * cosine for place, cosine in enumerate(direction)),
        reader.GetNumberOfComponents(),
        has_spacing=not _lacks_spacing(path),
    )
    if not all(map(math.isfinite, (*header.spacing, *header.origin, *header.direction))) or min(header.spacing) <= 0:
        raise InputError(
            f"{path}: unreadable: expected finite spacing and position, and no spacing of 0, found spacing {spacing} "
            f"and origin {header.origin} (x, y, z)"
        )
    if path.name.lower().endswith(".nii"):
        require_nibabel(path, header.size, header.spacing)
    return header


def _lacks_spacing(path: Path) -> bool:
    """Whether a header has no spacing, or a NIfTI header a zero, in whose place ITK puts 1 mm without a word."""
    header = _nifti_header(path)
    if header is not None:
        return bool((header["pixdim"][1 : 1 + min(3, int(header["dim"][0]))] == 0).any())
    text = read_text_header(path)
    return text is not None and not says_spacing(path, text)


def _nifti_header(path: Path) -> Any:
    """Fields of a NIfTI header, unchecked; None of other formats."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return None
    with gzip.open(path) if is_gzip(path) else path.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    return nibabel.Nifti1Header.from_fileobj(io.BytesIO(start), check=False)


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, whatever its ending says."""
    with path.open("rb") as raw:
        return raw.read(2) == GZIP_MAGIC


def stated_spacings(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Spacings that the pixdim and the sform of a NIfTI header state, in its units, x first; None unless there are two.

    ITK, and so nnU-Net, takes that of pixdim, and the orientation of the sform. Other programs take all of the sform.
    """
    header = _nifti_header(path)
    if header is None or header["sform_code"] <= 0:
        return None
    n = min(3, int(header["dim"][0]))
    columns = np.array([header["srow_x"], header["srow_y"], header["srow_z"]], dtype=np.float64)[:, :n]
    edges = np.abs(header["pixdim"][1 : 1 + n].astype(np.float64))
    return tuple(map(float, edges)), tuple(map(float, np.linalg.norm(columns, axis=0)))


def case_geometry(path: Path) -> Geometry:
    """Grid of an image or label file, from its header alone.

    Raises
    ------
    InputError
        The file is missing, or no image, or has other than two or three spatial axes.
    """
    try:
        return read_header(path).geometry
    except InputError:  # a ValueError, too
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def require_file(path: Path) -> None:
    """Raise where there is no file at ``path``, or two that ITK takes for one.

    Raises
    ------
    InputError
        Nothing there, or something that is no plain file, or its path is not UTF-8, at which ITK ends the program; or
        beside ``a.nii.gz`` a file ``a.nii``: ITK then reads the header of the one and the voxels of the other.
    """
    require_utf8(path)
    if not path.is_file():
        ending = ending_of(path.name) or path.suffix
        channel = path.with_name(f"{path.name.removesuffix(ending)}_0000{ending}")
        hint = f"; {channel.name} is there: list files by their whole names" if channel.is_file() else ""
        found = "a folder" if path.is_dir() else "none"
        if path.is_symlink() and not path.exists():
            found = f"a link that leads nowhere, to {path.readlink()}"
        raise InputError(f"{path}: expected a file, found {found}{hint}")
    if path.name.endswith(".nii.gz") and path.with_suffix("").exists():
        raise InputError(f"{path}: unreadable: expected one file of that name, found {path.stem} as well; remove one")


def require_readable(path: Path) -> None:
    """Refuse a file that would fill the memory, or has its voxels in another file, before it is read whole.

    Raises
    ------
    InputError
        The header declares more voxels than compression could have put into the file; or see `require_sound_text`.
    """
    n_bytes = path.stat().st_size
    if has_header(path):
        header = _itk_header(path)
        n_voxels = math.prod(header.size) * header.n_components
    else:
        n_voxels = declared_numbers(path)
    if n_voxels > max(_SMALL, _MOST_COMPRESSED * n_bytes):
        raise InputError(
            f"{path}: unreadable: expected as many voxels as {n_bytes} bytes can hold, found {n_voxels} in its header"
        )
    text = read_text_header(path)
    if text is not None:
        require_sound_text(path, text)
    if path.name.lower().endswith(".gipl") or (path.name.lower().endswith(".mha") and text and not is_compressed(text)):
        start = _GIPL_HEADER if text is None else text.length
        expected = start + n_voxels * _bytes_of_number(path)
        if n_bytes < expected:
            raise InputError(f"{path}: truncated: expected {expected} bytes of header and voxels, found {n_bytes}")


def _bytes_of_number(path: Path) -> int:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    pixel = SimpleITK.Image([1] * reader.GetDimension(), reader.GetPixelID(), reader.GetNumberOfComponents())
    return int(pixel.GetSizeOfPixelComponent())


def read_image(path: Path) -> Any:
    """Read a sound image whole with SimpleITK, which says nothing of truncated NIfTI files: verify first.

    Returns
    -------
    SimpleITK.Image
        3D, or 4D with the channels last; ``SimpleITK.GetArrayViewFromImage`` gives (z, y, x) or (c, z, y, x).

    Raises
    ------
    InputError
        Missing or unreadable.
    """
    require_file(path)
    try:
        return SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: unreadable: expected an image, found: {last_line(error)}") from error


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
