"""The set functions of the core, written from their definitions in NumPy float64."""

from __future__ import annotations

import numpy as np

from albench import core

PSI = {"sqrt": np.sqrt, "log": np.log1p, "inverse": lambda x: x / (1 + x)}


def positive(S):
    return np.maximum(np.asarray(S, np.float64), 0)


def facility_location(S, A, w):
    return float((w * positive(S)[A].max(0)).sum())


def variant_mi(S, A, w, eta=1.0):
    return facility_location(S, A, w) + eta * float(positive(S)[A].max(1).sum())


def mutual_information(S, ground, A, w, eta=1.0):
    return float((w * np.minimum(positive(ground)[A].max(0), eta * positive(S).max(1))).sum())


def graph_cut(S, A, w, lam=1.0):
    return 2 * lam * float((positive(S)[A] * w).sum())


def concave(S, A, w, eta=1.0, psi="sqrt"):
    P = positive(S)[A]
    return eta * float(PSI[psi]((P * w).sum(1)).sum()) + float((w * PSI[psi](P.sum(0))).sum())


def log_determinant(S, ground, queries, A, *, eta=1.0, r=1.0):
    K, B, Kq = (np.asarray(M, np.float64) for M in (ground, S, queries))
    KA, BA = K[np.ix_(A, A)] + r * np.eye(len(A)), B[A]
    Schur = KA - eta**2 * BA @ np.linalg.solve(Kq + r * np.eye(len(Kq)), BA.T)
    return float(np.linalg.slogdet(KA)[1] - np.linalg.slogdet(Schur)[1])


def instances(seed, n=12, q=7, d=5):
    """Each function on one random instance, with its definition: name -> (function, f(A))."""
    rng = np.random.default_rng(seed)
    X, Q = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=(q, d)).astype(np.float32)
    S, ground, queries = core.similarity(X, Q), core.similarity(X, X), core.similarity(Q, Q)
    w, v, eta = rng.uniform(0.1, 3, q), rng.uniform(0.1, 3, n), float(rng.uniform(0.1, 2))
    found = {
        "FacilityLocation": (core.FacilityLocation(S, w), lambda A: facility_location(S, A, w)),
        "FacilityLocationVariantMI": (
            core.FacilityLocationVariantMI(S, w, eta),
            lambda A: variant_mi(S, A, w, eta),
        ),
        "FacilityLocationMI": (
            core.FacilityLocationMI(S, ground, v, eta),
            lambda A: mutual_information(S, ground, A, v, eta),
        ),
        "GraphCutMI": (core.GraphCutMI(S, w, 0.7), lambda A: graph_cut(S, A, w, 0.7)),
        "LogDeterminantMI": (
            core.LogDeterminantMI(S, ground, queries, 0.9, 0.5),
            lambda A: log_determinant(S, ground, queries, A, eta=0.9, r=0.5),
        ),
    }
    for psi in PSI:
        found[f"ConcaveOverModular-{psi}"] = (
            core.ConcaveOverModular(S, w, eta, psi),
            lambda A, psi=psi: concave(S, A, w, eta, psi),
        )
    return found


NAMES = sorted(instances(0))
