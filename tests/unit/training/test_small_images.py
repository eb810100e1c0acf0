"""Images too small, or flat along another axis than the first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from albench.errors import InputError
from albench.training.planning import _Planner, require_trainable


def planned(patch: tuple[int, ...], n_stages: int) -> dict[str, Any]:
    return {"patch_size": list(patch), "architecture": {"arch_kwargs": {"n_stages": n_stages}}}


@pytest.mark.parametrize(("patch", "n_stages"), [((3, 3), 1), ((40, 4), 3), ((7, 7), 1)])
def test_what_cannot_be_trained_is_refused_with_the_smallest_case(patch: tuple[int, ...], n_stages: int) -> None:
    with pytest.raises(InputError, match=r"case b: expected images .* found \(8, 3, 3\) voxels"):
        require_trainable(planned(patch, n_stages), {"a": (8, 9, 9), "b": (8, 3, 3)})
    require_trainable(planned((12, 12), 2), {"a": (8, 12, 12)})


@pytest.mark.parametrize(
    ("shapes", "spacing", "axis"),
    [
        ([(8, 9, 10), (8, 9, 1)], (1, 1, 1), 0),
        ([(8, 9, 1), (7, 9, 1)], (1, 1, 1), 2),
        ([(1, 9, 9)], (999, 1, 1), 0),
        ([(1, 1, 9)], (1, 2, 1), 1),
        ([(8, 9, 10)], (1, 3, 1), 1),
    ],
)
def test_slices_lie_along_the_axis_of_one_voxel(
    shapes: list[tuple[int, ...]], spacing: tuple[float, ...], axis: int
) -> None:
    planner = object.__new__(_Planner)
    planner.dataset_fingerprint = {"shapes_after_crop": [list(shape) for shape in shapes]}
    assert planner._slice_axis(np.array(spacing, dtype=np.float64)) == axis
