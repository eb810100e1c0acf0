"""Set functions to attack, and what holds for every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import albench_core as core

N, Q, D = 9, 5, 4


def features(seed: int, rows: int) -> NDArray[np.float32]:
    """Rows of small positive numbers."""
    return np.random.default_rng(seed).uniform(0.1, 1.0, (rows, D)).astype(np.float32)


def given() -> dict[str, NDArray[Any]]:
    """Arrays that all arguments below can be made from, new ones at each call."""
    X, Z = features(1, N), features(2, Q)
    return {"X": X, "Z": Z, "S": core.similarity(X, Z), "K": core.similarity(X, X), "C": core.similarity(Z, Z)}


# Each function from a matrix and from features: name -> (made of `given`, names of the arrays it may borrow).
FUNCTIONS: dict[str, tuple[Callable[[dict[str, NDArray[Any]]], core.SetFunction], str]] = {
    "FL": (lambda a: core.FacilityLocation(a["S"]), "S"),
    "FLVMI": (lambda a: core.FacilityLocationVariantMI(a["S"], np.arange(1.0, len(a["Z"]) + 1), 0.5), "S"),
    "FLMI": (lambda a: core.FacilityLocationMI(a["S"], a["K"]), "SK"),
    "GC-clip": (lambda a: core.GraphCutMI(a["S"]), "S"),
    "GC-keep": (lambda a: core.GraphCutMI(a["S"], negative="keep"), "S"),
    "COM-sqrt": (lambda a: core.ConcaveOverModular(a["S"]), "S"),
    "COM-log": (lambda a: core.ConcaveOverModular(a["S"], concave="log"), "S"),
    "COM-inverse": (lambda a: core.ConcaveOverModular(a["S"], concave="inverse"), "S"),
    "LogDet": (lambda a: core.LogDeterminantMI(a["S"], a["K"], a["C"]), "SKC"),
    "FL-features": (lambda a: core.FacilityLocation.from_features(a["X"], a["Z"]), "XZ"),
    "FL-bounds": (lambda a: core.FacilityLocation.from_features(a["X"], a["Z"], max_memory=400), "XZ"),
    "FL-nothing-held": (lambda a: core.FacilityLocation.from_features(a["X"], a["Z"], max_memory=0), "XZ"),
    "FLVMI-features": (
        lambda a: core.FacilityLocationVariantMI.from_features(a["X"], a["Z"], metric="dot", max_memory=0),
        "XZ",
    ),
    "FLMI-features": (lambda a: core.FacilityLocationMI.from_features(a["X"], a["Z"], max_memory=0), "XZ"),
    "GC-features": (lambda a: core.GraphCutMI.from_features(a["X"], a["Z"]), "XZ"),
    "COM-features": (lambda a: core.ConcaveOverModular.from_features(a["X"], a["Z"], metric="rbf"), "XZ"),
    "LogDet-features": (lambda a: core.LogDeterminantMI.from_features(a["X"], a["Z"]), "XZ"),
}


def sound(f: core.SetFunction, budget: int | None = None, **options: Any) -> core.Selection:
    """Maximise `f`: distinct indices of its ground set, and finite numbers."""
    k = min(f.n, 4) if budget is None else budget
    chosen = core.maximize(f, k, **options)
    indices = chosen.indices.tolist()
    assert len(indices) == k, indices
    assert len(set(indices)) == k, indices
    assert min(indices) >= 0, indices
    assert max(indices) < f.n, indices
    assert np.isfinite(chosen.gains).all(), chosen.gains
    assert np.isfinite(chosen.value), chosen.value
    return chosen


def sound_everywhere(f: core.SetFunction) -> None:
    """Maximise with every optimiser that takes `f`, and use what remains of it."""
    for optimizer in core.OPTIMIZERS:
        if f.submodular or optimizer in ("naive", "stochastic"):
            sound(f, optimizer=optimizer, epsilon=0.1)
    f.reset()
    f.commit(0)
    np.testing.assert_array_equal(f.gains(n_threads=2), [f.gain(i) for i in range(f.n)])
    assert np.isfinite(f.evaluate(range(f.n)))
