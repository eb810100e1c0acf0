"""What every strategy has to keep to, whatever it prefers: ours, some with parameters, and those of installed plug-ins.

Of a deterministic strategy the answer to a permuted pool is the permuted answer, up to ties. A random one has to draw
every unit as often, whatever the order of the pool.
"""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from albench.scoring.request import Features, FisherEmbedding, Need, Scores, class_weights
from albench.strategies import (
    Choice,
    Oracle,
    PoolView,
    Strategy,
    choose,
    get_strategy,
    label_of,
    make_strategy,
    settings_of,
    strategy_names,
)
from albench.strategies.describe import describe
from albench.strategies.parameters import parameters_of, text_of
from albench.units.pool import Unit

N, N_PARAMETERS = 30, 8
COUNTS = np.array([9000, 700, 300])
WITH_PARAMETERS = [
    "usim-f+query=expected",
    "usim-f+optimizer=stochastic",
    "usim-f+optimizer=lazier",
    "usim-f+eta=0+layers=all",
    "usim-c+eta=2+query=expected",
    "usim-c+layer=last",
    "usim-x+query=sampled+condition=false",
    "usim-x+strata=none+beta=0.5",
    "flvmi+eta=0.5",
    "gcmi+query=expected",
    "com+eta=0+query=expected",
    "power-bald+beta=10",
    "power-pe+beta=0.5",
    "claspe+beta_end=10",
    "claspe+schedule=smooth-sigmoid+percent=33",
    "claspe+schedule=sharp-sigmoid+variant=published",
    "class-power-pe66+beta=5",
    "mcd+weights=none",
    "stb+uncertainty=variance",
    "stb+uncertainty=weighted-variance",
    "random+per=case",
    "kmeans-bald+per_case=0",
    "kmeans-bald+per_case=3",
    "random-fg66+per=pool",
    "random-fg33+per=pool",
]
LABELS = [*strategy_names(), *WITH_PARAMETERS]
# All others of ours are expected to follow their generator.
DETERMINISTIC = {
    "entropy",
    "predictive-entropy",
    "exp-entropy",
    "expected-dice",
    "kmeans-bald",
    "kmeans-bald+per_case=0",
    "kmeans-bald+per_case=3",
    "bald",
    "mcd",
    "mcd+weights=none",
    "coreset",
    "full",
    "usim-f+query=expected",
    "usim-c+eta=2+query=expected",
    "usim-x",
    "usim-x+strata=none+beta=0.5",
    "gcmi+query=expected",
    "com+eta=0+query=expected",
}

