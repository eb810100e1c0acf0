"""Which of nnU-Net's readers trains on a file, and what photographs and stacks, which have no header, are to it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albench.errors import InputError
from albench.machine.text import read_json_text, reason

if TYPE_CHECKING:
    from nnunetv2.imageio.base_reader_writer import BaseReaderWriter

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".gipl", ".png", ".bmp", ".tif", ".tiff")
"""Of the files that nnU-Net reads, longest first: ".nii.gz" also ends in ".gz"."""

NO_SPACING = 1.0
"""What nnU-Net takes for the spacing, in mm, where there is none."""
_TIFF = (".tif", ".tiff")
_CHANNEL = re.compile(r"_\d{4}$")


def ending_of(name: str) -> str | None:
    """Return the ending of a file's name as it is written there; None where nnU-Net knows none such."""
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    return None if ending is None else name[-len(ending) :]


def require_ending(path: Path, ending: str) -> None:
    """Refuse what nnU-Net does not read.

    Parameters
    ----------
    path
        What says or has the ending, for the message.

    Raises
    ------
    InputError
        nnU-Net has no reader for the ending, or it has capital letters, which tools take differently.
    """
    if ending.lower() not in ENDINGS:
        raise InputError(
            f"{path}: expected files that nnU-Net reads ({', '.join(ENDINGS)}), found the ending {ending:.40}; convert "
            f"them, for instance to .nii.gz"
        )
    if ending != ending.lower():
        raise InputError(f"{path}: expected the file ending {ending.lower()} in small letters, found {ending}")


def has_header(path: Path) -> bool:
    """Whether a file's format says where its voxels lie, as those of ITK do."""
    return not path.name.lower().endswith((".png", ".bmp", *_TIFF))


def reader_of(path: Path) -> BaseReaderWriter:
    """nnU-Net's reader: by the ending, and where two have it, as for .tif, the first that can read the file."""
    ending = ending_of(path.name)
    if ending is None:
        raise InputError(f"{path}: expected a file that nnU-Net reads ({', '.join(ENDINGS)}), found another ending")
    return _reader("Tiff3DIO" if is_stack(path) else ending.lower())


@cache
def _reader(name: str) -> BaseReaderWriter:
    from nnunetv2.imageio import reader_writer_registry as registry

    if name.startswith("."):
        kind = registry.determine_reader_writer_from_file_ending(name, verbose=False)
    else:
        kind = next(kind for kind in registry.LIST_OF_IO_CLASSES if kind.__name__ == name)
    # Verification has said, in a line, what readers would print in many: of stacks without a spacing, for instance.
    vars(sys.modules[kind.__module__])["print"] = lambda *values, **options: None
    return kind()


def is_stack(path: Path) -> bool:
    """Whether a file is for nnU-Net's reader of stacks: .tiff, and the .tif that its reader of photographs refuses."""
    if not path.name.lower().endswith(_TIFF):
        return False
    if path.name.lower().endswith(".tiff"):
        return True
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            shape = file.series[0].shape
    except Exception:  # what is no TIFF is refused when it is read
        return False
    return len(shape) == 3 and shape[-1] not in (3, 4)


def declared_numbers(path: Path) -> int:
    """Count the numbers that a photograph or stack has by its own account; none of them is read.

    Raises
    ------
    InputError
        It is no image, or says of itself that nobody should read it.
    """
    try:
        if path.name.lower().endswith(_TIFF):
            import tifffile

            with tifffile.TiffFile(path) as file:
                return math.prod(file.series[0].shape)
        from PIL import Image

        with Image.open(path) as image:
            return math.prod(image.size) * len(image.getbands())
    except Exception as error:  # each decoder has errors of its own
        raise _no_image(path, error) from error


