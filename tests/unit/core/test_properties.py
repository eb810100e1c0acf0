"""Properties that hold for every instance, searched by Hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import albench_core as core

settings.register_profile("core", deadline=None, max_examples=60)
settings.load_profile("core")

# Few distinct values make ties and duplicates common; others exercise rounding.
VALUES = st.one_of(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), st.floats(-2, 2, width=32))


def matrices(max_n=24, max_q=40):
    shapes = st.tuples(st.integers(1, max_n), st.integers(1, max_q))
    return shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=VALUES))


SUBMODULAR = {
    "FL": core.FacilityLocation,
    "FLVMI": lambda S: core.FacilityLocationVariantMI(S, eta=0.5),
    "GCMI": core.GraphCutMI,
    "COM-sqrt": core.ConcaveOverModular,
    "COM-log": lambda S: core.ConcaveOverModular(S, concave="log"),
    "COM-inverse": lambda S: core.ConcaveOverModular(S, concave="inverse"),
}


@pytest.mark.parametrize("name", sorted(SUBMODULAR))
@given(S=matrices(), data=st.data())
def test_monotone_with_diminishing_gains(name, S, data):
    f = SUBMODULAR[name](S)
    order = data.draw(st.permutations(range(f.n)))
    slack = f.evaluate(range(f.n)) * 1e-12
    before = np.array([f.gain(i) for i in range(f.n)])
    for taken, i in enumerate(order[:5], start=1):
        f.commit(i)
        left = order[taken:]
        after = np.array([f.gain(j) for j in range(f.n)])
        assert (after >= 0).all()
        assert (after[left] <= before[left] + slack).all()
        before = after


@pytest.mark.parametrize("name", sorted(SUBMODULAR))
@given(S=matrices(), data=st.data())
def test_lazy_equals_naive(name, S, data):
    f = SUBMODULAR[name](S)
    budget = data.draw(st.integers(1, f.n))
    n_threads = data.draw(st.sampled_from([1, 2, 4]))
    naive = core.maximize(f, budget, "naive", n_threads=1)
    lazy = core.maximize(f, budget, "lazy", n_threads=n_threads)
    np.testing.assert_array_equal(lazy.indices, naive.indices)
    np.testing.assert_array_equal(lazy.gains, naive.gains)


@pytest.mark.parametrize("name", sorted(SUBMODULAR))
@given(S=matrices(), seed=st.integers(0, 2**64 - 1), data=st.data())
def test_lazier_equals_stochastic(name, S, seed, data):
    f = SUBMODULAR[name](S)
    budget = data.draw(st.integers(1, f.n))
    epsilon = data.draw(st.sampled_from([0.01, 0.5, 0.99]))
    a = core.maximize(f, budget, "stochastic", epsilon, seed, n_threads=1)
    b = core.maximize(f, budget, "lazier", epsilon, seed, n_threads=2)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.gains, b.gains)
    assert len(set(a.indices.tolist())) == budget


@given(S=matrices(), data=st.data())
def test_permuting_candidates_permutes_the_choice(S, data):
    # Ties are decided by index, so only distinct first choices can be compared.
    order = np.array(data.draw(st.permutations(range(len(S)))))
    gains = [core.maximize(core.FacilityLocationVariantMI(M), 1).gains[0] for M in (S, S[order])]
    assert gains[0] == gains[1]
    f, g = core.FacilityLocationVariantMI(S), core.FacilityLocationVariantMI(np.ascontiguousarray(S[order]))
    for i in range(len(S)):
        assert f.gain(int(order[i])) == g.gain(i)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 40), q=st.integers(1, 40))
def test_permuting_distinct_candidates_permutes_the_selection(seed, n, q):
    rng = np.random.default_rng(seed)
    S, order = rng.uniform(0, 1, (n, q)).astype(np.float32), rng.permutation(n)
    budget = min(4, n)
    a = core.maximize(core.FacilityLocationVariantMI(S), budget)
    b = core.maximize(core.FacilityLocationVariantMI(S[order]), budget)
    np.testing.assert_array_equal(order[b.indices], a.indices)


@pytest.mark.parametrize("name", ["FL", "FLVMI", "GCMI", "COM"])
@given(S=matrices(), data=st.data())
def test_weights_are_repeated_columns(name, S, data):
    times = np.array(data.draw(st.lists(st.integers(0, 4), min_size=S.shape[1], max_size=S.shape[1])))
    times[0] = max(times[0], 1)
    make = {
        "FL": core.FacilityLocation,
        "FLVMI": core.FacilityLocationVariantMI,
        "GCMI": core.GraphCutMI,
        "COM": core.ConcaveOverModular,
    }[name]
    weighted, repeated = make(S, weights=times), make(np.repeat(S, times, axis=1))
    for A in ([0], list(range(len(S)))):
        assert weighted.evaluate(A) == pytest.approx(repeated.evaluate(A), rel=1e-12, abs=1e-12)
    for i in range(len(S)):
        assert weighted.gain(i) == pytest.approx(repeated.gain(i), rel=1e-12, abs=1e-12)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    q=st.integers(1, 70),
    d=st.integers(1, 20),
    metric=st.sampled_from(core.METRICS),
    memory=st.integers(0, 20_000),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_features_and_matrix_choose_alike(seed, n, q, d, metric, memory, levels):
    rng = np.random.default_rng(seed)
    X = (rng.integers(-levels, levels, (n, d)) / levels).astype(np.float32)
    Q = (rng.integers(-levels, levels, (q, d)) / levels).astype(np.float32)
    made = core.FacilityLocationVariantMI.from_features(X, Q, metric=metric, max_memory=memory)
    given_ = core.FacilityLocationVariantMI(core.similarity(X, Q, metric))
    a, b = core.maximize(made, n), core.maximize(given_, n, "naive")
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.gains, b.gains)
