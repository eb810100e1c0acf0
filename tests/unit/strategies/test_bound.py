"""A bound on the units of one case, the same for every strategy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.errors import InputError
from albench.scoring.request import Features, FisherEmbedding, Need, Scores
from albench.strategies import Choice, Oracle, PoolView, Strategy, choose, make_strategy
from albench.units.pool import Unit

WEIGHTS = np.array([0.0, 1.0])


def view_of(sizes: list[int], scores: Scores, oracle: Oracle | None = None) -> PoolView:
    units = tuple(Unit(f"case{c}", i) for c, size in enumerate(sizes) for i in range(size))
    return PoolView(units, scores, WEIGHTS, oracle=oracle)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    bound=st.integers(1, 4),
    seed=st.integers(0, 50),
    data=st.data(),
)
def test_a_ranking_within_the_bound_is_the_best_one(
    sizes: list[int], bound: int, seed: int, data: st.DataObject
) -> None:
    """Brute force: walk down the ranking and pass over units of cases that are full."""
    values = np.random.default_rng(seed).random(sum(sizes))
    view = view_of(sizes, Scores(mutual_information=values))
    budget = data.draw(st.integers(1, sum(min(size, bound) for size in sizes)))
    expected: list[int] = []
    for i in np.argsort(-values):
        if sum(view.units[j].case == view.units[i].case for j in expected) < bound and len(expected) < budget:
            expected.append(int(i))
    found = choose(make_strategy("bald"), view, budget, np.random.default_rng(0), max_per_case=bound)
    assert found.indices.tolist() == expected
    np.testing.assert_array_equal(found.scores, values[expected])
    assert np.isnan(found.gains).all()


class Recorder(Strategy):
    """Takes the first units of the view and remembers what it was shown."""

    name = "recorder"
    summary = reference = ""
    needs = Need.NOTHING

    def __init__(self) -> None:
        self.views: list[tuple[PoolView, int]] = []

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        self.views.append((view, budget))
        return Choice(np.arange(budget), np.arange(budget) * 10.0, np.arange(budget) * 0.5)


def full_scores(n: int) -> Scores:
    rows = np.arange(n, dtype=np.float64)
    wide = np.stack([rows, rows + 0.5], axis=1)
    return Scores(
        entropy=rows,
        variance=wide,
        fisher=FisherEmbedding(wide.astype(np.float32), np.array([1.0, 2.0])),
        features=Features(wide.astype(np.float32), np.full((1, 2), -1, np.float32)),
    )


def test_what_is_asked_again_has_the_units_still_to_be_had_and_all_that_is_known_of_them() -> None:
    recorder = Recorder()
    counts = np.arange(14).reshape(7, 2)
    view = view_of([3, 3, 1], full_scores(7), Oracle(counts, counts + 1))
    found = choose(recorder, view, 4, np.random.default_rng(0), max_per_case=2)
    # first 0 to 3, of which 2 is one too many of case0; then one more from case1 and case2
    assert found.indices.tolist() == [0, 1, 3, 4]
    assert found.scores.tolist() == [0, 10, 30, 0]
    assert found.gains.tolist() == [0, 0.5, 1.5, 0]
    (first, first_budget), (second, second_budget) = recorder.views
    assert first is view
    assert (first_budget, second_budget) == (4, 1)
    rows = [4, 5, 6]
    assert second.units == tuple(view.units[i] for i in rows)
    assert second.class_weights is view.class_weights
    scores = second.scores
    assert scores.entropy is not None and scores.variance is not None and scores.last_layer is None
    assert scores.entropy.tolist() == rows
    np.testing.assert_array_equal(scores.variance[:, 0], rows)
    assert scores.fisher is not None and scores.features is not None and second.oracle is not None
    np.testing.assert_array_equal(scores.fisher.gradients[:, 0], rows)
    assert scores.fisher.fisher.tolist() == [1, 2]
    np.testing.assert_array_equal(scores.features.unlabelled[:, 0], rows)
    np.testing.assert_array_equal(scores.features.labelled[:, 0], [-1, 0, 1, 3])  # those chosen are annotated now
    np.testing.assert_array_equal(second.oracle.voxel_counts, counts[rows])
    np.testing.assert_array_equal(second.oracle.border_counts, counts[rows] + 1)


def test_a_bound_too_tight_for_the_budget_is_refused() -> None:
    view = view_of([4, 4, 1], full_scores(9))
    choose(Recorder(), view, 5, np.random.default_rng(0), max_per_case=2)
    with pytest.raises(InputError, match=r"max_per_case: .* have 6 units, got 2, which allows 5 in 3 cases"):
        choose(Recorder(), view, 6, np.random.default_rng(0), max_per_case=2)


def test_who_takes_the_whole_pool_is_not_bound() -> None:
    view = view_of([4, 4], full_scores(8))
    found = choose(make_strategy("full"), view, 8, np.random.default_rng(0), max_per_case=1)
    assert found.indices.tolist() == list(range(8))
