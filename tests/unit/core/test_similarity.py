"""Similarities against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest

import albench_core as core


def reference(X, Q, metric, scale=None):
    X, Q = np.asarray(X, np.float64), np.asarray(Q, np.float64)
    d = X.shape[1]
    sigma = np.ones(d) if scale is None else np.asarray(scale, np.float64)
    dot = (X * sigma) @ Q.T
    if metric == "dot":
        return dot
    if metric == "cosine":
        norms = np.sqrt((X**2 * sigma).sum(1))[:, None] * np.sqrt((Q**2 * sigma).sum(1))[None]
        return np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)
    squares = (((X[:, None] - Q[None]) ** 2) * sigma).sum(2)
    return np.exp(-(squares if metric == "rbf" else np.sqrt(squares)) / d)


@pytest.mark.parametrize("metric", core.METRICS)
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (13, 33, 5), (97, 31, 64), (40, 70, 1100)])
def test_agrees_with_numpy(metric, scaled, shape):
    n, q, d = shape
    rng = np.random.default_rng(n + q)
    X, Q = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=(q, d)).astype(np.float32)
    scale = rng.uniform(0.1, 2, d) if scaled else None
    S = core.similarity(X, Q, metric, scale=scale)
    assert S.dtype == np.float32
    assert S.shape == (n, q)
    tolerance = 1e-6 * d if metric == "dot" else 2e-6
    np.testing.assert_allclose(S, reference(X, Q, metric, scale), atol=tolerance, rtol=2e-6)


def test_zero_vectors_have_cosine_zero():
    X = np.array([[0, 0], [1, 0]], np.float32)
    np.testing.assert_array_equal(core.similarity(X, X), [[0, 0], [0, 1]])


def test_equal_points_have_similarity_one_under_distances():
    X = np.random.default_rng(0).normal(1000, 1, size=(5, 40)).astype(np.float32)
    for metric in ("euclidean", "rbf"):
        np.testing.assert_array_equal(np.diag(core.similarity(X, X, metric)), np.ones(5))


def test_layout_and_threads_do_not_change_a_bit():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 70)).astype(np.float32)
    Q = rng.normal(size=(45, 70)).astype(np.float32)
    expected = core.similarity(X, Q, n_threads=1)
    wide = np.zeros((300, 140), np.float32)
    wide[:, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for variant in (np.asfortranarray(X), wide[:, ::2], X[::-1][::-1], X.astype(np.float64), read_only):
        np.testing.assert_array_equal(core.similarity(variant, Q, n_threads=3), expected)
    # A row's similarities do not depend on its neighbours in the tile.
    np.testing.assert_array_equal(core.similarity(X[17:18], Q), expected[17:18])
    np.testing.assert_array_equal(core.similarity(X, Q[32:]), expected[:, 32:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros(3)}, r"`X`: expected a matrix .* got shape \(3,\)"),
        ({"X": np.zeros((2, 3), np.int64)}, "`X`: expected dtype float16.* got int64"),
        (
            {"X": np.array([[0, np.nan, 0]])},
            "`X`: expected finite values.* got NaN or infinity in row 0",
        ),
        ({"X": np.array([[0, 1e300, 0]])}, "`X`: expected finite values"),
        ({"Q": np.array([[0, np.inf, 0]])}, "`Q`: expected finite values.* row 0"),
        ({"Q": np.zeros((2, 4))}, r"`Q`: expected shape \(q, 3\), got shape \(2, 4\)"),
        ({"metric": "manhattan"}, "`metric`: expected one of cosine.* got 'manhattan'"),
        ({"scale": np.ones(2)}, r"`scale`: expected shape \(3,\)"),
        ({"scale": np.array([1, -1, 1])}, "`scale`: expected numbers >= 0, got -1 at 1"),
        ({"n_threads": 0}, "`n_threads`"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    good = {"X": np.zeros((2, 3)), "Q": np.zeros((4, 3))}
    with pytest.raises(ValueError, match=message):
        core.similarity(**{**good, **change})
