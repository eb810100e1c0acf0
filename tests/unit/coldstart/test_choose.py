"""Choosing starting sets: against brute force, on degenerate pools, and whatever the order of the units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from albench.coldstart.choose import choose_start
from albench.coldstart.embedding import embed
from albench.coldstart.typiclust import MIN_CLUSTER_SIZE, typicality, typiclust
from albench.config import StartMethod
from albench.seeding import generator
from albench.study.setup import start_units
from albench.units.pool import Pool, Unit

METHODS: tuple[StartMethod, ...] = ("k-centre", "typical")
N_COLUMNS = 433


def descriptors(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Slices of a few kinds, no two alike."""
    rng = np.random.default_rng(seed)
    kinds = rng.random((4, N_COLUMNS))
    rows = kinds[rng.integers(4, size=n)] + 0.1 * rng.random((n, N_COLUMNS))
    return (rows / 1.1).astype(np.float32)


def pool(n: int) -> Pool:
    units = tuple(Unit(f"case_{i // 10}", i % 10) for i in range(n))
    zeros = np.zeros((n, 2), dtype=np.int64)
    return Pool(
        units, {unit.case: 0 for unit in units}, zeros, zeros, np.zeros((n, 3), np.int64), np.ones((n, 3), np.int64)
    )


def blobs(sizes: list[int], seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return 100.0 * labels[:, None] + rng.normal(size=(len(labels), 3)), labels


def brute_typicality(X: NDArray[np.float64], n_neighbours: int) -> list[float]:
    found = []
    for i, row in enumerate(X):
        distances = sorted(float(np.linalg.norm(row - other)) for j, other in enumerate(X) if j != i)[:n_neighbours]
        mean = sum(distances) / len(distances) if distances else 0.0
        found.append(1 / mean if mean else np.inf)
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 25), st.integers(0, 1000), st.booleans())
def test_typicality_equals_brute_force(n: int, n_neighbours: int, seed: int, coarse: bool) -> None:
    X = np.random.default_rng(seed).normal(size=(n, 3))
    X = X.round() if coarse else X  # coinciding rows
    np.testing.assert_allclose(typicality(X, n_neighbours), brute_typicality(X, n_neighbours), rtol=1e-12)


def test_typicality_in_pieces_is_the_same() -> None:
    X = np.random.default_rng(0).normal(size=(2100, 2))
    for row in (0, 1023, 1024, 2099):
        distances = np.sort(np.linalg.norm(X - X[row], axis=1))[1:21]
        assert typicality(X)[row] == pytest.approx(1 / distances.mean(), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_typiclust_takes_the_most_typical_of_each_cluster_largest_first(seed: int) -> None:
    X, labels = blobs([8, 30, 12, 25], seed)
    chosen = typiclust(X, 4, seed)
    assert list(labels[chosen]) == [1, 3, 2, 0]
    for row in chosen:
        members = np.flatnonzero(labels == labels[row])
        assert row == members[np.argmax(brute_typicality(X[members], 20))]


def test_small_clusters_come_last_and_others_take_turns() -> None:
    X, labels = blobs([MIN_CLUSTER_SIZE, MIN_CLUSTER_SIZE - 1, 8])
    chosen = typiclust(X, 3, 0)
    assert list(labels[chosen]) == [2, 0, 2]
    left = np.setdiff1d(np.flatnonzero(labels == 2), chosen[:1])
    assert chosen[2] == left[np.argmax(brute_typicality(X[left], 20))]


def test_more_units_than_clusters_are_had_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albench.coldstart.typiclust.MAX_CLUSTERS", 3)
    X, labels = blobs([9, 4, 7])
    chosen = typiclust(X, 20, 0)
    assert list(labels[chosen]) == [0, 2] * 7 + [0, 0] + [1] * 4
    assert sorted(chosen) == list(range(20))


@pytest.mark.parametrize("seed", range(5))
def test_k_centre_equals_brute_force(seed: int) -> None:
    rows = descriptors(25, seed)
    chosen = list(choose_start("k-centre", 8, rows, np.random.default_rng(seed)))
    X = embed(rows)
    distances = np.linalg.norm(X[:, None] - X[None], axis=2)
    for count in range(1, 8):
        assert chosen[count] == np.argmax(distances[:, chosen[:count]].min(axis=1))


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(n_units=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_order_of_units_changes_nothing(method: StartMethod, n_units: int, share: float, seed: int) -> None:
    rows = descriptors(n_units, seed)
    n = max(1, round(share * n_units))
    chosen = choose_start(method, n, rows, generator("x", seed))
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == n
    shuffled = np.random.default_rng(seed).permutation(n_units)
    again = choose_start(method, n, rows[shuffled], generator("x", seed))
    np.testing.assert_array_equal(shuffled[again], chosen)


@pytest.mark.parametrize("method", METHODS)
def test_the_stream_decides_and_nothing_else(method: StartMethod) -> None:
    rows = np.random.default_rng(0).random((60, N_COLUMNS), dtype=np.float32)  # no clusters to agree on
    sets = {tuple(choose_start(method, 5, rows, generator("x", seed)).tolist()) for seed in (0, 0, 1, 2, 3)}
    assert len(sets) == 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 5, 12])
@pytest.mark.parametrize("n_kinds", [1, 2])
def test_equal_slices_are_chosen_once_each(method: StartMethod, n: int, n_kinds: int) -> None:
    rows = np.tile(descriptors(n_kinds), (12 // n_kinds, 1))
    chosen = choose_start(method, n, rows, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == n
    if n > 1:
        assert len(np.unique(rows[chosen], axis=0)) == n_kinds


@pytest.mark.parametrize("method", METHODS)
def test_bad_input_is_named(method: StartMethod) -> None:
    rows, rng = descriptors(6), np.random.default_rng(0)
    for n in (0, 7):
        with pytest.raises(ValueError, match=f"n: expected 1 to 6, the number of units, got {n}"):
            choose_start(method, n, rows, rng)
    rows[3, 7] = np.nan
    with pytest.raises(ValueError, match="descriptors: expected finite"):
        choose_start(method, 2, rows, rng)
    with pytest.raises(ValueError, match="method: expected k-centre or typical, got 'random'"):
        choose_start("random", 2, rows, rng)
    with pytest.raises(ValueError, match=r"a row for each of the 20 units of the pool, got shape \(6, 433\)"):
        start_units(pool(20), 2, rng, method, rows)
    with pytest.raises(ValueError, match="got none"):
        start_units(pool(20), 2, rng, method)


def test_the_random_start_is_a_plain_draw() -> None:
    units = pool(57)
    rows = generator("phantom", 3, "start").choice(57, 9, replace=False)
    drawn = start_units(units, 9, generator("phantom", 3, "start"))
    assert drawn == tuple(units.units[i] for i in rows)
    # Pinned: another draw would move the results of every study.
    assert [units.units.index(unit) for unit in drawn] == [0, 32, 22, 46, 4, 45, 49, 23, 1]