def _no_image(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: unreadable: expected an image, found: {reason(error)}")


def read_pixels(path: Path) -> NDArray[Any]:
    """Read a photograph or a stack as nnU-Net's reader does.

    Returns
    -------
    ndarray
        Whole or real numbers: (y, x), a photograph's (y, x, channel) with colours, or a stack's (z, y, x).

    Raises
    ------
    InputError
        nnU-Net could not read the file, or takes it for something else.
    """
    stack = is_stack(path)
    try:
        if stack:
            import tifffile

            pixels = np.asarray(tifffile.imread(path))
        else:
            from skimage import io

            pixels = np.asarray(io.imread(path))
    except Exception as error:  # each decoder has errors of its own
        raise _no_image(path, error) from error
    if stack and pixels.ndim != 3:
        raise InputError(
            f"{path}: unreadable: expected a stack of slices, as nnU-Net's reader of .tiff wants, found the shape "
            f"{pixels.shape}; photographs are to be .tif or .png"
        )
    if not stack and (pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4))):
        raise InputError(
            f"{path}: unreadable: expected a photograph, grey or with 3 or 4 colours, found the shape {pixels.shape}"
        )
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    if pixels.dtype.kind not in "iuf":
        raise InputError(f"{path}: unreadable: expected whole or real numbers, found {pixels.dtype}")
    return pixels


def require_nibabel(path: Path, size: Sequence[int], spacing: Sequence[float]) -> None:
    """Refuse a .nii file that nibabel, with which nnU-Net reads it, does not open, or does not take for what ITK does.

    Parameters
    ----------
    size, spacing
        As ITK has them, x first. Files of four axes are split before nnU-Net sees them.

    Raises
    ------
    InputError
        Damaged fields of the header, two axes, or another spacing.
    """
    import nibabel

    try:
        header = nibabel.load(path).header
        shape, edges = header.get_data_shape(), header.get_zooms()
    except Exception as error:  # HeaderDataError, ValueError and more
        raise InputError(
            f"{path}: unreadable: expected a header that nibabel, nnU-Net's reader of .nii, takes, found: "
            f"{reason(error)}; as .nii.gz it is read by ITK"
        ) from error
    if len(size) < 3 or tuple(shape) != tuple(size):
        raise InputError(
            f"{path}: unreadable: expected three axes, as nnU-Net's reader of .nii does, found the shape {tuple(shape)}"
        )
    if not np.allclose(edges[:3], spacing[:3], rtol=1e-3, atol=0):
        raise InputError(
            f"{path}: unreadable: expected one spacing, found {tuple(round(float(edge), 6) for edge in edges[:3])} mm "
            f"by nibabel and {tuple(round(edge, 6) for edge in spacing[:3])} mm by ITK; are its units others than mm?"
        )


def label_pixels(path: Path, pixels: NDArray[Any]) -> NDArray[Any] | None:
    """Return the one number a pixel of a label, (y, x) or (z, y, x); None where colours differ.

    Parameters
    ----------
    pixels
        As `read_pixels` has them. Of a mask saved with colours all are equal, but for an opaque fourth.
    """
    if pixels.ndim == 2 or is_stack(path):
        return pixels
    first, opaque = pixels[..., :1], pixels[..., 3:]
    if (pixels[..., :3] == first).all() and (opaque == opaque.flat[0] if opaque.size else opaque).all():
        return pixels[..., 0]
    return None


def spacing_file(path: Path) -> Path | None:
    """JSON file beside a stack that says its spacing, named without ``_0000`` or with it; None where there is none."""
    if not path.name.lower().endswith(_TIFF):
        return None
    stem = path.name.rsplit(".", 1)[0]
    names = dict.fromkeys((_CHANNEL.sub("", stem), stem))
    return next((file for name in names if (file := path.with_name(f"{name}.json")).is_file()), None)


def read_spacing_file(path: Path) -> tuple[float, float, float]:
    """Spacing in mm, (z, y, x), that the JSON file of a stack holds.

    Raises
    ------
    InputError
        It holds no three positive numbers under ``spacing``.
    """
    content = read_json_text(path)
    spacing = content.get("spacing") if isinstance(content, dict) else None
    numbers = [value for value in spacing if type(value) in (int, float)] if isinstance(spacing, list) else []
    if len(numbers) != 3 or spacing != numbers or not all(math.isfinite(value) and value > 0 for value in numbers):
        raise InputError(
            f'{path}: unreadable: expected three positive numbers as "spacing" (z, y, x in mm), found {spacing!r:.200}'
        )
    return float(numbers[0]), float(numbers[1]), float(numbers[2])
