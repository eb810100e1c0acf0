"""Lazy greedy from features that are held once more in small integers, where nothing else is: naive greedy's choice."""

from __future__ import annotations

import numpy as np
import pytest

import albench_core as core

N, Q, D = 4200, 130, 48  # as few as get them


def clustered(rng: np.random.Generator, n: int, noise: float) -> np.ndarray:
    centres = np.random.default_rng(9).normal(size=(12, D))
    return (centres[rng.integers(12, size=n)] + noise * rng.normal(size=(n, D))).astype(np.float32)


def features(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    if kind.startswith("clustered"):
        noise = 1e-3 if kind.endswith("tight") else 0.4
        return clustered(rng, N, noise), clustered(rng, Q, noise)
    X, queries = rng.normal(size=(N, D)).astype(np.float32), rng.normal(size=(Q, D)).astype(np.float32)
    if kind == "ties":
        X[N // 2 :] = X[: N // 2]
    elif kind == "odd":
        X[::7] = 0.0
        X[1::7] *= 1e-18
        X[2::7] *= 1e12
        X[3::7] = 1.0
        queries[0] = 0.0
    return X, queries


@pytest.mark.parametrize("metric", ["cosine", "dot", "rbf"])
@pytest.mark.parametrize("kind", ["normal", "clustered", "clustered, tight", "ties", "odd"])
def test_selection_is_that_of_naive_greedy(kind: str, metric: str) -> None:
    X, queries = features(kind)
    given = core.FacilityLocationVariantMI(core.similarity(X, queries, metric))
    wanted = core.maximize(given, 20, "naive")
    made = core.FacilityLocationVariantMI.from_features(X, queries, metric=metric, max_memory=0)
    for _ in range(2):  # another maximisation starts anew
        found = core.maximize(made, 20)
        np.testing.assert_array_equal(found.indices, wanted.indices)
        np.testing.assert_array_equal(found.gains, wanted.gains)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("memory", [0, 64 * 8 * (Q + 40)], ids=["nothing held", "bounds of some rows held"])
def test_with_weights_eta_covered_and_scale(dtype: type, memory: int) -> None:
    rows, columns = features("normal")
    X, queries = rows.astype(dtype), columns.astype(dtype)
    rng = np.random.default_rng(4)
    w, c, scale = rng.integers(1, 9, size=Q) / 7, rng.uniform(0, 0.2, size=Q), rng.uniform(0.5, 2.0, size=D)
    S = core.similarity(X, queries, scale=scale)
    given = core.FacilityLocationVariantMI(S, weights=w, eta=0.3, covered=c)
    made = core.FacilityLocationVariantMI.from_features(
        X, queries, weights=w, eta=0.3, covered=c, scale=scale, max_memory=memory
    )
    wanted, found = core.maximize(given, 30, "naive"), core.maximize(made, 30, n_threads=2)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_array_equal(found.gains, wanted.gains)


@pytest.mark.slow
def test_capped_similarities() -> None:
    X, queries = features("normal")
    wanted = core.maximize(core.FacilityLocationMI.from_features(X, queries[:5], eta=0.9, max_memory=2**30), 8)
    found = core.maximize(core.FacilityLocationMI.from_features(X, queries[:5], eta=0.9, max_memory=0), 8)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_array_equal(found.gains, wanted.gains)
