from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from albench.config import CostSettings
from albench.errors import InputError
from albench.units.cost import AnnotationCost, annotation_cost, labelled_voxels
from albench.units.pool import Pool, Unit

COUNTS = np.array([[90, 10, 0], [70, 20, 10], [40, 0, 0], [30, 0, 5]])
# A unit may have voxels that carry no label at all.
BOXES = np.zeros((4, 3), np.int64), np.array([[1, 10, 10], [1, 10, 10], [1, 5, 10], [1, 4, 10]])
POOL = Pool(tuple(Unit("a", i) for i in range(4)), {"a": 0}, COUNTS, COUNTS // 2, *BOXES)


def test_cost_counts_units_voxels_and_foreground() -> None:
    assert annotation_cost(POOL, [Unit("a", 3), Unit("a", 1)]) == AnnotationCost(2, 2, 140, 35, 17)
    assert annotation_cost(POOL, POOL.units) == AnnotationCost(4, 4, 290, 45, 22)
    assert annotation_cost(POOL, []) == AnnotationCost(0, 0, 0, 0, 0)


def test_a_patch_has_as_many_slices_as_along_its_shortest_edge() -> None:
    boxes = np.zeros((2, 3), np.int64), np.array([[20, 9, 30], [4, 40, 40]])
    patches = Pool((Unit("a", 0), Unit("a", 1)), {}, COUNTS[:2], COUNTS[:2], *boxes)
    assert annotation_cost(patches, patches.units).n_slices == 9 + 4


def test_the_cost_model_is_linear_in_slices_foreground_and_border() -> None:
    cost = AnnotationCost(n_units=2, n_slices=3, n_voxels=999, n_fg_voxels=40, n_border_voxels=7)
    settings = CostSettings(slice_s=100, foreground_voxel_s=0.5, border_voxel_s=2)
    assert cost.seconds(settings) == pytest.approx(300 + 20 + 14)
    organ = AnnotationCost(60, 60, 60 * 512 * 512, 60 * 7000, 60 * 300)
    assert 25 * 60 < organ.seconds(CostSettings()) < 30 * 60, "the defaults are about half an hour an organ"


def test_cost_is_plain_integers() -> None:
    cost = annotation_cost(POOL, POOL.units)
    assert {type(value) for value in asdict(cost).values()} == {int}


def test_labelled_voxels_are_summed_per_label() -> None:
    found = labelled_voxels(POOL, [Unit("a", 1), Unit("a", 3)])
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, [100, 20, 15])
    np.testing.assert_array_equal(labelled_voxels(POOL, []), [0, 0, 0])


def test_units_from_elsewhere_are_an_input_error() -> None:
    for function in (annotation_cost, labelled_voxels):
        with pytest.raises(InputError, match="not in the pool"):
            function(POOL, [Unit("b", 0)])
