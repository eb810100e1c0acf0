"""What is compared: one case is one job, done by the core and by others, on the same input.

Floors of jobs that kernels decide differ between kernel sets, which ALBENCH_ISA forces; ``AVX2`` is what holds peers
to AVX2 as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import albench_core as core
from albench_core import _core

Job = Callable[[], Any]
# OpenBLAS's threads spin for some tens of milliseconds after a call, at the expense of whoever comes next.
PAUSE_S = 0.1
# The environment in which the core, OpenBLAS, PyTorch and MKL use AVX2 on a processor that has more.
AVX2 = {
    "ALBENCH_ISA": "avx2",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


def by_kernels(**floors: float) -> float:
    """Look up the floor of the kernel set in use."""
    return floors[_core.isa()]


@dataclass(frozen=True)
class Case:
    """Jobs by who does them; `floors` gives the least ratio of their time to the core's."""

    name: str
    jobs: dict[str, Job]
    floors: dict[str, float] = field(default_factory=dict)


def gaussian(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def numpy_greedy(S: np.ndarray, budget: int, eta: float = 1.0) -> list[int]:
    """Naive greedy for the variant mutual information in plain NumPy."""
    S = np.maximum(S, 0)
    modular, memo, chosen = eta * S.max(axis=1), np.zeros(S.shape[1], np.float32), []
    for _ in range(budget):
        gain = np.maximum(S - memo, 0).sum(axis=1) + modular
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        memo = np.maximum(memo, S[chosen[-1]])
    return chosen


def torch_greedy(S: np.ndarray, budget: int, eta: float = 1.0) -> list[int]:
    """The same in PyTorch on the CPU, as a user would write it."""
    import torch

    s = torch.from_numpy(S).clamp(min=0)
    modular, memo, chosen = eta * s.max(dim=1).values, torch.zeros(s.shape[1]), []
    for _ in range(budget):
        gain = (s - memo).clamp_(min=0).sum(dim=1) + modular
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        memo = torch.maximum(memo, s[chosen[-1]])
    return chosen


def submodlib_flvmi(S: np.ndarray, budget: int) -> list[int]:
    import submodlib

    f = submodlib.FacilityLocationVariantMutualInformationFunction(
        n=S.shape[0], num_queries=S.shape[1], query_sijs=S, queryDiversityEta=1
    )
    return [i for i, _ in f.maximize(budget, optimizer="LazyGreedy", show_progress=False)]


def submodlib_flvmi_features(X: np.ndarray, Q: np.ndarray, budget: int) -> list[int]:
    import submodlib

    f = submodlib.FacilityLocationVariantMutualInformationFunction(
        n=len(X), num_queries=len(Q), data=X, queryData=Q, metric="cosine"
    )
    return [i for i, _ in f.maximize(budget, optimizer="LazyGreedy", show_progress=False)]


def apricot_facility_location(K: np.ndarray, budget: int) -> list[int]:
    import apricot

    return apricot.FacilityLocationSelection(budget, metric="precomputed").fit(K).ranking.tolist()


def blocked_product(X: np.ndarray, Q: np.ndarray, block: int = 4096) -> None:
    """Bare BLAS product of all rows with all queries, never held whole."""
    QT = np.ascontiguousarray(Q.T)
    out = np.empty((min(block, len(X)), len(Q)), np.float32)
    for i in range(0, len(X), block):
        part = X[i : i + block]
        np.matmul(part, QT, out=out[: len(part)])


def core_flvmi(S: np.ndarray, budget: int, optimizer: str = "lazy") -> core.Selection:
    return core.maximize(core.FacilityLocationVariantMI(S), budget, optimizer)


def core_features(X: np.ndarray, Q: np.ndarray, budget: int, max_memory: int | None = None) -> core.Selection:
    return core.maximize(core.FacilityLocationVariantMI.from_features(X, Q, max_memory=max_memory), budget)


def given_matrix(n: int = 20_000, q: int = 500, d: int = 64, budget: int = 100) -> Case:
    S = core.similarity(gaussian(n, d, 0), gaussian(q, d, 1))
    return Case(
        f"FLVMI from S, n={n} q={q} budget={budget}",
        {
            "core": lambda: core_flvmi(S, budget),
            "NumPy, one pass np.maximum(S, 0).sum(1)": lambda: np.maximum(S, 0).sum(1),
            "submodlib lazy": lambda: submodlib_flvmi(S, budget),
            "NumPy naive greedy": lambda: numpy_greedy(S, budget),
            "PyTorch naive greedy, CPU": lambda: torch_greedy(S, budget),
        },
        {
            "submodlib lazy": by_kernels(portable=8.0, neon=20.0, avx2=30.0, avx512=40.0),
            "NumPy, one pass np.maximum(S, 0).sum(1)": by_kernels(
                portable=1 / 20, neon=1 / 12, avx2=1 / 10, avx512=1 / 10
            ),
        },
    )


def from_features(n: int = 2_000, q: int = 500, d: int = 10_000, budget: int = 100) -> Case:
    X, Q = gaussian(n, d, 0), gaussian(q, d, 1)
    return Case(
        f"FLVMI from features, n={n} q={q} d={d} budget={budget}",
        {
            "core": lambda: core_features(X, Q, budget),
            "BLAS product alone (NumPy)": lambda: X @ Q.T,
            "submodlib lazy": lambda: submodlib_flvmi_features(X, Q, budget),
        },
        {
            "submodlib lazy": by_kernels(portable=20.0, neon=20.0, avx2=50.0, avx512=50.0),
            "BLAS product alone (NumPy)": by_kernels(portable=1 / 6, neon=1 / 4, avx2=1 / 3, avx512=1 / 3),
        },
    )


def matrix_free(n: int = 100_000, q: int = 1_000, d: int = 128, budget: int = 200) -> Case:
    X, Q = gaussian(n, d, 0), gaussian(q, d, 1)
    bounds = n * (q + 40)
    return Case(
        f"FLVMI matrix-free, n={n} q={q} d={d} budget={budget}",
        {
            "core": lambda: core_features(X, Q, budget, 0),
            "core, 8-bit bounds": lambda: core_features(X, Q, budget, bounds),
            "BLAS product alone, blocked (NumPy)": lambda: blocked_product(X, Q),
        },
        {"BLAS product alone, blocked (NumPy)": 1 / 20},
    )


def product(n: int, q: int, d: int) -> Case:
    X, Q = gaussian(n, d, 0), gaussian(q, d, 1)
    return Case(
        f"similarity, n={n} q={q} d={d}",
        {
            "core": lambda: core.similarity(X, Q, "dot"),
            "BLAS product alone (NumPy)": lambda: X @ Q.T,
        },
        {"BLAS product alone (NumPy)": 1 / 6},
    )


def facility_location(n: int = 3_000, budget: int = 50) -> Case:
    K = core.similarity(gaussian(n, 32, 0), gaussian(n, 32, 0), "rbf")
    wide = K.astype(np.float64)
    return Case(
        f"facility location from S, n=q={n} budget={budget}",
        {
            "core": lambda: core.maximize(core.FacilityLocation(K), budget),
            "apricot lazy": lambda: apricot_facility_location(wide, budget),
        },
        {"apricot lazy": by_kernels(portable=5.0, neon=10.0, avx2=30.0, avx512=30.0)},
    )


def optimizers(n: int = 20_000, q: int = 500, budget: int = 100) -> Case:
    S = core.similarity(gaussian(n, 64, 0), gaussian(q, 64, 1))
    jobs: dict[str, Job] = {"core": lambda: core_flvmi(S, budget)}
    for name in ("naive", "stochastic", "lazier"):
        jobs[f"core, {name}"] = lambda name=name: core_flvmi(S, budget, name)
    return Case(f"optimisers on FLVMI, n={n} q={q} budget={budget}", jobs)


def functions(n: int = 5_000, q: int = 300, budget: int = 50) -> list[Case]:
    import submodlib

    X, Q = np.abs(gaussian(n, 16, 0)), np.abs(gaussian(q, 16, 1))
    S = core.similarity(X, Q)
    small = 1_000
    K = core.similarity(X[:small], X[:small])

    def peer(make: Callable[[], Any], optimizer: str = "LazyGreedy") -> Job:
        return lambda: make().maximize(budget, optimizer=optimizer, show_progress=False)

    return [
        Case(
            f"graph-cut MI, n={n} q={q} budget={budget}",
            {
                "core": lambda: core.maximize(core.GraphCutMI(S), budget),
                "submodlib lazy": peer(
                    lambda: submodlib.GraphCutMutualInformationFunction(n=n, num_queries=q, query_sijs=S)
                ),
            },
            {"submodlib lazy": 20.0},
        ),
        Case(
            f"concave over modular (log), n={n} q={q} budget={budget}",
            {
                "core": lambda: core.maximize(core.ConcaveOverModular(S, concave="log"), budget),
                "submodlib lazy": peer(lambda: submodlib.ConcaveOverModularFunction(n=n, num_queries=q, query_sijs=S)),
            },
            {"submodlib lazy": 1.5},
        ),
        Case(
            f"facility-location MI, n={small} q={q} budget={budget}",
            {
                "core": lambda: core.maximize(core.FacilityLocationMI(S[:small], K), budget),
                "submodlib lazy": peer(
                    lambda: submodlib.FacilityLocationMutualInformationFunction(
                        n=small, num_queries=q, data_sijs=K, query_sijs=S[:small]
                    )
                ),
            },
            {"submodlib lazy": 10.0},
        ),
    ]


def medians(case: Case, repeats: int = 5) -> dict[str, float]:
    """Median seconds of each job: what a user waits for."""
    return {name: statistics.median(spent) for name, spent in timings(case, repeats).items()}


def fastest(case: Case, repeats: int = 5) -> dict[str, float]:
    """Seconds of each job's fastest run, which other programs on the machine disturb least."""
    return {name: min(spent) for name, spent in timings(case, repeats).items()}


def timings(case: Case, repeats: int, patience_s: float = 20.0) -> dict[str, list[float]]:
    """Seconds of each job's runs; the jobs take turns, so that a busy moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in case.jobs}
    began = time.perf_counter()
    for turn in range(repeats + 1):
        for name, job in case.jobs.items():
            # Slow peers are not run again once patience is spent; the first round warms up.
            if times[name] and sum(times[name]) > patience_s / len(case.jobs):
                continue
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            job()
            spent = time.perf_counter() - start
            if turn > 0 or spent > patience_s / 4:
                times[name].append(spent)
        if all(times.values()) and time.perf_counter() - began > 3 * patience_s:
            break
    return times
