from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from albench import strategies
from albench.errors import InputError
from albench.pool import Unit
from albench.scoring.request import FisherEmbedding, Scores
from albench.strategies import PoolView, Selection, Strategy, get_strategy, register, strategy_names
from albench.strategies.base import top
from albench.strategies.entropy import Entropy
from albench.strategies.full import Full
from albench.strategies.mcd import McDropout
from albench.strategies.random import Random
from albench.strategies.usim import Usim, UsimC, UsimF, draw_query, knee

WEIGHTS = np.array([0.0, 0.7, 0.3])


def units(n: int) -> tuple[Unit, ...]:
    return tuple(Unit("case", i) for i in range(n))


def gradients_view(seed: int, n: int = 40, d: int = 6) -> PoolView:
    rng = np.random.default_rng(seed)
    scores = Scores(
        variance=rng.random((n, 3)) ** 3,
        fisher=FisherEmbedding(rng.normal(size=(n, d)).astype(np.float32), rng.uniform(0.01, 4, d)),
        bottleneck=(rng.normal(size=(n, d)) * rng.uniform(0.1, 10, (n, 1))).astype(np.float32),
    )
    return PoolView(units(n), scores, WEIGHTS)


# --- USIM


def test_knee_is_where_the_curve_bends() -> None:
    values = np.concatenate([np.linspace(10, 1, 50, endpoint=False), np.linspace(1, 0, 950)])
    shuffled = np.random.default_rng(0).permutation(values)
    # Kneedle: the point of the normalised curve farthest below its diagonal.
    x, y = np.linspace(0, 1, values.size), values / 10
    expected = int(np.argmax((1 - x) - y))
    assert expected == 50
    assert knee(shuffled) == expected


@pytest.mark.parametrize(
    "values", [np.ones(100), np.linspace(0, 1, 100), np.array([1.0, 0.0]), np.array([3.0]), np.empty(0)], ids=len
)
def test_without_a_bend_there_is_no_knee(values: np.ndarray) -> None:
    assert knee(values) is None


@pytest.mark.parametrize(
    ("n", "budget", "size"), [(200, 1, 5), (200, 7, 35), (200, 40, 200), (200, 100, 200), (3, 1, 3)]
)
def test_query_set_is_five_budgets_within_the_pool(n: int, budget: int, size: int) -> None:
    uncertainty = np.linspace(1, 2, n)  # no knee
    query = draw_query(uncertainty, budget, np.random.default_rng(0))
    assert query.weights.sum() == size
    assert (query.weights >= 1).all()
    assert (np.diff(query.indices) > 0).all()
    assert query.indices.dtype == np.int64
    assert query.weights.dtype == np.float64
    assert query.indices.min() >= 0
    assert query.indices.max() < n


def test_a_knee_beyond_five_budgets_makes_the_query_set_larger() -> None:
    uncertainty = np.concatenate([np.linspace(10, 1, 50, endpoint=False), np.linspace(1, 0, 950)])
    assert draw_query(uncertainty, 2, np.random.default_rng(0)).weights.sum() == 50
    assert draw_query(uncertainty, 30, np.random.default_rng(0)).weights.sum() == 150


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


def test_the_query_follows_its_generator() -> None:
    uncertainty = np.random.default_rng(5).random(60)
    first, again, other = (draw_query(uncertainty, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.indices, again.indices)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert first.indices.tolist() != other.indices.tolist()


def fisher_similarity(view: PoolView) -> np.ndarray:
    assert view.scores.fisher is not None
    g = view.scores.fisher.gradients.astype(np.float64)
    return np.array([[np.mean(a * b / view.scores.fisher.fisher) for b in g] for a in g])


def cosine_similarity(view: PoolView) -> np.ndarray:
    assert view.scores.bottleneck is not None
    g = view.scores.bottleneck.astype(np.float64)
    return np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in g] for a in g])


