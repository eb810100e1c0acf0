"""Writing label maps with the header of the image that they belong to."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.images import GZIP_MAGIC, last_line, read_image
from albench.data.nifti_header import HEADER_BYTES
from albench.data.readers import has_header, is_stack
from albench.errors import InputError

_NIFTI = (".nii", ".nii.gz")
_LEVEL = 6  # of gzip; label maps hardly grow smaller beyond it


def write_label(labels: NDArray[Any], path: Path, like: Path) -> None:
    """Write a label map on an image's grid; the same labels give the same bytes.

    Of NIfTI files all fields that place voxels are copied bit by bit, so that every reader, whichever of the two
    transforms it prefers, finds the label where it finds the image.

    Parameters
    ----------
    labels
        Whole numbers below 2**16, axes i, j, k; stored as uint8 where they fit.
    path
        File to write, not atomically; its ending is the image's.
    like
        The image.

    Raises
    ------
    InputError
        The image is unreadable, or of another shape; or ITK could not write.
    OSError
        No space left, or no permission.
    """
    stored = np.ascontiguousarray(labels.transpose()).astype(np.uint8 if labels.max() < 256 else np.uint16)
    if path.name.endswith(_NIFTI):
        _write_nifti(stored, path, like)
    elif has_header(path):
        _write_itk(stored, path, like)
    else:
        _write_pixels(stored, path, like)


def _write_nifti(labels: NDArray[Any], path: Path, like: Path) -> None:
    """Write (k, j, i) labels under the image's header, without its texts and extensions, and with no scale."""
    with like.open("rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
    with gzip.open(like) if compressed else like.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    header: Any = nibabel.Nifti1Header.from_fileobj(io.BytesIO(start), check=False)
    n_axes = min(3, int(header["dim"][0]))
    shape = tuple(int(edge) for edge in header["dim"][1 : 1 + n_axes])
    if labels.shape != (*shape, 1)[2::-1]:
        raise InputError(f"{like}: expected an image of {labels.shape[::-1]} voxels, found {shape}")
    header["dim"] = (n_axes, *shape, *[1] * (7 - n_axes))
    header["pixdim"][1 + n_axes :] = 0
    header.set_data_dtype(labels.dtype)
    header["vox_offset"], header["magic"] = HEADER_BYTES + 4, b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    for field in ("cal_max", "cal_min", "toffset", "slice_duration", "slice_start", "slice_end", "slice_code"):
        header[field] = 0
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        header[field] = b""
    header["intent_code"] = 0
    content = header.binaryblock + bytes(4) + labels.astype(labels.dtype.newbyteorder(header.endianness)).tobytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, _LEVEL, mtime=0)
    path.write_bytes(content)


def _write_itk(labels: NDArray[Any], path: Path, like: Path) -> None:
    reference = read_image(like)
    volume = SimpleITK.GetImageFromArray(labels if reference.GetDimension() == 3 else labels[0])
    if volume.GetSize() != reference.GetSize():
        raise InputError(f"{like}: expected an image of {volume.GetSize()} voxels, found {reference.GetSize()}")
    volume.CopyInformation(reference)
    try:
        SimpleITK.WriteImage(volume, str(path), useCompression=True)
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be written ({last_line(error)})") from error


def _write_pixels(labels: NDArray[Any], path: Path, like: Path) -> None:
    if is_stack(like):
        import tifffile

        tifffile.imwrite(path, labels, compression="zlib")
        return
    from PIL import Image

    Image.fromarray(labels[0]).save(path)
