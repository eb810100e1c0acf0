"""Selection in shards: GreeDi, and the exact option against greedy on all rows at once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import combinations, islice
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import albench_core as core
from albench_core import _core
from albench_core.shards import Part, one_at_a_time
from albench_core.thinning import thinned

settings.register_profile("sharded", deadline=None, max_examples=60)
settings.load_profile("sharded")

# no subnormal numbers: a row of them has a length whose inverse float32 does not hold, and cosine refuses it
VALUES = st.one_of(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.floats(-2, 2, width=32, allow_subnormal=False))


def slices(n_cases, n_slices, d, rng):
    """Features as of slices: what is a case's, a place's in it, and noise along it, on a decaying spectrum."""
    place = np.cos(np.pi * np.linspace(0, 1, n_slices)[:, None] * np.arange(8)) @ rng.normal(size=(8, d))
    cases = rng.normal(size=(n_cases, 1, d)) + 0.7 * place
    noise = np.cumsum(rng.normal(size=(n_cases, n_slices, d)), axis=1)
    noise /= np.sqrt(np.arange(1, n_slices + 1))[:, None]
    return ((cases + noise) / np.sqrt(1 + np.arange(d))).reshape(-1, d).astype(np.float32)


class Counted:
    """An array as zarr's: shape, dtype and slices, and nothing else; counts how often each row is read."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.read = np.zeros(len(array), int)

    def __getitem__(self, rows):
        self.read[rows] += 1
        return self._array[rows].copy()


def whole(X, Q, budget, **options):
    return core.maximize(core.FacilityLocationVariantMI.from_features(X, Q, **options), budget)


def same(a, b):
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.gains, b.gains)
    assert a.value == pytest.approx(b.value, rel=1e-9)


@st.composite
def shard_cases(draw):
    """Shards with ties, rows that several have, zeros; queries that are covered or weigh nothing."""
    n, d, q = draw(st.integers(2, 40)), draw(st.integers(1, 4)), draw(st.integers(1, 6))
    X = draw(hnp.arrays(np.float32, (n, d), elements=VALUES))
    if draw(st.booleans()):
        X = X[draw(hnp.arrays(np.intp, n, elements=st.integers(0, min(n - 1, 5))))]
    Q = draw(hnp.arrays(np.float32, (q, d), elements=VALUES) | st.just(X[np.arange(q) % n]))
    weights = st.sampled_from([0.0, 0.25, 1.0, 3.0]) | st.floats(0.01, 10)
    options = {
        "eta": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "metric": draw(st.sampled_from(["dot", "rbf", "cosine"])),
        "covered": draw(st.none() | hnp.arrays(np.float32, q, elements=VALUES)),
        "weights": draw(st.none() | hnp.arrays(np.float64, q, elements=weights).filter(np.any)),
    }
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=6)))
    return X, Q, np.split(X, cuts), draw(st.integers(1, min(n, 8))), options


@given(case=shard_cases())
def test_exact_is_greedy_on_all_rows_ties_and_all(case):
    X, Q, shards, budget, options = case
    chosen = core.maximize_sharded(shards, Q, budget, exact=True, part_bytes=1, **options)
    same(chosen, whole(X, Q, budget, **options))


@given(case=shard_cases(), exact=st.booleans())
def test_no_set_has_more_than_the_bound(case, exact):
    X, Q, shards, budget, options = case
    chosen = core.maximize_sharded(shards, Q, budget, exact=exact, bound=True, part_bytes=1, **options)
    f = core.FacilityLocationVariantMI.from_features(X, Q, **options)
    assert np.unique(chosen.indices).size == budget
    assert chosen.value == pytest.approx(f.evaluate(chosen.indices), rel=1e-9, abs=1e-12)
    assert chosen.gains.sum() == pytest.approx(chosen.value, rel=1e-9, abs=1e-9)
    several = combinations(range(len(X)), budget)
    best = max(f.evaluate(list(A)) for A in islice(several, 200))
    assert max(best, core.maximize(f, budget).value, chosen.value) <= chosen.bound * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_greedi_is_greedy_on_what_greedy_chose_in_each_part_there_and_back(seed):
    rng = np.random.default_rng(seed)
    X, Q = rng.normal(size=(60, 5)).astype(np.float32), rng.normal(size=(9, 5)).astype(np.float32)
    kept = [
        20 * p + core.maximize(core.FacilityLocation.from_features(X[20 * p :][:20], Q), 9).indices for p in range(3)
    ]
    union = np.sort(np.concatenate(kept))
    f = core.FacilityLocation.from_features(X[union], Q)
    parts = [core.maximize(core.FacilityLocation.from_features(X[20 * p :][:20], Q), 3).value for p in range(3)]
    more = core.maximize(f, 5).indices.tolist()
    while len(more) > 3:
        more.remove(max(sorted(more), key=lambda a: f.evaluate([b for b in more if b != a])))
    expected = max(core.maximize(f, 3).value, f.evaluate(more), *parts)
    chosen = core.maximize_sharded(np.split(X, 3), Q, 3, eta=0.0)
    assert chosen.value == pytest.approx(expected, rel=1e-12)
    P = np.maximum(core.similarity(X, Q), 0).astype(float)
    assert chosen.value == pytest.approx(P[chosen.indices].max(0).sum(), rel=1e-12)


