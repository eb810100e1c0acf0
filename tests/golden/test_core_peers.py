"""Selections against submodlib and apricot on the same kernels, where every step has one best choice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import albench_core as core

pytestmark = pytest.mark.filterwarnings("ignore")
FILE = Path(__file__).parent / "core_selections.json"


def kernels(seed):
    """Kernels of one random instance: candidates by queries, among candidates, among queries."""
    rng = np.random.default_rng(seed)
    n, q = int(rng.integers(20, 60)), int(rng.integers(5, 25))
    X, Q = rng.uniform(0, 1, (n, 8)).astype(np.float32), rng.uniform(0, 1, (q, 8)).astype(np.float32)
    sharp = np.full(8, 20.0)  # so that nothing is represented fully by one choice
    S, ground, queries = (core.similarity(A, B, "rbf", scale=sharp) for A, B in ((X, Q), (X, X), (Q, Q)))
    return S, ground, queries


def ours(name, seed):
    S, ground, queries = kernels(seed)
    functions = {
        "FacilityLocation": lambda: core.FacilityLocation(ground),
        "FacilityLocationVariantMI": lambda: core.FacilityLocationVariantMI(S, eta=0.7),
        "FacilityLocationMI": lambda: core.FacilityLocationMI(S, ground, eta=0.9),
        "GraphCutMI": lambda: core.GraphCutMI(S, lam=0.5),  # submodlib leaves out the factor 2
        "ConcaveOverModular-sqrt": lambda: core.ConcaveOverModular(S, eta=0.7, concave="sqrt"),
        "ConcaveOverModular-log": lambda: core.ConcaveOverModular(S, eta=0.7, concave="log"),
        "LogDeterminantMI": lambda: core.LogDeterminantMI(S, ground, queries, eta=0.9, regularization=1.0),
    }
    return core.maximize(functions[name](), 5, "naive")


def theirs(name, seed):
    submodlib = pytest.importorskip("submodlib")
    S, ground, queries = kernels(seed)
    n, q = S.shape
    if name == "FacilityLocation":
        f = submodlib.FacilityLocationFunction(n=n, mode="dense", sijs=ground, separate_rep=False)
    elif name == "FacilityLocationVariantMI":
        f = submodlib.FacilityLocationVariantMutualInformationFunction(
            n=n, num_queries=q, query_sijs=S, queryDiversityEta=0.7
        )
    elif name == "FacilityLocationMI":
        f = submodlib.FacilityLocationMutualInformationFunction(
            n=n, num_queries=q, data_sijs=ground, query_sijs=S, magnificationEta=0.9
        )
    elif name == "GraphCutMI":
        f = submodlib.GraphCutMutualInformationFunction(n=n, num_queries=q, query_sijs=S)
    elif name == "LogDeterminantMI":
        f = submodlib.LogDeterminantMutualInformationFunction(
            n=n,
            num_queries=q,
            lambdaVal=1.0,
            data_sijs=ground,
            query_sijs=S,
            query_query_sijs=queries,
            magnificationEta=0.9,
        )
    else:
        from submodlib_cpp import ConcaveOverModular

        mode = {"sqrt": ConcaveOverModular.squareRoot, "log": ConcaveOverModular.logarithmic}[name.split("-")[1]]
        f = submodlib.ConcaveOverModularFunction(n=n, num_queries=q, query_sijs=S, queryDiversityEta=0.7, mode=mode)
    chosen = f.maximize(5, optimizer="NaiveGreedy", stopIfZeroGain=False, stopIfNegativeGain=False)
    return [int(i) for i, _ in chosen], np.array([gain for _, gain in chosen])


NAMES = [
    "FacilityLocation",
    "FacilityLocationVariantMI",
    "FacilityLocationMI",
    "GraphCutMI",
    "ConcaveOverModular-sqrt",
    "ConcaveOverModular-log",
    "LogDeterminantMI",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(10))
def test_submodlib_chooses_alike(name, seed):
    r = ours(name, seed)
    indices, gains = theirs(name, seed)
    assert r.indices.tolist() == indices
    np.testing.assert_allclose(r.gains, gains, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 10))])
def test_apricot_chooses_alike(seed):
    apricot = pytest.importorskip("apricot")
    _, ground, _ = kernels(seed)
    peer = apricot.FacilityLocationSelection(8, metric="precomputed", optimizer="naive")
    peer.fit(ground.astype(np.float64))
    r = core.maximize(core.FacilityLocation(ground), 8)
    assert r.indices.tolist() == peer.ranking.tolist()
    np.testing.assert_allclose(r.gains, peer.gains, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_selections_stay_what_they_were(name):
    # Written once with the code that agreed with submodlib; a change here is a change of results.
    golden = json.loads(FILE.read_text())
    for seed in range(10):
        r = ours(name, seed)
        assert r.indices.tolist() == golden[name][str(seed)]["indices"]
        np.testing.assert_allclose(r.gains, golden[name][str(seed)]["gains"], rtol=1e-4, atol=1e-6)
