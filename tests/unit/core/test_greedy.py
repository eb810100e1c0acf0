"""Greedy on the variant mutual information: brute force, submodlib, lazy against naive."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import albench_core as core


def flvmi(S, subset, weights=None, eta=1.0):
    S = np.maximum(np.asarray(S, np.float64), 0)[list(subset)]
    w = np.ones(S.shape[1]) if weights is None else weights
    return float((w * S.max(0)).sum() + eta * S.max(1).sum())


def random_instance(seed, n=None, q=None):
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(2, 80))
    q = q or int(rng.integers(1, 200))
    return (
        rng.uniform(-0.5, 1, size=(n, q)).astype(np.float32),
        rng.uniform(0, 3, q),
        float(rng.uniform(0, 2)),
    )


def plain_greedy(S, budget, weights, eta):
    chosen = []
    for _ in range(budget):
        values = [-1.0 if i in chosen else flvmi(S, [*chosen, i], weights, eta) for i in range(len(S))]
        chosen.append(int(np.argmax(values)))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_gains_and_value_follow_the_definition(seed):
    S, w, eta = random_instance(seed)
    f = core.FacilityLocationVariantMI(S, weights=w, eta=eta)
    r = core.maximize(f, min(10, len(S)), optimizer="naive")
    values = [0.0] + [flvmi(S, r.indices[: k + 1], w, eta) for k in range(len(r.indices))]
    np.testing.assert_allclose(r.gains, np.diff(values), rtol=1e-12, atol=1e-12)
    assert r.value == pytest.approx(values[-1], rel=1e-12)
    assert f.evaluate(r.indices) == r.value
    assert r.indices.tolist() == plain_greedy(S, len(r.indices), w, eta)
    assert (r.indices.dtype, r.gains.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize("seed", range(15))
def test_greedy_reaches_its_share_of_the_optimum(seed):
    S, w, eta = random_instance(100 + seed, n=9, q=6)
    for budget in (1, 2, 3, 4):
        best = max(flvmi(S, subset, w, eta) for subset in combinations(range(9), budget))
        r = core.maximize(core.FacilityLocationVariantMI(S, w, eta), budget)
        assert r.value >= (1 - 1 / np.e) * best


@pytest.mark.parametrize("seed", range(40))
def test_lazy_equals_naive_at_any_thread_count(seed):
    S, w, eta = random_instance(seed, n=int(np.random.default_rng(seed).integers(50, 400)))
    if seed % 3 == 0:
        S = np.round(S, 1)  # many ties
    f = core.FacilityLocationVariantMI(S, None if seed % 2 else w, eta)
    budget = int(len(S) * (1.0 if seed % 5 == 0 else 0.3))
    naive = core.maximize(f, budget, optimizer="naive", n_threads=1)
    for n_threads in (1, 2, 5):
        lazy = core.maximize(f, budget, optimizer="lazy", n_threads=n_threads)
        np.testing.assert_array_equal(lazy.indices, naive.indices)
        np.testing.assert_array_equal(lazy.gains, naive.gains)


def submodlib_naive(S, budget, eta=1.0):
    submodlib = pytest.importorskip("submodlib")
    f = submodlib.FacilityLocationVariantMutualInformationFunction(
        n=S.shape[0], num_queries=S.shape[1], query_sijs=S, queryDiversityEta=eta
    )
    return [i for i, _ in f.maximize(budget, optimizer="NaiveGreedy", stopIfZeroGain=False, stopIfNegativeGain=False)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(200))
def test_agrees_with_submodlib(seed):
    rng = np.random.default_rng(seed)
    n, q = int(rng.integers(5, 40)), int(rng.integers(5, 30))
    S = rng.uniform(0, 1, size=(n, q)).astype(np.float32)
    # Where the best gains of a step are distinct; with many columns and a small budget they are.
    budget = min(5, n - 1)
    r = core.maximize(core.FacilityLocationVariantMI(S), budget)
    assert r.indices.tolist() == submodlib_naive(S, budget)


def test_ties_go_to_the_lowest_index():
    S = np.ones((6, 4), np.float32)
    for optimizer in ("lazy", "naive"):
        r = core.maximize(core.FacilityLocationVariantMI(S, eta=0.0), 6, optimizer=optimizer)
        assert r.indices.tolist() == [0, 1, 2, 3, 4, 5]
        assert r.gains.tolist() == [4, 0, 0, 0, 0, 0]


def test_candidates_restrict_the_choice():
    S, w, eta = random_instance(3, n=50)
    allowed = [40, 7, 13, 21]
    for optimizer in ("lazy", "naive"):
        r = core.maximize(core.FacilityLocationVariantMI(S, w, eta), 4, optimizer=optimizer, candidates=allowed)
        assert sorted(r.indices) == sorted(allowed)


def test_memo_by_hand():
    S, w, eta = random_instance(4, n=20)
    f = core.FacilityLocationVariantMI(S, w, eta)
    f.commit(3)
    assert f.gain(5) == pytest.approx(flvmi(S, [3, 5], w, eta) - flvmi(S, [3], w, eta), rel=1e-12)
    f.reset()
    assert f.gain(5) == pytest.approx(flvmi(S, [5], w, eta), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"S": np.array([[1.0, np.nan]])}, "`S`: expected finite values.* got NaN or infinity in row 0"),
        ({"S": np.ones((3, 2), int)}, "`S`: expected dtype float32 or float64, got int64"),
        ({"S": np.ones((0, 2))}, "`S`"),
        ({"weights": [1, -2]}, "`weights`: expected numbers >= 0, got -2 at 1"),
        ({"weights": [1, np.inf]}, "`weights`: expected finite"),
        ({"weights": [1]}, r"`weights`: expected shape \(2,\), got shape \(1,\)"),
        ({"eta": -1}, "`eta`: expected a finite number >= 0, got -1"),
        ({"budget": 0}, r"`budget`: expected an integer in 1\.\.3, got 0"),
        ({"budget": 4}, r"`budget`: expected an integer in 1\.\.3, got 4"),
        ({"budget": 1.5}, "`budget`: expected an integer"),
        ({"optimizer": "best"}, "`optimizer`: expected .* got 'best'"),
        ({"candidates": []}, "`candidates`: expected at least one index, got none"),
        ({"candidates": [0, 3]}, r"`candidates`: expected indices in 0\.\.2, got 3"),
        ({"candidates": [1, 1]}, "`candidates`: expected distinct indices, got 1 more than once"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"S": np.ones((3, 2)), "weights": None, "eta": 1.0, "budget": 2, **change}
    with pytest.raises(ValueError, match=message):
        f = core.FacilityLocationVariantMI(arguments.pop("S"), arguments.pop("weights"), arguments.pop("eta"))
        core.maximize(f, arguments.pop("budget"), **arguments)
