"""Where labels meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def border(segmentation: NDArray[Any], axes: Iterable[int]) -> NDArray[np.bool_]:
    """Voxels with a neighbour of another label along one of `axes`; the image's edge is no border."""
    result = np.zeros(segmentation.shape, dtype=bool)
    for axis in axes:
        changes = np.diff(segmentation.astype(np.int16), axis=axis) != 0
        before, after = [slice(None)] * segmentation.ndim, [slice(None)] * segmentation.ndim
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        result[tuple(before)] |= changes
        result[tuple(after)] |= changes
    return result
