"""Linear interpolation in planes against nnU-Net's."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

from albench.training.original import _is_linear_in_planes, _resample_planes


def configuration(order: int = 1, function: str = "resample_data_or_seg_to_shape") -> Any:
    options = {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}
    plan = {"resampling_fn_probabilities": function, "resampling_fn_probabilities_kwargs": options}
    return SimpleNamespace(configuration=plan)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (10.0, 1.5, 1.5), (2.5, 0.8, 0.7)])
@pytest.mark.parametrize("target", [(7, 40, 31), (7, 21, 26), (7, 12, 11), (7, 24, 20), (7, 24, 47)])
def test_planes_are_what_nnunet_makes_of_them(spacing: Sequence[float], target: Sequence[int]) -> None:
    logits = np.random.default_rng(0).normal(size=(2, 7, 24, 20)).astype(np.float32)
    current = (spacing[0], spacing[1] * target[1] / 24, spacing[2] * target[2] / 20)
    assert _is_linear_in_planes(configuration(), current, spacing)
    expected = resample_data_or_seg_to_shape(
        logits, target, current, spacing, is_seg=False, order=1, order_z=0, force_separate_z=None
    )
    found = _resample_planes(logits, target, current, spacing)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_other_ways_of_resampling_are_left_to_nnunet() -> None:
    across = (1.0, 9.0, 1.0)  # thick along an axis of the planes: nnU-Net takes the nearest row there
    assert not _is_linear_in_planes(configuration(), across, across)
    assert not _is_linear_in_planes(configuration(order=3), (1, 1, 1), (1, 1, 1))
    assert not _is_linear_in_planes(configuration(function="resample_torch_fornnunet"), (1, 1, 1), (1, 1, 1))
