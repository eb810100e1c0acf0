"""Graph cut with negative similarities as they are, as PRISM and submodlib define it."""

from __future__ import annotations

import numpy as np
import pytest

import albench_core as core

N, Q, D = 40, 23, 9


def made(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows, queries = rng.normal(size=(N, D)).astype(np.float32), rng.normal(size=(Q, D)).astype(np.float32)
    return rows, queries, core.similarity(rows, queries), rng.integers(0, 4, Q).astype(np.float64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
def test_kept_negatives_count_and_the_largest_sums_are_chosen(seed: int, optimizer: str) -> None:
    rows, queries, S, w = made(seed)
    assert (S < 0).any()
    sums = 2 * 0.7 * (S.astype(np.float64) * w).sum(axis=1)
    f = core.GraphCutMI(S, w, 0.7, negative="keep")
    found = core.maximize(f, N, optimizer=optimizer)
    np.testing.assert_array_equal(found.indices, np.argsort(-sums, kind="stable"))
    np.testing.assert_allclose(found.gains, np.sort(sums)[::-1], rtol=1e-12, atol=1e-12)
    assert found.gains[-1] < 0
    assert f.evaluate([3, 5]) == pytest.approx(sums[[3, 5]].sum(), rel=1e-12)
    lazily = core.GraphCutMI.from_features(rows, queries, weights=w, lam=0.7, negative="keep")
    np.testing.assert_array_equal(core.maximize(lazily, N).gains, core.maximize(f, N).gains)


def test_clipped_by_default() -> None:
    _, _, S, w = made(0)
    assert core.GraphCutMI(S, w).evaluate([1]) == pytest.approx(2 * (np.maximum(S[1], 0) * w).sum(), rel=1e-6)
    with pytest.raises(ValueError, match="`negative`: expected one of clip, keep"):
        core.GraphCutMI(S, negative="drop")
    broken = S.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="`S`: expected"):
        core.GraphCutMI(broken, negative="keep")
