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
        low, high = [slice(None)] * segmentation.ndim, [slice(None)] * segmentation.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        before, after = tuple(low), tuple(high)
        changes = segmentation[before] != segmentation[after]
        result[before] |= changes
        result[after] |= changes
    return result
