"""Images of the makes that annotators have: oblique, left- and right-handed, permuted, with odd spacings."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from scipy.spatial.transform import Rotation

SHAPE = (5, 6, 7)
"""Voxels along k, j, i."""

TILT = Rotation.from_euler("xyz", (17, 5, -8), degrees=True).as_matrix()
DIRECTIONS = {
    "lps": np.eye(3),
    "ras": np.diag([-1.0, -1.0, 1.0]),
    "las": np.diag([1.0, -1.0, 1.0]),
    "permuted": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
    "oblique": TILT,
    "oblique permuted": TILT @ np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]]),
}
"""ITK's matrices: columns are whither i, j and k lead, in LPS."""

SPACING = (0.9765625, 0.7, 2.5)
ORIGIN = (-123.456, 78.9, -1000.25)


def image(direction: np.ndarray, shape: tuple[int, ...] = SHAPE) -> SimpleITK.Image:
    made = SimpleITK.GetImageFromArray(np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16))
    n = len(shape)
    made.SetSpacing(SPACING[:n])
    made.SetOrigin(ORIGIN[:n])
    made.SetDirection(direction[:n, :n].ravel().tolist())
    return made


def write(path: Path, direction: np.ndarray, shape: tuple[int, ...] = SHAPE) -> SimpleITK.Image:
    """Write an image, and return it as the file has it."""
    SimpleITK.WriteImage(image(direction, shape), str(path), useCompression=True)
    return SimpleITK.ReadImage(str(path))


def write_with_codes(path: Path, qform: int, sform: int) -> None:
    """Write a NIfTI file with texts, an extension, and the two placements under these codes."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    made = nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), affine)
    made.header.set_qform(affine, qform)
    made.header.set_sform(affine, sform)
    made.header["descrip"] = b"DOE JANE 1970"
    made.header["cal_max"] = 400
    made.header.set_slope_inter(2, -1024)
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"DOE JANE"))
    nibabel.save(made, path)
