"""`albench.select` is `choose` on a view of the same numbers, for every strategy that can work from arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import albench
from albench.errors import InputError
from albench.scoring.request import Features, FisherEmbedding, Need, Scores
from albench.strategies import PoolView, choose, make_strategy
from albench.units.pool import Unit
from tests.contract.test_strategies_contract import DETERMINISTIC, LABELS, ours

N, D, C = 30, 8, 3
REFUSED = {label for label in LABELS if make_strategy(label).oracle_aided or make_strategy(label).whole_pool}
USABLE = [label for label in LABELS if label not in REFUSED]
WEIGHTS = np.array([0.0, 0.7, 0.3])
GROUPS = np.repeat(np.arange(5), 6)

usable = pytest.mark.parametrize("label", USABLE)


def known(seed: int = 0, n: int = N) -> dict[str, Any]:
    """Everything that `select` takes, for any strategy."""
    rng = np.random.default_rng(seed)
    return {
        "features": rng.normal(size=(n, D)).astype(np.float32),
        "gradients": rng.normal(size=(n, D + 2)).astype(np.float32),
        "fisher": rng.uniform(0.1, 2, D + 2),
        "class_weights": WEIGHTS,
        "groups": np.repeat(np.arange(-(-n // 6)), 6)[:n],
        "scores": Scores(
            entropy=rng.random(n),
            variance=rng.random((n, C)),
            predictive_entropy=rng.random(n),
            mutual_information=rng.random(n),
            class_entropy=rng.random((n, C)),
            expected_entropy=rng.random(n),
            expected_dice=rng.random(n),
        ),
    }


def view_of(label: str, given: dict[str, Any], rows: np.ndarray, labelled: np.ndarray) -> PoolView:
    """The view as the harness would fill it, written out anew."""
    strategy = make_strategy(label)
    features, gradients = given["features"], given["gradients"]
    fisher = np.ones(D + 2) if strategy.gradients.fisher == "none" else given["fisher"]
    full = {
        Need.FISHER: FisherEmbedding(gradients[rows], fisher),
        Need.BOTTLENECK: features[rows],
        Need.STAGE_FEATURES: features[rows],
        Need.LAST_LAYER: gradients[rows],
        Need.FEATURES: Features(features[rows], features[labelled]),
    }
    values = {}
    for need in strategy.needs:
        name = str(need.name).lower()
        values[name] = full[need] if need in full else getattr(given["scores"], name)[rows]
    groups = given["groups"]
    units = [Unit(f"case{group:03d}", int((groups[:row] == group).sum())) for row, group in enumerate(groups)]
    return PoolView(
        tuple(units[row] for row in rows),
        Scores(**values),
        WEIGHTS,
        n_queries=1 if strategy.scheduled else None,
        annotated=tuple(units[row] for row in labelled),
    )


@usable
@pytest.mark.parametrize("bound", [None, 2])
@pytest.mark.parametrize("restricted", [False, True])
def test_it_is_what_choose_gives_for_the_same_view(label: str, bound: int | None, restricted: bool) -> None:
    given_, labelled = known(), np.array([], dtype=np.int64)
    rows, options = np.arange(N), {}
    if restricted:
        labelled = np.array([3, 8, 9])
        rows = np.setdiff1d(np.arange(2, 29), labelled)
        options = {"labelled": [9, 3, 8], "candidates": np.arange(28, 1, -1)}
    view = view_of(label, given_, rows, labelled)
    expected = choose(make_strategy(label), view, 7, np.random.default_rng(5), max_per_case=bound)
    found = albench.select(budget=7, strategy=label, max_per_group=bound, random_state=5, **options, **given_)
    np.testing.assert_array_equal(found.indices, rows[expected.indices])
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.gains, expected.gains)
    assert found.indices.dtype == np.int64
    assert found.scores.dtype == found.gains.dtype == np.float64


@usable
def test_the_seed_decides_and_nothing_else(label: str) -> None:
    np.random.seed(1)  # noqa: NPY002 - the global generator must play no part
    first = albench.select(budget=6, strategy=label, random_state=3, **known())
    np.random.seed(2)  # noqa: NPY002
    assert (
        albench.select(budget=6, strategy=label, random_state=3, **known()).indices.tolist() == first.indices.tolist()
    )
    generator = np.random.default_rng(3)
    again = albench.select(budget=6, strategy=make_strategy(label), random_state=generator, **known())
    assert again.indices.tolist() == first.indices.tolist()
    draws = {tuple(albench.select(budget=6, strategy=label, random_state=s, **known()).indices) for s in range(8)}
    if ours(label):
        assert (len(draws) == 1) == (label in DETERMINISTIC)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), label=st.sampled_from(USABLE), seed=st.integers(0, 2**32))
def test_candidates_labelled_and_groups_bind(data: st.DataObject, label: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labelled, candidates = rng.random(N) < data.draw(st.floats(0, 0.9)), rng.random(N) < 0.8
    free = candidates & ~labelled
    bound = data.draw(st.integers(1, 4))
    room = int(sum(min(bound, count) for count in np.bincount(GROUPS[free])))
    arguments = known(seed % 1000) | {"groups": GROUPS, "strategy": label, "random_state": seed, "max_per_group": bound}
    if room == 0:
        with pytest.raises(InputError, match="`candidates`: expected at least one unit that is not labelled"):
            albench.select(budget=1, labelled=labelled, candidates=candidates, **arguments)
        return
    budget = data.draw(st.integers(1, room))
    found = albench.select(budget=budget, labelled=labelled, candidates=candidates, **arguments)
    assert len(set(found.indices.tolist())) == budget
    assert free[found.indices].all()
    assert np.bincount(GROUPS[found.indices]).max() <= bound
    # By indices in any order or by masks, and whatever is known of units that are out of the question.
    by_indices = albench.select(
        budget=budget,
        labelled=rng.permutation(np.flatnonzero(labelled)),
        candidates=rng.permutation(np.flatnonzero(free)),
        **arguments,
    )
    np.testing.assert_array_equal(found.indices, by_indices.indices)
    out = ~free & ~labelled
    for name in ("features", "gradients"):
        arguments[name][out] = np.nan
    for values in vars(arguments["scores"]).values():
        if values is not None:
            values[~free] = np.nan
    blind = albench.select(budget=budget, labelled=labelled, candidates=candidates, **arguments)
    np.testing.assert_array_equal(found.indices, blind.indices)
    if free.sum() > room:
        with pytest.raises(InputError, match="`max_per_group`: expected a bound that lets"):
            albench.select(budget=room + 1, labelled=labelled, candidates=candidates, **arguments)


@pytest.mark.parametrize("label", sorted(REFUSED))
def test_those_that_cannot_work_from_arrays_say_why(label: str) -> None:
    with pytest.raises(InputError, match=r"reads ground truth|takes every unit"):
        albench.select(budget=6, strategy=label, **known())


GIVEN_BY = {"uncertainty", "scores", "gradients", "fisher", "features", "groups"}


@usable
def test_what_is_missing_is_named_until_nothing_is(label: str) -> None:
    """From the error alone one finds the arguments, and no more than needed."""
    everything = known()
    given_: dict[str, Any] = {"candidates": np.ones(N, dtype=bool)}
    for _ in range(6):
        try:
            albench.select(budget=4, strategy=label, **given_)
            break
        except InputError as error:
            named = {name for name in GIVEN_BY - set(given_) if name in str(error).replace(f"'{label}'", "")}
            assert named, error
            given_ |= {
                name: everything["scores"].variance if name == "uncertainty" else everything[name] for name in named
            }
    else:
        raise AssertionError(f"{label}: more is missing after {sorted(given_)}")
    if ours(label):
        assert ("groups" in given_) == make_strategy(label).looks_at_cases
