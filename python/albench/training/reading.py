"""Images and labels through the reader that nnU-Net picks for their format."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_file_ending
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from numpy.typing import NDArray

from albench.data import Case, Dataset
from albench.data.images import case_geometry

# Longest first: ".nii.gz" also ends in ".gz".
_DOUBLE_ENDINGS = (".nii.gz",)


@cache
def _reader(ending: str) -> BaseReaderWriter:
    return determine_reader_writer_from_file_ending(ending, verbose=False)()


def reader_of(path: Path) -> BaseReaderWriter:
    """nnU-Net's reader for the file's ending: SimpleITK for medical formats, one of its own for photographs."""
    double = next((ending for ending in _DOUBLE_ENDINGS if path.name.endswith(ending)), None)
    return _reader(double or path.suffix)


def read_case_images(case: Case) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Return images, float32 (channel, z, y, x), and spacing in mm, (z, y, x).

    A 2D image is a volume of one slice, whose thickness nnU-Net sets to 999 mm.
    """
    images, properties = reader_of(case.images[0]).read_images([str(path) for path in case.images])
    return images, tuple(float(edge) for edge in properties["spacing"])


def read_label(path: Path) -> NDArray[Any]:
    """Label map, (z, y, x), in the dtype that the reader gives."""
    segmentation: NDArray[Any] = reader_of(path).read_seg(str(path))[0][0]
    return segmentation


def true_spacing(dataset: Dataset, case: str) -> tuple[float, ...] | None:
    """Spacing in mm, (z, y, x), of a case; None where it means nothing: photographs, and data sets that lost theirs."""
    files = dataset.case(case)
    if not dataset.spacing_is_true or not isinstance(reader_of(files.images[0]), SimpleITKIO):
        return None
    return read_spacing(files)


def read_spacing(case: Case) -> tuple[float, ...]:
    """Spacing in mm, (z, y, x), from the header where the format has one."""
    reader = reader_of(case.images[0])
    if isinstance(reader, SimpleITKIO):
        return case_geometry(case.images[0]).spacing_mm
    return read_case_images(case)[1]
