from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albench.strategies.query import draw_query, expected_query, knee, query_size

BENT = np.concatenate([np.linspace(10, 1, 50, endpoint=False), np.linspace(1, 0, 950)])


def test_knee_is_where_the_curve_bends() -> None:
    shuffled = np.random.default_rng(0).permutation(BENT)
    # Kneedle: the point of the normalised curve farthest below its diagonal.
    x, y = np.linspace(0, 1, BENT.size), BENT / 10
    expected = int(np.argmax((1 - x) - y))
    assert expected == 50
    assert knee(shuffled) == expected


@pytest.mark.parametrize(
    "values", [np.ones(100), np.linspace(0, 1, 100), np.array([1.0, 0.0]), np.array([3.0]), np.empty(0)], ids=len
)
def test_without_a_bend_there_is_no_knee(values: np.ndarray) -> None:
    assert knee(values) is None


@pytest.mark.parametrize(
    ("values", "position"),
    [
        (0.8 ** np.arange(60), 12),
        (1 / (1.0 + np.arange(200)), 13),
        (-np.log(np.linspace(0.001, 1, 150)), 21),
        (np.repeat([9.0, 4.0, 1.0, 0.5, 0.25, 0.0], [3, 2, 30, 20, 40, 25]), 5),
        (np.concatenate([np.linspace(10, 6, 20), np.linspace(5.9, 5.5, 60), np.linspace(1, 0.9, 80)]), 20),
        (np.concatenate([np.full(5, 8.0), np.full(3, 2.0), np.linspace(1.9, 0, 400)]), 8),
        (np.concatenate([np.full(12, 3.0), np.zeros(90)]), 0),
        (np.sqrt(np.arange(80.0)), 0),
        (np.array([5.0, 1.0, 0.0]), None),
    ],
)
def test_knees_are_those_of_kneed_0_9_0(values: np.ndarray, position: int | None) -> None:
    assert knee(values) == position


@pytest.mark.parametrize(
    ("n", "budget", "size"), [(200, 1, 5), (200, 7, 35), (200, 40, 200), (200, 100, 200), (3, 1, 3)]
)
def test_query_set_is_five_budgets_within_the_pool(n: int, budget: int, size: int) -> None:
    uncertainty = np.linspace(1, 2, n)  # no knee
    query = draw_query(uncertainty, budget, np.random.default_rng(0))
    assert query.weights.sum() == size == query_size(uncertainty, budget)
    assert (query.weights >= 1).all()
    assert (np.diff(query.indices) > 0).all()
    assert query.indices.dtype == np.int64
    assert query.weights.dtype == np.float64
    assert query.indices.min() >= 0
    assert query.indices.max() < n


def test_a_knee_beyond_five_budgets_makes_the_query_set_larger() -> None:
    assert draw_query(BENT, 2, np.random.default_rng(0)).weights.sum() == 50
    assert draw_query(BENT, 30, np.random.default_rng(0)).weights.sum() == 150


def test_query_units_are_drawn_with_replacement_by_uncertainty() -> None:
    uncertainty = np.array([0.0, 1.0, 2.0, 5.0])
    rng = np.random.default_rng(0)
    total, repeats = np.zeros(4), 0
    for _ in range(1500):
        query = draw_query(uncertainty, 1, rng)
        total[query.indices] += query.weights
        repeats += query.weights.max() > 1
    n_draws = 1500 * 4
    assert total.sum() == n_draws
    expected = uncertainty / 8
    assert (np.abs(total / n_draws - expected) <= 4 * np.sqrt(expected * (1 - expected) / n_draws)).all()
    assert repeats > 1000


def test_without_uncertainty_the_query_is_uniform() -> None:
    rng = np.random.default_rng(0)
    total = np.zeros(5)
    for _ in range(500):
        query = draw_query(np.zeros(5), 1, rng)
        total[query.indices] += query.weights
    assert total.sum() == 2500
    assert (np.abs(total - 500) < 80).all()  # 4 standard deviations
    np.testing.assert_array_equal(expected_query(np.zeros(5), 1).weights, np.ones(5))


def test_the_query_follows_its_generator() -> None:
    uncertainty = np.random.default_rng(5).random(60)
    first, again, other = (draw_query(uncertainty, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.indices, again.indices)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert first.indices.tolist() != other.indices.tolist()


def test_expected_weights_are_the_mean_of_many_draws() -> None:
    uncertainty = np.random.default_rng(0).random(12) ** 3
    uncertainty[4] = 0
    expected = expected_query(uncertainty, 2)
    assert expected.indices.tolist() == [i for i in range(12) if i != 4]
    np.testing.assert_allclose(expected.weights, 10 * uncertainty[expected.indices] / uncertainty.sum())
    rng, n_draws = np.random.default_rng(1), 3000
    total = np.zeros(12)
    for _ in range(n_draws):
        drawn = draw_query(uncertainty, 2, rng)
        total[drawn.indices] += drawn.weights
    p = uncertainty / uncertainty.sum()
    assert (np.abs(total / n_draws - 10 * p) <= 4 * np.sqrt(10 * p * (1 - p) / n_draws)).all()


@settings(deadline=None, max_examples=60)
@given(
    uncertainty=hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 10, allow_subnormal=False)),
    budget=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_drawn_and_expected_query_have_the_size_that_is_said(uncertainty: np.ndarray, budget: int, seed: int) -> None:
    size = query_size(uncertainty, budget)
    assert min(uncertainty.size, 5 * budget) <= size <= uncertainty.size
    drawn, expected = draw_query(uncertainty, budget, np.random.default_rng(seed)), expected_query(uncertainty, budget)
    assert drawn.weights.sum() == size
    assert expected.weights.sum() == pytest.approx(size)
    if uncertainty.any():
        assert (uncertainty[drawn.indices] > 0).all()
        assert (uncertainty[expected.indices] > 0).all()