def objective(S: np.ndarray, weights: np.ndarray, eta: float, chosen: list[int]) -> float:
    """sum_q w_q max_a s(a, q) + eta sum_a max_q s(a, q), negative similarities counting as 0."""
    if not chosen:
        return 0.0
    positive = np.maximum(S, 0)[chosen]
    return float((weights * positive.max(axis=0)).sum() + eta * positive.max(axis=1).sum())


@pytest.mark.parametrize(("strategy", "similarity"), [(UsimF, fisher_similarity), (UsimC, cosine_similarity)])
@pytest.mark.parametrize(("seed", "budget", "eta"), [(0, 1, 1.0), (1, 4, 1.0), (2, 6, 0.0), (3, 5, 3.0), (4, 40, 1.0)])
def test_usim_is_greedy_on_the_objective(
    strategy: Callable[..., Usim], similarity: Callable[[PoolView], np.ndarray], seed: int, budget: int, eta: float
) -> None:
    view = gradients_view(seed)
    found = strategy(eta=eta).select(view, budget, np.random.default_rng(seed))
    assert view.scores.variance is not None
    uncertainty = view.scores.variance @ WEIGHTS
    # The query set, drawn as the text says.
    size = min(40, max(knee(uncertainty) or 0, 5 * budget))
    drawn = np.random.default_rng(seed).choice(40, size, p=uncertainty / uncertainty.sum())
    query, counts = np.unique(drawn, return_counts=True)
    S = similarity(view)[:, query]

    chosen: list[int] = []
    for step, index in enumerate(found.indices.tolist()):
        left = [i for i in range(40) if i not in chosen]
        before = objective(S, counts, eta, chosen)
        gains = [objective(S, counts, eta, [*chosen, i]) - before for i in left]
        best = max(gains)
        assert found.gains[step] == pytest.approx(best, rel=1e-4, abs=1e-5)
        assert gains[left.index(index)] == pytest.approx(best, rel=1e-4, abs=1e-5)
        chosen.append(index)
    assert len(set(chosen)) == budget
    np.testing.assert_allclose(found.scores, uncertainty[chosen])


