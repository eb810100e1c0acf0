"""Writing a label that lies where its image lies, by every field of the header that says so."""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.images import GZIP_MAGIC, read_header
from albench.data.nifti_header import HEADER_BYTES
from albench.data.readers import has_header, is_stack
from albench.errors import InputError

_TEXTS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
"""Fields of a NIfTI header that are free text."""

_PLAIN = {"scl_slope": 1, "scl_inter": 0, "cal_max": 0, "cal_min": 0, "intent_code": 0, "toffset": 0}
_PLAIN |= {"slice_code": 0, "slice_start": 0, "slice_end": 0, "slice_duration": 0, "dim_info": 0}
"""What is true of an image, its numbers and how it was scanned, and not of a label."""

_NO_EXTENSION = bytes(4)
_LEVEL = 3  # of gzip; labels hardly grow smaller beyond it


def label_dtype(highest: int) -> np.dtype[Any]:
    """uint8 where `highest` fits, else uint16: what every editor reads."""
    return np.dtype(np.uint8 if highest < 2**8 else np.uint16)


def write_label_like(labels: NDArray[np.integer], image: Path, path: Path) -> None:
    """Write labels on the grid of an image, in the format of the file's ending.

    NIfTI files keep the image's header: qform, sform, their codes and units, byte for byte; its texts and extensions,
    which may name a patient, are left out. Other formats keep what ITK reads. Photographs and stacks are written
    without loss.

    Parameters
    ----------
    labels
        (k, j, i), in the order of the file's axes, the last one changing fastest; (1, j, i) where the file has two.
        Written as uint8 or uint16, as small as its largest value allows.
    image
        File of the same format, with one channel or more.
    path
        Where to write.

    Raises
    ------
    InputError
        The image cannot be read, or has other than as many voxels along each axis, or its format has no such values.
    """
    size = read_header(image).spatial.size
    shape = (*size, 1)[:3][::-1]
    if labels.shape != shape:
        raise InputError(f"{image}: expected a label of its shape {shape} (k, j, i), got {labels.shape}")
    values = np.ascontiguousarray(labels, dtype=label_dtype(int(labels.max(initial=0))))
    if not has_header(image):
        _write_pixels(values, path)
    elif path.name.lower().endswith((".nii", ".nii.gz")):
        _write_nifti(values, image, path)
    else:
        _write_itk(values, image, path)


def _write_pixels(values: NDArray[Any], path: Path) -> None:
    if is_stack(path) or len(values) > 1:
        import tifffile

        tifffile.imwrite(path, values, compression="zlib", metadata=None)
        return
    if path.name.lower().endswith(".bmp") and values.dtype != np.uint8:
        raise InputError(f"{path}: expected values up to 255, which is all that .bmp has, got {values.max()}")
    from skimage import io

    io.imsave(path, values[0], check_contrast=False)


def _write_nifti(values: NDArray[Any], image: Path, path: Path) -> None:
    with image.open("rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
    with gzip.open(image) if compressed else image.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    # unchecked, and not through nibabel's images: these mend what they find odd, and tools would no longer agree
    header: Any = nibabel.Nifti1Header.from_fileobj(io.BytesIO(start), check=False)
    n_axes = min(3, int(header["dim"][0]))
    shape = header["dim"][1 : 1 + n_axes].tolist()
    if math.prod(shape) != values.size:
        raise InputError(f"{image}: expected {values.size} voxels, found {shape} in its header")
    header["dim"] = [n_axes, *shape, *[1] * (7 - n_axes)]
    header.set_data_dtype(values.dtype)
    header["magic"], header["vox_offset"] = b"n+1", HEADER_BYTES + len(_NO_EXTENSION)
    for field in _TEXTS:
        header[field] = b""
    for field, value in _PLAIN.items():
        header[field] = value
    voxels = values.astype(values.dtype.newbyteorder(header.endianness), copy=False)
    content = header.binaryblock + _NO_EXTENSION + voxels.tobytes()
    path.write_bytes(gzip.compress(content, _LEVEL, mtime=0) if path.name.lower().endswith(".gz") else content)


def _write_itk(values: NDArray[Any], image: Path, path: Path) -> None:
    header = read_header(image).spatial
    label = SimpleITK.GetImageFromArray(values if len(header.size) == 3 else values[0])
    label.SetSpacing(header.spacing)
    label.SetOrigin(header.origin)
    label.SetDirection(header.direction)
    SimpleITK.WriteImage(label, str(path), useCompression=True)
