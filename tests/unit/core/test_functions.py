"""Every set function against its definition: gains, memo, evaluate, greedy, features against matrix."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import albench_core as core
from tests.support.core_reference import NAMES, instances


def value(definition, A):
    return definition(list(A)) if len(A) else 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_memo_follows_the_definition(name, seed):
    f, definition = instances(seed)[name]
    rng = np.random.default_rng(seed)
    tolerance = 1e-5 if name in ("LogDeterminantMI", "FacilityLocationMI") else 1e-10
    A: list[int] = []
    for i in rng.permutation(f.n)[:6].tolist():
        for j in range(f.n):
            expected = value(definition, sorted({*A, j})) - value(definition, A)
            assert f.gain(j) == pytest.approx(expected, abs=tolerance)
        f.commit(i)
        A.append(i)
        assert f.evaluate(A) == pytest.approx(value(definition, A), rel=1e-6)
    f.commit(A[0])  # a member: nothing happens
    assert f.gain(A[0]) == 0.0
    f.reset()
    assert f.gain(A[0]) == pytest.approx(value(definition, A[:1]), abs=tolerance)
    assert f.evaluate([]) == 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_many_gains_are_those_of_the_definition_and_the_bits_of_each(name, seed):
    f, definition = instances(seed, n=60)[name]
    rng = np.random.default_rng(seed)
    A: list[int] = []
    for i in [None, *rng.permutation(f.n)[:4].tolist()]:
        if i is not None:
            f.commit(i)
            A.append(i)
        asked = rng.permutation(f.n)[:45]
        found = f.gains(asked)
        expected = [value(definition, sorted({*A, j})) - value(definition, A) for j in asked.tolist()]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if "MI" in name else 1e-9)
        assert found.tolist() == [f.gain(j) for j in asked.tolist()]
        assert f.gains(asked, n_threads=3).tolist() == found.tolist()
        assert f.gains()[asked].tolist() == found.tolist()
    assert f.gains([]).shape == (0,)
    assert f.gains(A).tolist() == [0.0] * len(A)


@pytest.mark.parametrize("name", NAMES)
def test_gains_leave_the_memo_alone_and_their_largest_is_what_greedy_takes(name):
    f, _ = instances(5, n=40)[name]
    chosen = core.maximize(f, 6, optimizer="naive")
    f.reset()
    for i, gain in zip(chosen.indices.tolist(), chosen.gains.tolist(), strict=True):
        before = f.gains()
        assert f.gains().tolist() == before.tolist()
        left = np.setdiff1d(np.arange(f.n), chosen.indices[: chosen.indices.tolist().index(i)])
        assert left[np.argmax(before[left])] == i
        assert before[i] == gain
        f.commit(i)


@pytest.mark.parametrize("name", NAMES)
def test_greedy_is_greedy_and_reaches_its_share(name):
    for seed in range(5):
        f, definition = instances(seed, n=9)[name]
        for optimizer in ("naive", "lazy") if f.submodular else ("naive",):
            r = core.maximize(f, 4, optimizer=optimizer)
            chosen: list[int] = []
            for i, gain in zip(r.indices.tolist(), r.gains, strict=True):
                best = max(definition([*chosen, j]) - value(definition, chosen) for j in range(9) if j not in chosen)
                assert gain == pytest.approx(best, rel=1e-5, abs=1e-6)
                assert definition([*chosen, i]) - value(definition, chosen) == pytest.approx(best, rel=1e-5, abs=1e-6)
                chosen.append(i)
            assert r.value == pytest.approx(r.gains.sum(), rel=1e-6)
            if f.submodular:
                optimum = max(definition(list(A)) for A in combinations(range(9), 4))
                assert r.value >= (1 - 1 / np.e) * optimum


def test_log_determinant_refuses_what_needs_submodularity():
    f, _ = instances(0)["LogDeterminantMI"]
    for optimizer in ("lazy", "lazier"):
        with pytest.raises(ValueError, match="`optimizer`: expected naive or stochastic for LogDeterminantMI"):
            core.maximize(f, 2, optimizer=optimizer)
    assert len(core.maximize(f, 2, optimizer="stochastic").indices) == 2


def test_log_determinant_is_not_submodular():
    # Two candidates that say nothing of the query alone, and everything together.
    s = np.sqrt(0.5)
    ground = np.array([[1.0, -0.9], [-0.9, 1.0]])
    S = np.array([[0.2], [0.2]]) * s
    f = core.LogDeterminantMI(S, ground, np.array([[1.0]]), regularization=1e-3)
    alone = f.gain(1)
    f.commit(0)
    assert f.gain(1) > alone


FEATURES = {
    "FacilityLocation": lambda X, Q, w: (
        core.FacilityLocation(core.similarity(X, Q), w),
        core.FacilityLocation.from_features(X, Q, weights=w),
    ),
    "GraphCutMI": lambda X, Q, w: (
        core.GraphCutMI(core.similarity(X, Q), w),
        core.GraphCutMI.from_features(X, Q, weights=w),
    ),
    "ConcaveOverModular": lambda X, Q, w: (
        core.ConcaveOverModular(core.similarity(X, Q), w, 0.5, "log"),
        core.ConcaveOverModular.from_features(X, Q, weights=w, eta=0.5, concave="log"),
    ),
    "FacilityLocationMI": lambda X, Q, w: (
        core.FacilityLocationMI(core.similarity(X, Q), core.similarity(X, X), eta=0.8),
        core.FacilityLocationMI.from_features(X, Q, eta=0.8, max_memory=0),
    ),
    "LogDeterminantMI": lambda X, Q, w: (
        core.LogDeterminantMI(core.similarity(X, Q), core.similarity(X, X), core.similarity(Q, Q)),
        core.LogDeterminantMI.from_features(X, Q),
    ),
}


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_features_give_what_the_matrix_gives(name):
    rng = np.random.default_rng(2)
    X, Q = rng.normal(size=(150, 20)).astype(np.float32), rng.normal(size=(40, 20)).astype(np.float32)
    given, made = FEATURES[name](X, Q, rng.uniform(0.5, 2, 40))
    optimizer = "lazy" if given.submodular else "naive"
    a, b = core.maximize(given, 30, optimizer=optimizer), core.maximize(made, 30, optimizer=optimizer)
    np.testing.assert_array_equal(a.indices, b.indices)
    tolerance = 1e-5 if name == "LogDeterminantMI" else 0
    np.testing.assert_allclose(a.gains, b.gains, rtol=tolerance)
    np.testing.assert_allclose(given.gains(), made.gains(), rtol=tolerance, atol=tolerance)


MEMORY = {"nothing held": 0, "some rows bounded": 20_000, "all rows bounded": 60_000, "all rows held": 10**9}


@pytest.mark.parametrize("metric", core.METRICS)
@pytest.mark.parametrize("memory", sorted(MEMORY))
@pytest.mark.parametrize("weighted", [False, True])
def test_variant_mi_is_the_same_bits_in_every_mode(metric, memory, weighted):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 33)).astype(np.float32)
    Q = rng.normal(size=(70, 33)).astype(np.float32)
    w = rng.uniform(0, 2, 70) if weighted else None
    scale = rng.uniform(0.1, 1, 33) if weighted else None
    f = core.FacilityLocationVariantMI(core.similarity(X, Q, metric, scale=scale), w, 0.5)
    naive = core.maximize(f, 120, optimizer="naive")
    made = core.FacilityLocationVariantMI.from_features(
        X, Q, metric=metric, scale=scale, weights=w, eta=0.5, max_memory=MEMORY[memory]
    )
    for optimizer in ("lazy", "naive"):
        for n_threads in (1, 3):
            r = core.maximize(made, 120, optimizer=optimizer, n_threads=n_threads)
            np.testing.assert_array_equal(r.indices, naive.indices)
            np.testing.assert_array_equal(r.gains, naive.gains)
            assert r.value == naive.value


def test_stored_formats_and_mapped_files(tmp_path):
    rng = np.random.default_rng(4)
    X, Q = rng.normal(size=(90, 50)).astype(np.float32), rng.normal(size=(20, 50)).astype(np.float32)
    half = X.astype(np.float16)
    brain = (X.view(np.uint32) >> 16).astype(np.uint16)
    widened = (brain.astype(np.uint32) << 16).view(np.float32)
    mapped = np.memmap(tmp_path / "features", np.float16, "w+", shape=half.shape)
    mapped[:] = half
    for stored, plain in (
        (half, half.astype(np.float32)),
        (brain, widened),
        (mapped, half.astype(np.float32)),
    ):
        expected = core.maximize(core.FacilityLocationVariantMI(core.similarity(plain, Q)), 20)
        np.testing.assert_array_equal(core.similarity(stored, Q), core.similarity(plain, Q))
        made = core.FacilityLocationVariantMI.from_features(stored, Q, max_memory=0)
        np.testing.assert_array_equal(core.maximize(made, 20).indices, expected.indices)


def test_every_half_precision_number():
    bits = np.arange(2**16, dtype=np.uint16)
    for numbers in (bits.view(np.float16), bits):
        wide = (bits.astype(np.uint32) << 16).view(np.float32) if numbers is bits else numbers.astype(np.float32)
        keep = np.isfinite(wide) & (np.abs(wide) < 1e30)
        column = numbers[keep][:, None]
        S = core.similarity(column, np.ones((1, 1), np.float32), "dot")
        np.testing.assert_array_equal(S[:, 0], wide[keep])
        rows = np.resize(numbers[keep], (1400, 47))  # as many as vectors hold, and more
        S = core.similarity(rows, np.eye(47, dtype=np.float32), "dot")
        np.testing.assert_array_equal(S, np.resize(wide[keep], rows.shape))


def test_weight_zero_means_absent():
    S, w = np.array([[0.9, 0.1], [0.2, 0.3]], np.float32), [0.0, 1.0]
    f = core.FacilityLocationVariantMI(S, w)
    assert [f.gain(0), f.gain(1)] == pytest.approx([0.2, 0.6])
    with pytest.raises(ValueError, match="`weights`: expected some weight > 0"):
        core.FacilityLocationVariantMI(S, [0.0, 0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda S: core.ConcaveOverModular(S, concave="cube"),
            "`concave`: expected one of sqrt, log, inverse",
        ),
        (lambda S: core.GraphCutMI(S, lam=-1), "`lam`: expected a finite number >= 0, got -1"),
        (lambda S: core.GraphCutMI(S).gains([0, 3]), r"`indices`: expected indices in 0..2, got 3"),
        (lambda S: core.GraphCutMI(S).gains([1, 1]), "`indices`: expected distinct indices, got 1 more than once"),
        (lambda S: core.GraphCutMI(S).gains(n_threads=0), "`n_threads`: expected an integer in 1..1024, got 0"),
        (lambda S: core.GraphCutMI(np.full((2, 2), np.inf)), "`S`: expected finite values.* row 0"),
        (lambda S: core.FacilityLocationMI(S, np.ones((2, 2))), r"`ground`: .* shape \(3, 3\)"),
        (lambda S: core.LogDeterminantMI(S, np.eye(3), np.eye(3)), r"`queries`: .* shape \(2, 2\)"),
        (lambda S: core.LogDeterminantMI(S, np.eye(3), np.eye(2), eta=1.5), r"`eta`: .* \[0, 1\], got 1.5"),
        (
            lambda S: core.LogDeterminantMI(S, np.eye(3), np.eye(2), regularization=0),
            "`regularization`: .* > 0",
        ),
        (
            lambda S: core.LogDeterminantMI(S, np.arange(9.0).reshape(3, 3), np.eye(2)),
            "`ground`: .* symmetric",
        ),
        (lambda S: core.LogDeterminantMI(S, np.eye(3), -9 * np.eye(2)), "`queries`: .* semidefinite"),
        (lambda S: core.FacilityLocationVariantMI.from_features(S, S, max_memory=-1), "`max_memory`"),
        (
            lambda S: core.FacilityLocationVariantMI.from_features(np.full((3, 2), np.nan), S),
            "`X`: expected finite values.* row 0",
        ),
        (
            lambda S: core.LogDeterminantMI.from_features(S, S, metric="euclidean"),
            "`metric`: expected a positive semidefinite kernel",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.ones((3, 2)))
