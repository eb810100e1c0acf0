"""Images and labels through the reader that nnU-Net picks for their format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albench.data import Case, Dataset, case_geometry
from albench.data.images import read_header
from albench.data.readers import reader_of
from albench.training.nnunet_env import quiet

if TYPE_CHECKING:
    from nnunetv2.imageio.base_reader_writer import BaseReaderWriter


def read_case_images(
    case: Case, reader: BaseReaderWriter | None = None
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Return images, float32 (channel, z, y, x), and spacing in mm, (z, y, x).

    A 2D image is a volume of one slice, whose thickness nnU-Net sets to 999 times its spacing.

    Parameters
    ----------
    reader
        The reader that a model's plans name; None: the one that nnU-Net picks for the format.
    """
    reader = reader or reader_of(case.images[0])
    with quiet():  # the reader of stacks prints what verification has remarked
        images, properties = reader.read_images([str(path) for path in case.images])
    return images, tuple(float(edge) for edge in properties["spacing"])


def read_label(path: Path, reader: BaseReaderWriter | None = None) -> NDArray[Any]:
    """Label map, (z, y, x), in the dtype that the reader gives; of a mask with colours, which are equal, the first.

    `reader` as for `read_case_images`.
    """
    reader = reader or reader_of(path)
    with quiet():
        segmentation: NDArray[Any] = reader.read_seg(str(path))[0][0]
    return segmentation


def true_spacing(dataset: Dataset, case: str) -> tuple[float, ...] | None:
    """Spacing in mm, (z, y, x), of a case; None where it means nothing: photographs, and data sets that lost theirs."""
    header = read_header(dataset.case(case).images[0])
    return header.geometry.spacing_mm if dataset.spacing_is_true and header.has_spacing else None


def read_spacing(case: Case) -> tuple[float, ...]:
    """Spacing in mm, (z, y, x), from the header where the format has one."""
    return case_geometry(case.images[0]).spacing_mm
