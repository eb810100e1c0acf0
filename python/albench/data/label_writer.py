"""Writing a label that lies where its image lies, by every field of the header that says so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data.images import read_header
from albench.data.readers import has_header, is_stack
from albench.errors import InputError

_TEXTS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
"""Fields of a NIfTI header that are free text."""

_PLAIN = {"scl_slope": 1, "scl_inter": 0, "cal_max": 0, "cal_min": 0, "intent_code": 0, "slice_duration": 0}
"""What is true of the numbers of an image, and not of a label's."""


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
    header: Any = nibabel.load(image).header.copy()
    shape = header.get_data_shape()[:3]
    if math.prod(shape) != values.size:
        raise InputError(f"{image}: expected {values.size} voxels, found {shape} by nibabel")
    header.set_data_shape(shape)
    header.set_data_dtype(values.dtype)
    header.extensions.clear()
    for field in _TEXTS:
        header[field] = b""
    for field, value in _PLAIN.items():
        header[field] = value
    header.set_slope_inter(1, 0)
    # no affine: the header's is kept to the last bit, whichever of qform and sform it has
    nibabel.save(nibabel.Nifti1Image(values.T.reshape(shape, order="F"), None, header), path)


def _write_itk(values: NDArray[Any], image: Path, path: Path) -> None:
    header = read_header(image).spatial
    label = SimpleITK.GetImageFromArray(values if len(header.size) == 3 else values[0])
    label.SetSpacing(header.spacing)
    label.SetOrigin(header.origin)
    label.SetDirection(header.direction)
    SimpleITK.WriteImage(label, str(path), useCompression=True)
