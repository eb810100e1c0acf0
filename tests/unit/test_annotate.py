from __future__ import annotations

import numpy as np
import pytest

from albench.annotate import AnnotationCost, annotation_cost, labelled_voxels
from albench.errors import InputError
from albench.pool import Pool, Unit

COUNTS = np.array([[90, 10, 0], [70, 20, 10], [40, 0, 0], [30, 0, 5]])
# A unit may have voxels that carry no label at all.
BOXES = np.zeros((4, 3), np.int64), np.array([[1, 10, 10], [1, 10, 10], [1, 5, 10], [1, 4, 10]])
POOL = Pool(tuple(Unit("a", i) for i in range(4)), {"a": 0}, COUNTS, COUNTS // 2, *BOXES)


def test_cost_counts_units_voxels_and_foreground() -> None:
    assert annotation_cost(POOL, [Unit("a", 3), Unit("a", 1)]) == AnnotationCost(2, 140, 35)
    assert annotation_cost(POOL, POOL.units) == AnnotationCost(4, 290, 45)
    assert annotation_cost(POOL, []) == AnnotationCost(0, 0, 0)


def test_cost_is_plain_integers() -> None:
    cost = annotation_cost(POOL, POOL.units)
    assert {type(cost.n_units), type(cost.n_voxels), type(cost.n_fg_voxels)} == {int}


def test_labelled_voxels_are_summed_per_label() -> None:
    found = labelled_voxels(POOL, [Unit("a", 1), Unit("a", 3)])
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, [100, 20, 15])
    np.testing.assert_array_equal(labelled_voxels(POOL, []), [0, 0, 0])


def test_units_from_elsewhere_are_an_input_error() -> None:
    for function in (annotation_cost, labelled_voxels):
        with pytest.raises(InputError, match="not in the pool"):
            function(POOL, [Unit("b", 0)])
