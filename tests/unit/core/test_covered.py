"""Start maxima: gains and values are what is added to what something outside of the ground set covers already."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import albench_core as core

settings.register_profile("covered", deadline=None, max_examples=60)
settings.load_profile("covered")

VALUES = st.one_of(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), st.floats(-2, 2, width=32))
# Bytes that similarities may take: nothing held, bounds for some rows, for all, everything.
MEMORY = (0, 3_000, 30_000, 2**30)


def value(S, A, c, w, eta):
    """The definition, in float64."""
    P = np.maximum(S.astype(np.float64), 0)[list(A)]
    return float((w * np.maximum(P.max(0) - np.maximum(c.astype(np.float32), 0), 0)).sum() + eta * P.max(1).sum())


def plain_greedy(S, budget, c, w, eta):
    chosen = []
    for _ in range(budget):
        values = [-1.0 if i in chosen else value(S, [*chosen, i], c, w, eta) for i in range(len(S))]
        chosen.append(int(np.argmax(values)))
    return chosen


@pytest.mark.parametrize("seed", range(12))
def test_gains_values_and_choices_follow_the_definition(seed):
    rng = np.random.default_rng(seed)
    S = rng.uniform(-0.5, 1, (9, 6)).astype(np.float32)
    c, w, eta = rng.uniform(-0.3, 0.9, 6), rng.uniform(0, 3, 6), float(rng.uniform(0, 2))
    f = core.FacilityLocationVariantMI(S, w, eta, c)
    chosen = core.maximize(f, 5)
    values = [0.0] + [value(S, chosen.indices[: k + 1], c, w, eta) for k in range(5)]
    np.testing.assert_allclose(chosen.gains, np.diff(values), rtol=1e-12, atol=1e-12)
    assert chosen.value == pytest.approx(values[-1], rel=1e-12)
    assert chosen.indices.tolist() == plain_greedy(S, 5, c, w, eta)
    best = max(value(S, A, c, w, eta) for A in combinations(range(9), 3))
    assert core.maximize(f, 3).value >= (1 - 1 / np.e) * best
    assert f.evaluate([]) == 0.0


@given(
    S=st.tuples(st.integers(1, 24), st.integers(1, 40)).flatmap(lambda s: hnp.arrays(np.float32, s, elements=VALUES)),
    data=st.data(),
)
def test_lazy_equals_naive(S, data):
    c = data.draw(hnp.arrays(np.float32, S.shape[1], elements=VALUES))
    f = core.FacilityLocationVariantMI(S, eta=0.5, covered=c)
    budget = data.draw(st.integers(1, f.n))
    naive = core.maximize(f, budget, "naive", n_threads=1)
    lazy = core.maximize(f, budget, "lazy", n_threads=data.draw(st.sampled_from([1, 2])))
    np.testing.assert_array_equal(lazy.indices, naive.indices)
    np.testing.assert_array_equal(lazy.gains, naive.gains)


@given(
    S=st.tuples(st.integers(2, 20), st.integers(1, 30)).flatmap(lambda s: hnp.arrays(np.float32, s, elements=VALUES)),
    data=st.data(),
)
def test_what_the_first_choices_cover_stands_for_them(S, data):
    first = data.draw(st.integers(1, len(S) - 1))
    whole = core.FacilityLocation(S)
    for i in range(first):
        whole.commit(i)
    rest = core.FacilityLocation(S[first:], covered=S[:first].max(0))
    np.testing.assert_array_equal(rest.gains(), whole.gains(range(first, len(S))))


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("weighted", [False, True])
def test_features_choose_what_the_matrix_does_in_every_memory_mode(memory, weighted):
    rng = np.random.default_rng(5)
    X, Q, L = (rng.normal(size=(n, 8)).astype(np.float32) for n in (700, 50, 30))
    w = rng.integers(0, 4, 50).astype(float) if weighted else None
    c = core.similarity(L, Q).max(0)
    naive = core.maximize(core.FacilityLocationVariantMI(core.similarity(X, Q), w, 0.1, c), 60, "naive")
    made = core.FacilityLocationVariantMI.from_features(X, Q, weights=w, eta=0.1, covered=c, max_memory=memory)
    for _ in range(2):  # a function that was used before starts from the same maxima
        lazy = core.maximize(made, 60)
        np.testing.assert_array_equal(lazy.indices, naive.indices)
        np.testing.assert_array_equal(lazy.gains, naive.gains)


def test_items_of_the_mutual_information_are_covered_up_to_their_caps():
    S = np.array([[0.75], [0.25]], np.float32)
    ground = np.array([[1.0, 0.5], [0.5, 1.0]], np.float32)
    assert core.FacilityLocationMI(S, ground).gains().tolist() == [1.0, 0.75]
    assert core.FacilityLocationMI(S, ground, covered=[0.5, 0.9]).gains().tolist() == [0.25, 0.0]
    made = core.FacilityLocationMI.from_features(
        [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], metric="dot", covered=[0.25, 1]
    )
    assert made.gains().tolist() == [0.75, 0.0]


@pytest.mark.parametrize("c", [[0.1], [0.1, np.nan], [0.1, 1e39], [[0.1, 0.2]], ["a", "b"], [True, False], 0.5])
def test_wrong_start_maxima_are_refused(c):
    with pytest.raises(core.InputError, match=r"`covered`: expected"):
        core.FacilityLocation([[0.5, 0.5]], covered=c)