every_strategy = pytest.mark.parametrize("label", LABELS)


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
        Need.EXPECTED_ENTROPY: ("expected_entropy", values(n)),
        Need.EXPECTED_DICE: ("expected_dice", values(n)),
        Need.STAGE_FEATURES: ("stage_features", gradients()),
        Need.LAST_LAYER: ("last_layer", gradients()),
        Need.FEATURES: ("features", Features(gradients(), gradients()[: n // 2])),
    }
    assert set(made) == set(Need), "a need without synthetic scores: add them here"
    return Scores(**dict(made[need] for need in Need if need in needs))


def view_of(label: str, n: int = N, counts: np.ndarray = COUNTS, *, seed: int = 0, constant: bool = False) -> PoolView:
    """A view of `n` units as the strategy gets it in the first of four queries."""
    strategy = make_strategy(label)
    rng = np.random.default_rng(seed + 100)
    voxels = np.full((n, counts.size), 9) if constant else rng.integers(0, 50, (n, counts.size))
    return PoolView(
        tuple(Unit("case", i) for i in range(n)),
        synthetic(strategy.needs, n, n_labels=counts.size, seed=seed, constant=constant),
        class_weights(counts),
        query_number=0,
        n_queries=4 if strategy.scheduled else None,
        annotated=(Unit("another", 0),),
        oracle=Oracle(voxels, voxels // 3) if strategy.oracle_aided else None,
    )


def select(label: str, view: PoolView, budget: int, seed: int = 0) -> Choice:
    return choose(make_strategy(label), view, budget, np.random.default_rng(seed))


def assert_valid(label: str, selection: Choice, view: PoolView, budget: int) -> None:
    n = len(view.units)
    expected = n if make_strategy(label).whole_pool else budget
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
    known = view.oracle
    return replace(
        view,
        units=tuple(view.units[i] for i in order),
        scores=Scores(**changed),
        oracle=known and Oracle(known.voxel_counts[order], known.border_counts[order]),
    )


def ours(label: str) -> bool:
    return type(make_strategy(label)).__module__.startswith("albench.")


@every_strategy
@pytest.mark.parametrize("budget", [1, 2, 7, N - 1, N])
def test_as_many_different_units_as_the_budget(label: str, budget: int) -> None:
    view = view_of(label)
    assert_valid(label, select(label, view, budget), view, budget)


@every_strategy
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_pools(label: str, n: int) -> None:
    view = view_of(label, n)
    assert_valid(label, select(label, view, n), view, n)


@every_strategy
@pytest.mark.parametrize(("budget", "bound"), [(7, 2), (9, 3), (10, 2), (1, 1), (5, 1), (N, N)])
def test_no_case_gives_more_than_the_bound(label: str, budget: int, bound: int) -> None:
    """30 units of 5 cases; 10 units with a bound of 2 are all that there is room for."""
    strategy = make_strategy(label)
    view = replace(view_of(label), units=tuple(Unit(f"case{i // 6}", i % 6) for i in range(N)))
    found = choose(strategy, view, budget, np.random.default_rng(0), max_per_case=bound)
    assert_valid(label, found, view, budget)
    if not strategy.whole_pool:
        assert max(Counter(view.units[i].case for i in found.indices).values()) <= bound


@every_strategy
def test_a_bound_that_does_not_bind_changes_nothing(label: str) -> None:
    view = view_of(label)
    free, bound = (choose(make_strategy(label), view, 6, np.random.default_rng(1), max_per_case=n) for n in (None, N))
    np.testing.assert_array_equal(free.indices, bound.indices)
    np.testing.assert_array_equal(free.scores, bound.scores)


@every_strategy
@pytest.mark.parametrize("budget", [0, -1, N + 1, 10**9])
def test_a_budget_beyond_the_pool_is_refused(label: str, budget: int) -> None:
    with pytest.raises(ValueError, match=f"`budget`: expected an integer in 1..{N}, got {budget}$"):
        select(label, view_of(label), budget)


@every_strategy
def test_a_budget_that_is_no_number_of_units_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="`budget`: expected an integer"):
        select(label, view_of(label), 2.5)  # type: ignore[arg-type]


@every_strategy
def test_same_seed_same_answer(label: str) -> None:
    first, again = (select(label, view_of(label), 6, seed=3) for _ in range(2))
    for field in fields(Choice):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))


@every_strategy
def test_the_global_generator_plays_no_part(label: str) -> None:
    np.random.seed(0)  # noqa: NPY002
    first = select(label, view_of(label), 6)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(select(label, view_of(label), 6).indices, first.indices)


@every_strategy
def test_other_seed_other_answer_where_random(label: str) -> None:
    view = view_of(label)
    answers = {tuple(select(label, view, 5, seed=seed).indices.tolist()) for seed in range(12)}
    assert not ours(label) or (len(answers) == 1) == (label in DETERMINISTIC)


@every_strategy
def test_the_view_is_left_as_it_was(label: str) -> None:
    view, untouched = view_of(label), view_of(label)
    select(label, view, 6)
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
def test_constant_scores(label: str, budget: int) -> None:
    view = view_of(label, constant=True)
    assert_valid(label, select(label, view, budget), view, budget)


@every_strategy
def test_scores_that_are_all_zero(label: str) -> None:
    view = view_of(label)
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
    assert_valid(label, select(label, view, 6), view, 6)


@every_strategy
@pytest.mark.parametrize("counts", [[9000, 700, 0], [9000, 0, 0], [0, 0, 5], [9000, 700]], ids=str)
def test_classes_never_seen(label: str, counts: list[int]) -> None:
    view = view_of(label, counts=np.array(counts))
    assert np.isfinite(view.class_weights).all()
    selection = select(label, view, 6)
    assert_valid(label, selection, view, 6)
    if Need.VARIANCE in make_strategy(label).needs:
        assert np.isfinite(selection.scores).all()


def broken_scores() -> list[tuple[str, str, str, float]]:
    """(strategy, quantity, part of it, value) for each quantity that each strategy reads."""
    parts = {"fisher": ("gradients", "fisher"), "features": ("unlabelled", "labelled")}
    return [
        (label, field.name, part, value)
        for label in LABELS
        for field in fields(Scores)
        if Need[field.name.upper()] in make_strategy(label).needs
        for part in parts.get(field.name, ("",))
        for value in (np.nan, np.inf)
    ]