@given(data=st.data(), n=st.integers(1, 8), q=st.integers(1, 5), eta=st.sampled_from([0.0, 0.5]))
def test_what_is_thinned_loses_least_in_every_step(data, n, q, eta):
    S = data.draw(hnp.arrays(np.float32, (n, q), elements=VALUES))
    covered = data.draw(st.none() | hnp.arrays(np.float32, q, elements=st.floats(0, 1, width=32)))
    weights = data.draw(st.none() | st.just(np.arange(q) + 1.0))
    budget = data.draw(st.integers(1, n))
    kept = thinned(S, None if covered is None else covered.astype(float), weights, eta, budget)
    f = core.FacilityLocationVariantMI(S, weights=weights, eta=eta, covered=covered)
    left = list(range(n))
    while len(left) > budget:
        values = {a: f.evaluate([b for b in left if b != a]) for a in left}
        gone = [a for a in left if a not in kept and values[a] >= max(values.values()) - 1e-9]
        assert gone  # one of those that the others make up for best
        left.remove(gone[-1])
    assert left == kept.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_a_share_of_the_optimum(seed):
    rng = np.random.default_rng(seed)
    X, Q = rng.normal(size=(14, 3)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    P = np.maximum(core.similarity(X, Q), 0).astype(float)
    best = max(P[list(A)].max(0).sum() for A in combinations(range(14), 3))
    chosen = core.maximize_sharded(np.split(X, [4, 9]), Q, 3, eta=0.0, bound=True)
    assert best <= chosen.bound <= 1.2 * best
    for exact, share in ((False, (1 - 1 / np.e) / 2), (True, 1 - 1 / np.e)):
        chosen = core.maximize_sharded(np.split(X, [4, 9]), Q, 3, eta=0.0, exact=exact)
        assert share * best <= chosen.value <= best * (1 + 1e-12)


@pytest.mark.parametrize(("seed", "eta"), [(0, 1.0), (1, 0.0)])
def test_values_come_close_and_exact_ones_are_equal(seed, eta):
    rng = np.random.default_rng(seed)
    every = slices(110, 100, 32, rng)
    X, Q = every[:10_000], every[10_000::4]
    best = whole(X, Q, 100, eta=eta, max_memory=2**30)
    for n_parts in (4, 16):
        shuffled = core.maximize_sharded(np.split(rng.permutation(X), n_parts), Q, 100, eta=eta)
        assert shuffled.value >= best.value
    contiguous = np.split(X, 16)
    chosen = core.maximize_sharded(contiguous, Q, 100, eta=eta, bound=True)
    assert chosen.value >= best.value
    assert chosen.value >= 0.98 * chosen.bound
    same(core.maximize_sharded(contiguous, Q, 100, eta=eta, exact=True), best)


def test_every_row_is_read_once_and_once_more_for_each_round():
    rng = np.random.default_rng(3)
    shards = [Counted(rng.normal(size=(n, 6)).astype(np.float16)) for n in (300, 50, 700)]
    Q = rng.normal(size=(40, 6)).astype(np.float16)
    heard = []
    core.maximize_sharded(shards, Q, 10, part_bytes=5_000, callback=lambda *said: heard.append(said))
    # 1050 rows are cut into parts of 40 at least: 5,000 bytes hold fewer.
    assert heard == [(1, 20 * (8 + 2 + 18))]
    assert all((shard.read == 1).all() for shard in shards)
    heard.clear()
    core.maximize_sharded(shards, Q, 10, exact=True, callback=lambda *said: heard.append(said))
    assert [n for n, _ in heard] == list(range(1, len(heard) + 1))
    assert all((shard.read == 1 + len(heard)).all() for shard in shards)
    heard.clear()
    core.maximize_sharded(shards, Q, 10, bound=True, callback=lambda *said: heard.append(said))
    assert [n for n, _ in heard] == [1, 2]


def test_arrays_files_and_executors_choose_the_same(tmp_path):
    rng = np.random.default_rng(4)
    X, Q = rng.normal(size=(900, 12)).astype(np.float16), rng.normal(size=(60, 12)).astype(np.float32)
    arrays = np.split(X, [100, 500])
    paths = [tmp_path / f"{at}.npy" for at in range(3)]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    expected = whole(X, Q, 20)
    for shards in (arrays, paths, [np.load(path, mmap_mode="r") for path in paths], [Counted(a) for a in arrays]):
        same(core.maximize_sharded(shards, Q, 20, exact=True, part_bytes=10_000), expected)
    greedi = core.maximize_sharded(arrays, Q, 20)
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(1, get_context("spawn")) as processes:
        for executor in (threads, processes):
            same(core.maximize_sharded(paths, Q, 20, exact=True, executor=executor), expected)
            there = core.maximize_sharded(paths, Q, 20, executor=executor, bound=True)
            same(there, greedi)
            assert there.bound == core.maximize_sharded(arrays, Q, 20, bound=True).bound >= greedi.value


def test_memory_of_one_part_serves_the_next(tmp_path):
    rng = np.random.default_rng(5)
    X, Q = rng.normal(size=(60_000, 3)).astype(np.float32), rng.normal(size=(300, 3)).astype(np.float32)
    paths = [tmp_path / f"{at}.npy" for at in range(3)]
    for path, array in zip(paths, np.split(X, [25_000, 45_000]), strict=True):  # bounds of more than 4 MiB, falling
        np.save(path, array)
    with ThreadPoolExecutor(1) as alone:  # where nothing is kept
        expected = core.maximize_sharded(paths, Q, 5, executor=alone)
    same(core.maximize_sharded(paths, Q, 5), expected)
    read = Part(paths[1], "shards[1]", 0, 20_000, 25_000, 3).read
    kept = read()
    with one_at_a_time():
        first = read()
        assert np.shares_memory(first, read())
    assert not np.shares_memory(read(), first)
    np.testing.assert_array_equal(kept, X[25_000:45_000])


def test_rows_that_would_be_chosen_are_found_and_no_others():
    S = np.array([[0.5, 0.0], [0.0, 0.5], [0.9, 0.0], [0.5, 0.0], [0.0, 0.46]], np.float32)
    f = core.FacilityLocation(S)

    def rivals(ties_below, margin=0.0, most_close=0, members=()):
        gains = np.array([0.5, 0.5])
        return _core.rivals(f._f, S[:2], gains, np.array(ties_below), np.array(members, int), margin, most_close, 1)

    np.testing.assert_array_equal(rivals([0, 0], members=[0, 1]), [2])
    np.testing.assert_array_equal(np.sort(rivals([9, 9], members=[0, 1])), [2, 3])
    np.testing.assert_array_equal(np.sort(rivals([0, 0], 0.1, 9, members=[0, 1])), [2, 3, 4])
    assert f.gain(0) == 0.5  # left as if it had just been made
    with pytest.raises(ValueError, match="`f`: expected a facility location"):
        _core.rivals(core.GraphCutMI(S)._f, S[:1], np.ones(1), np.zeros(1, int), np.zeros(0, int), 0.0, 0, 1)


def test_what_is_wrong_names_the_shard(tmp_path):
    X, Q = np.ones((6, 2), np.float32), np.ones((3, 2), np.float32)
    bad = X.copy()
    bad[4, 1] = np.nan
    (tmp_path / "no.npy").write_bytes(b"\x93NUMPY")
    np.savez(tmp_path / "two.npz", X, X)
    wrong = [
        (X, r"`shards`: expected a list of arrays or of paths of .npy files, got a ndarray"),
        ("a.npy", r"`shards`: expected a list .* got a str"),
        ([], r"`shards`: expected at least one array or path, got none"),
        ([X, X[:0]], r"`shards\[1\]`: expected shape \(rows, 2\) as `Q`, with at least one row, got shape \(0, 2\)"),
        ([X, X[:, :1]], r"`shards\[1\]`: expected shape \(rows, 2\)"),
        ([X, X.astype(float)], r"`shards\[1\]`: expected dtype float32 as shards\[0\], got float64"),
        ([X.astype(int)], r"`shards\[0\]`: expected dtype float16"),
        ([X, [[1.0, 2.0]]], r"`shards\[1\]`: expected an array or the path of a .npy file, got a list"),
        ([tmp_path / "none.npy"], r"`shards\[0\]`: expected a .npy file, got .*none.npy"),
        ([tmp_path / "no.npy"], r"`shards\[0\]`: expected a .npy file, got .*no.npy"),
        ([tmp_path / "two.npz"], r"`shards\[0\]`: expected a .npy file, got .*which holds several arrays"),
        ([X, bad], r"`shards\[1\]`, rows from 0: .*row 4"),
    ]
    for shards, message in wrong:
        with pytest.raises(core.InputError, match=message):
            core.maximize_sharded(shards, Q, 2)
    for options, message in (
        ({"budget": 13}, r"`budget`: expected an integer in 1..12, got 13"),
        ({"budget": 2, "executor": 3}, r"`executor`: expected an object with `submit`"),
        ({"budget": 2, "callback": 3}, r"`callback`: expected a callable"),
        ({"budget": 2, "exact": "yes"}, r"`exact`: expected True or False"),
        ({"budget": 2, "bound": 1}, r"`bound`: expected True or False"),
        ({"budget": 2, "part_bytes": 0}, r"`part_bytes`: expected an integer in 1"),
    ):
        with pytest.raises(core.InputError, match=message):
            core.maximize_sharded([X, X], Q, **options)