def test_usim_f_and_usim_c_look_at_their_own_embedding() -> None:
    view = gradients_view(0)
    query = np.array([0, 3, 17])
    np.testing.assert_allclose(UsimF().similarity(view, query), fisher_similarity(view)[:, query], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(UsimC().similarity(view, query), cosine_similarity(view)[:, query], rtol=1e-4, atol=1e-5)


def test_the_size_of_a_gradient_does_not_matter_to_the_cosine() -> None:
    view = gradients_view(0)
    assert view.scores.bottleneck is not None
    factors = np.random.default_rng(1).uniform(0.1, 10, (40, 1)).astype(np.float32)
    scaled = PoolView(
        view.units, Scores(variance=view.scores.variance, bottleneck=view.scores.bottleneck * factors), WEIGHTS
    )
    first, second = (UsimC().select(v, 10, np.random.default_rng(0)) for v in (view, scaled))
    np.testing.assert_array_equal(first.indices, second.indices)


def test_units_without_any_gradient_are_chosen_last() -> None:
    view = gradients_view(0)
    assert view.scores.bottleneck is not None
    gradients = np.abs(view.scores.bottleneck)
    gradients[[0, 5]] = 0
    selection = UsimC().select(
        PoolView(view.units, Scores(variance=view.scores.variance, bottleneck=gradients), WEIGHTS),
        40,
        np.random.default_rng(0),
    )
    assert selection.indices[-2:].tolist() == [0, 5]
    np.testing.assert_allclose(selection.gains[-2:], 0, atol=1e-12)


# --- Scores in order


def test_entropy_takes_the_highest_first() -> None:
    entropy = np.array([0.3, 0.9, 0.1, 0.5])
    selection = Entropy().select(PoolView(units(4), Scores(entropy=entropy), WEIGHTS), 3, np.random.default_rng(0))
    assert selection.indices.tolist() == [1, 3, 0]
    assert selection.scores.tolist() == [0.9, 0.5, 0.3]
    assert np.isnan(selection.gains).all()


def test_mcd_takes_the_highest_class_weighted_variance_first() -> None:
    variance = np.array([[9.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 1.0, 1.0], [50.0, 0.0, 0.0]])
    selection = McDropout().select(PoolView(units(4), Scores(variance=variance), WEIGHTS), 4, np.random.default_rng(0))
    assert selection.indices.tolist() == [2, 0, 1, 3]
    np.testing.assert_allclose(selection.scores, [1.0, 0.7, 0.6, 0.0])


def test_ties_go_to_the_lowest_index() -> None:
    scores = np.array([1.0, 2.0, 1.0, 2.0, 0.0, 1.0] * 20)
    expected = sorted(range(scores.size), key=lambda i: (-scores[i], i))[:70]
    assert top(scores, 70).indices.tolist() == expected
    assert top(scores, 70).indices.dtype == np.int64


def test_random_is_uniform() -> None:
    view = PoolView(units(6), Scores(), WEIGHTS)
    rng = np.random.default_rng(0)
    chosen = np.stack([Random().select(view, 2, rng).indices for _ in range(3000)])
    found = np.bincount(chosen.ravel(), minlength=6) / 3000
    assert (np.abs(found - 1 / 3) <= 4 * np.sqrt(2 / 9 / 3000)).all()
    first = np.bincount(chosen[:, 0], minlength=6) / 3000
    assert (np.abs(first - 1 / 6) <= 4 * np.sqrt(5 / 36 / 3000)).all()


def test_full_takes_everything() -> None:
    selection = Full().select(PoolView(units(5), Scores(), WEIGHTS), 2, np.random.default_rng(0))
    assert selection.indices.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(selection.scores).all()


def test_uncertainty_has_to_be_asked_for() -> None:
    with pytest.raises(ValueError, match="variance was not asked for"):
        _ = PoolView(units(2), Scores(), WEIGHTS).uncertainty


# --- Registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Strategy]]:
    copy = dict(strategies._REGISTRY)
    monkeypatch.setattr(strategies, "_REGISTRY", copy)
    return copy


class Mine(Random):
    name = "mine"


def test_registered_strategies_are_found_by_name(registry: dict[str, type[Strategy]]) -> None:
    before = strategy_names()
    assert register(Mine) is Mine
    assert strategy_names() == [*before, "mine"]
    assert get_strategy("mine") is Mine
    assert register(Mine) is Mine  # again: nothing happens
    assert strategy_names() == [*before, "mine"]


def test_a_name_that_is_taken_is_refused(registry: dict[str, type[Strategy]]) -> None:
    class Other(Random):
        name = "usim-f"

    with pytest.raises(ValueError, match=r"strategy 'usim-f': the name is taken by albench\.strategies\.usim\.UsimF"):
        register(Other)
    assert get_strategy("usim-f") is UsimF


@pytest.mark.parametrize(("name", "hint"), [("entropi", "did you mean entropy?"), ("USIM-F", "did you mean usim-f")])
def test_an_unknown_name_lists_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        get_strategy(name)
    assert str(caught.value).startswith(f"unknown strategy '{name}'; {hint}")


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(InputError) as caught:
        get_strategy("zzzzzzzz")
    assert str(caught.value).endswith(f"known: {', '.join(sorted(strategy_names()))}")


def test_every_strategy_says_what_it_is() -> None:
    for name in strategy_names():
        strategy = get_strategy(name)
        assert strategy.name == name
        assert strategy.summary
        assert "\n" not in strategy.summary
        assert strategy.reference
        assert isinstance(strategy().select, Callable)  # type: ignore[arg-type]


def test_a_selection_without_scores_says_so() -> None:
    selection = Selection(indices=np.array([3, 1]))
    assert np.isnan(selection.scores).all()
    assert selection.scores.shape == selection.gains.shape == (2,)