@pytest.mark.parametrize(("label", "quantity", "part", "value"), broken_scores())
def test_scores_that_are_not_finite_are_refused(label: str, quantity: str, part: str, value: float) -> None:
    view = view_of(label)
    array = getattr(view.scores, quantity)
    array = getattr(array, part) if part else array
    array.flat[array.size // 2] = value
    with pytest.raises(ValueError, match=f"^{quantity}: expected finite values, got 1 of {array.size} that are not"):
        select(label, view, 3)


@pytest.mark.parametrize("label", [label for label in LABELS if label in DETERMINISTIC])
@pytest.mark.parametrize("seed", range(3))
def test_permuting_the_pool_permutes_the_answer(label: str, seed: int) -> None:
    view = view_of(label, seed=seed)
    shuffled = reordered(view, np.random.default_rng(seed).permutation(N))
    selection, again = select(label, view, 6), select(label, shuffled, 6)
    found, expected = ([v.units[i] for i in s.indices] for v, s in ((shuffled, again), (view, selection)))
    if make_strategy(label).whole_pool:
        found, expected = sorted(found), sorted(expected)
    assert found == expected


@pytest.mark.parametrize("label", [label for label in LABELS if label not in DETERMINISTIC])
def test_permuting_the_pool_leaves_the_chances_of_each_unit(label: str) -> None:
    # Few units: what is left once a measure is saturated ties, and ties go by index.
    view, budget, n_draws = view_of(label), 3, 120
    order = np.random.default_rng(1).permutation(N)
    shuffled = reordered(view, order)
    counts = np.zeros((2, N))
    for seed in range(n_draws):
        counts[0, select(label, view, budget, seed=seed).indices] += 1
        counts[1, order[select(label, shuffled, budget, seed=n_draws + seed).indices]] += 1
    share = counts.mean(axis=0) / n_draws
    spread = np.sqrt(2 * n_draws * share * (1 - share))
    assert (np.abs(counts[0] - counts[1]) <= 4 * spread + 2).all()


@every_strategy
def test_only_what_is_needed_is_read(label: str) -> None:
    strategy, lean = make_strategy(label), view_of(label)
    truth = np.random.default_rng(5).integers(0, 9, (N, COUNTS.size))
    everything = synthetic(~Need.NOTHING, seed=1)
    asked = {f.name: getattr(lean.scores, f.name) for f in fields(Scores) if Need[f.name.upper()] in strategy.needs}
    rich = replace(lean, scores=replace(everything, **asked), oracle=lean.oracle or Oracle(truth, truth))
    np.testing.assert_array_equal(select(label, rich, 6).indices, select(label, lean, 6).indices)


# --- What is told of it


@every_strategy
def test_a_strategy_says_in_a_line_what_it_prefers_and_where_it_is_from(label: str) -> None:
    strategy = type(make_strategy(label))
    assert strategy.name == label.partition("+")[0]
    assert get_strategy(strategy.name) is strategy
    for text in (strategy.summary, strategy.reference):
        assert text.strip() == text != ""
        assert len(text.splitlines()) == 1
    assert describe(strategy).description


@every_strategy
def test_every_parameter_is_documented_and_kept(label: str) -> None:
    made = make_strategy(label)
    strategy: type[Strategy] = type(made)
    arguments = [parameter.name for parameter in parameters_of(strategy)]
    declared = {name for owner in strategy.__mro__ for name in inspect.signature(owner.__init__).parameters}
    assert set(arguments) <= declared
    documented = describe(strategy).parameters
    assert [parameter.name for parameter in documented] == arguments == list(settings_of(made))
    for parameter in documented:
        assert parameter.description, f"{strategy.name}: {parameter.name} is not in the docstring's Parameters"


@every_strategy
def test_a_label_makes_the_strategy_it_names(label: str) -> None:
    assert label_of(make_strategy(label)) == label
    strategy = type(make_strategy(label))
    for parameter in parameters_of(strategy):
        for value in parameter.choices or (text_of(parameter.default),):
            made = make_strategy(f"{strategy.name}+{parameter.name}={value}")
            expected = (
                strategy.name if value == text_of(parameter.default) else f"{strategy.name}+{parameter.name}={value}"
            )
            assert label_of(made) == expected
