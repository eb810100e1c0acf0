from __future__ import annotations

import numpy as np
import pytest

from albench.strategies.mcd import McDropout
from tests.support.strategies_reference import view_of


def test_mcd_takes_the_highest_class_weighted_variance_first() -> None:
    variance = np.array([[9.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 1.0, 1.0], [50.0, 0.0, 0.0]])
    selection = McDropout().select(view_of(4, variance=variance), 4, np.random.default_rng(0))
    assert selection.indices.tolist() == [2, 0, 1, 3]
    np.testing.assert_allclose(selection.scores, [1.0, 0.7, 0.6, 0.0])


def test_without_weights_all_classes_count_alike() -> None:
    variance = np.array([[9.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 1.0, 1.5], [50.0, 0.0, 0.0]])
    selection = McDropout(weights="none").select(view_of(4, variance=variance), 4, np.random.default_rng(0))
    assert selection.indices.tolist() == [3, 0, 2, 1]
    np.testing.assert_allclose(selection.scores, np.array([50.0, 10.0, 2.5, 2.0]) / 3)


def test_other_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="parameter weights: expected one of class, none, got 'voxel'"):
        McDropout(weights="voxel")  # type: ignore[arg-type]
