"""What every registered strategy has to keep to, whatever it prefers."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from albench.pool import Unit
from albench.scoring.request import Features, FisherEmbedding, Need, Scores, class_weights
from albench.strategies import PoolView, Selection, choose, get_strategy, strategy_names

N, N_PARAMETERS = 30, 8
COUNTS = np.array([9000, 700, 300])
# All others are expected to follow their generator.
DETERMINISTIC = {"entropy", "mcd", "full"}
WHOLE_POOL = {"full"}  # takes every unit, whatever the budget

every_strategy = pytest.mark.parametrize("name", strategy_names())


def synthetic(needs: Need, n: int = N, *, n_labels: int = 3, seed: int = 0, constant: bool = False) -> Scores:
    """Scores as the real ones are shaped, for whatever is in `needs`."""
    rng = np.random.default_rng(seed)

    def values(*shape: int) -> np.ndarray:
        return np.full(shape, 0.5) if constant else rng.uniform(0.01, 1, shape)

    def gradients() -> np.ndarray:
        return (np.ones((n, N_PARAMETERS)) if constant else rng.normal(size=(n, N_PARAMETERS))).astype(np.float32)

    made: dict[Need, tuple[str, Any]] = {
        Need.ENTROPY: ("entropy", values(n)),
        Need.VARIANCE: ("variance", values(n, n_labels)),
        Need.FISHER: ("fisher", FisherEmbedding(gradients(), values(N_PARAMETERS))),
        Need.BOTTLENECK: ("bottleneck", gradients()),
        Need.PREDICTIVE_ENTROPY: ("predictive_entropy", values(n)),
        Need.MUTUAL_INFORMATION: ("mutual_information", values(n)),
        Need.CLASS_ENTROPY: ("class_entropy", values(n, n_labels)),
        Need.LAST_LAYER: ("last_layer", gradients()),
        Need.FEATURES: ("features", Features(gradients(), gradients()[: n // 2])),
    }
    assert set(made) == set(Need), "a need without synthetic scores: add them here"
    return Scores(**dict(made[need] for need in Need if need in needs))


def view_of(name: str, n: int = N, counts: np.ndarray = COUNTS, **how: Any) -> PoolView:
    scores = synthetic(get_strategy(name).needs, n, n_labels=counts.size, **how)
    return PoolView(tuple(Unit("case", i) for i in range(n)), scores, class_weights(counts))


def select(name: str, view: PoolView, budget: int, seed: int = 0) -> Selection:
    return choose(get_strategy(name)(), view, budget, np.random.default_rng(seed))


def assert_valid(name: str, selection: Selection, view: PoolView, budget: int) -> None:
    n = len(view.units)
    expected = n if name in WHOLE_POOL else budget
    assert selection.indices.dtype == np.int64
    assert selection.indices.shape == (expected,)
    assert np.unique(selection.indices).size == expected
    assert selection.indices.min() >= 0
    assert selection.indices.max() < n
    assert selection.scores.shape == selection.gains.shape == (expected,)


def reordered(view: PoolView, order: np.ndarray) -> PoolView:
    """The same units with the same scores in another order."""
    changed: dict[str, Any] = {}
    for field in fields(Scores):
        value = getattr(view.scores, field.name)
        if isinstance(value, FisherEmbedding):
            changed[field.name] = FisherEmbedding(value.gradients[order], value.fisher)
        elif isinstance(value, Features):
            changed[field.name] = Features(value.unlabelled[order], value.labelled)
        elif value is not None:
            changed[field.name] = value[order]
    return PoolView(tuple(view.units[i] for i in order), Scores(**changed), view.class_weights)


@every_strategy
@pytest.mark.parametrize("budget", [1, 2, 7, N - 1, N])
def test_as_many_different_units_as_the_budget(name: str, budget: int) -> None:
    view = view_of(name)
    assert_valid(name, select(name, view, budget), view, budget)


@every_strategy
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_pools(name: str, n: int) -> None:
    view = view_of(name, n)
    assert_valid(name, select(name, view, n), view, n)


@every_strategy
@pytest.mark.parametrize("budget", [0, -1, N + 1, 10**9])
def test_a_budget_beyond_the_pool_is_refused(name: str, budget: int) -> None:
    with pytest.raises(ValueError, match=f"`budget`: expected an integer in 1..{N}, got {budget}$"):
        select(name, view_of(name), budget)


@every_strategy
def test_a_budget_that_is_no_number_of_units_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`budget`: expected an integer"):
        select(name, view_of(name), 2.5)  # type: ignore[arg-type]


@every_strategy
def test_same_seed_same_answer(name: str) -> None:
    first, again = (select(name, view_of(name), 6, seed=3) for _ in range(2))
    for field in fields(Selection):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))


@every_strategy
def test_the_global_generator_plays_no_part(name: str) -> None:
    np.random.seed(0)  # noqa: NPY002
    first = select(name, view_of(name), 6)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(select(name, view_of(name), 6).indices, first.indices)


@every_strategy
def test_other_seed_other_answer_where_random(name: str) -> None:
    view = view_of(name)
    answers = {tuple(select(name, view, 4, seed=seed).indices.tolist()) for seed in range(8)}
    assert (len(answers) == 1) == (name in DETERMINISTIC)


@every_strategy
def test_the_view_is_left_as_it_was(name: str) -> None:
    view, untouched = view_of(name), view_of(name)
    select(name, view, 6)
    for field in fields(Scores):
        found, expected = getattr(view.scores, field.name), getattr(untouched.scores, field.name)
        if isinstance(expected, FisherEmbedding):
            np.testing.assert_array_equal(found.gradients, expected.gradients)
            np.testing.assert_array_equal(found.fisher, expected.fisher)
        elif isinstance(expected, Features):
            np.testing.assert_array_equal(found.unlabelled, expected.unlabelled)
            np.testing.assert_array_equal(found.labelled, expected.labelled)
        elif expected is not None:
            np.testing.assert_array_equal(found, expected)


@every_strategy
@pytest.mark.parametrize("budget", [1, 6, N])
def test_constant_scores(name: str, budget: int) -> None:
    view = view_of(name, constant=True)
    assert_valid(name, select(name, view, budget), view, budget)


@every_strategy
def test_scores_that_are_all_zero(name: str) -> None:
    view = view_of(name)
    zero: dict[str, Any] = {}
    for field in fields(Scores):
        value = getattr(view.scores, field.name)
        if isinstance(value, FisherEmbedding):
            zero[field.name] = FisherEmbedding(np.zeros_like(value.gradients), value.fisher)
        elif isinstance(value, Features):
            zero[field.name] = Features(np.zeros_like(value.unlabelled), np.zeros_like(value.labelled))
        elif value is not None:
            zero[field.name] = np.zeros_like(value)
    view = replace(view, scores=Scores(**zero))
    assert_valid(name, select(name, view, 6), view, 6)


@every_strategy
@pytest.mark.parametrize("counts", [[9000, 700, 0], [9000, 0, 0], [0, 0, 5], [9000, 700]], ids=str)
def test_classes_never_seen(name: str, counts: list[int]) -> None:
    view = view_of(name, counts=np.array(counts))
    assert np.isfinite(view.class_weights).all()
    selection = select(name, view, 6)
    assert_valid(name, selection, view, 6)
    if Need.VARIANCE in get_strategy(name).needs:
        assert np.isfinite(selection.scores).all()


def broken_scores() -> list[tuple[str, str, str, float]]:
    """(strategy, quantity, part of it, value) for each quantity that each strategy reads."""
    parts = {"fisher": ("gradients", "fisher"), "features": ("unlabelled", "labelled")}
    return [
        (name, field.name, part, value)
        for name in strategy_names()
        for field in fields(Scores)
        if Need[field.name.upper()] in get_strategy(name).needs
        for part in parts.get(field.name, ("",))
        for value in (np.nan, np.inf)
    ]


@pytest.mark.parametrize(("name", "quantity", "part", "value"), broken_scores())
def test_scores_that_are_not_finite_are_refused(name: str, quantity: str, part: str, value: float) -> None:
    view = view_of(name)
    array = getattr(view.scores, quantity)
    array = getattr(array, part) if part else array
    array.flat[array.size // 2] = value
    with pytest.raises(ValueError, match=f"^{quantity}: expected finite values, got 1 of {array.size} that are not"):
        select(name, view, 3)


@every_strategy
@pytest.mark.parametrize("seed", range(3))
def test_permuting_the_pool_permutes_the_answer(name: str, seed: int) -> None:
    view = view_of(name)
    order = np.random.default_rng(seed).permutation(N)
    shuffled = reordered(view, order)
    selection, again = select(name, view, 6), select(name, shuffled, 6)
    assert_valid(name, again, shuffled, 6)
    if name in WHOLE_POOL:
        assert {view.units[i] for i in selection.indices} == {shuffled.units[i] for i in again.indices}
    elif name in DETERMINISTIC:
        assert [view.units[i] for i in selection.indices] == [shuffled.units[i] for i in again.indices]


@every_strategy
def test_only_what_is_needed_is_read(name: str) -> None:
    strategy = get_strategy(name)
    everything = ~Need.NOTHING
    rich = replace(view_of(name), scores=synthetic(everything))
    lean = replace(
        rich,
        scores=Scores(
            **{f.name: getattr(rich.scores, f.name) for f in fields(Scores) if Need[f.name.upper()] in strategy.needs}
        ),
    )
    np.testing.assert_array_equal(select(name, rich, 6).indices, select(name, lean, 6).indices)
