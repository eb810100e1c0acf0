from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.errors import InputError
from albench.pool import Pool, Split, Unit, split_cases

UNITS = (Unit("a", 2), Unit("a", 10), Unit("b", 0))


def pool(n_labels: int = 3) -> Pool:
    counts = np.arange(3 * n_labels, dtype=np.int64).reshape(3, n_labels)
    return Pool(UNITS, {"a": 1, "b": 2}, counts, counts.sum(axis=1) + 5, counts // 2)


@pytest.mark.parametrize("n_labels", [2, 12])  # columns n_voxels_10 and n_voxels_11 sort before n_voxels_2
def test_a_saved_pool_comes_back(tmp_path: Path, n_labels: int) -> None:
    before = pool(n_labels)
    before.save(tmp_path / "pool.parquet")
    after = Pool.load(tmp_path / "pool.parquet")
    assert after.units == before.units
    assert after.axes == before.axes
    assert after.cases == ("a", "b")
    assert {type(unit.index) for unit in after.units} | {type(axis) for axis in after.axes.values()} == {int}
    for name in ("voxel_counts", "n_voxels", "border_counts"):
        assert getattr(after, name).dtype == np.int64
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert list(tmp_path.iterdir()) == [tmp_path / "pool.parquet"]


def test_rows_follow_the_order_asked_for() -> None:
    rows = pool().rows([Unit("b", 0), Unit("a", 2), Unit("b", 0)])
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, [2, 0, 2])
    assert pool().rows([]).dtype == np.int64
    assert pool().rows([]).shape == (0,)


def test_rows_of_an_unknown_unit_are_an_input_error() -> None:
    with pytest.raises(InputError, match=r"unit Unit\(case='b', index=1\) is not in the pool of 3 units"):
        pool().rows([Unit("a", 2), Unit("b", 1)])


@pytest.mark.parametrize("units", [UNITS[::-1], (UNITS[0], UNITS[0], UNITS[1])])
def test_units_are_sorted_and_unique(units: tuple[Unit, ...]) -> None:
    with pytest.raises(ValueError, match="units: expected unique units sorted"):
        Pool(units, {"a": 0, "b": 0}, np.zeros((3, 2), np.int64), np.zeros(3, np.int64), np.zeros((3, 2), np.int64))


@pytest.mark.parametrize(
    ("counts", "n_voxels", "borders", "message"),
    [
        ((2, 2), (3,), (3, 2), r"voxel_counts: expected shape \(3, 2\), got \(2, 2\)"),
        ((3, 2), (4,), (3, 2), r"n_voxels: expected shape \(3,\), got \(4,\)"),
        ((3, 2), (3, 1), (3, 2), r"n_voxels: expected shape \(3,\), got \(3, 1\)"),
        ((3, 2), (3,), (3, 3), r"border_counts: expected shape \(3, 2\), got \(3, 3\)"),
    ],
)
def test_arrays_have_a_row_for_each_unit(
    counts: tuple[int, ...], n_voxels: tuple[int, ...], borders: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Pool(UNITS, {"a": 0, "b": 0}, *(np.zeros(shape, np.int64) for shape in (counts, n_voxels, borders)))


def test_a_pool_without_borders_is_refused_by_the_column(tmp_path: Path) -> None:
    pool().save(tmp_path / "pool.parquet")
    table = pd.read_parquet(tmp_path / "pool.parquet").drop(columns="n_border_voxels_1")
    table.to_parquet(tmp_path / "pool.parquet")
    with pytest.raises(InputError, match="expected column 'n_border_voxels_1', found none: written by an earlier"):
        Pool.load(tmp_path / "pool.parquet")


def split(
    cases: list[str], share: float = 0.2, max_test: int | None = None, max_pool: int | None = None, seed: int = 0
) -> Split:
    return split_cases(
        cases,
        test_share=share,
        max_test_cases=max_test,
        max_pool_cases=max_pool,
        test_rng=np.random.default_rng(1),
        pool_rng=np.random.default_rng(seed),
    )


LIMITS = st.one_of(st.none(), st.integers(1, 30))


@settings(deadline=None, max_examples=50)
@given(
    cases=st.lists(st.sampled_from([f"c{i}" for i in range(60)]), min_size=2, max_size=30, unique=True),
    share=st.floats(0.01, 0.99),
    max_test=LIMITS,
    max_pool=LIMITS,
    data=st.data(),
)
def test_a_split_is_two_disjoint_sorted_parts_within_their_limits(cases, share, max_test, max_pool, data) -> None:
    found = split(cases, share, max_test, max_pool)
    assert not set(found.pool) & set(found.test)
    assert set(found.pool) | set(found.test) <= set(cases)
    for part in (found.pool, found.test):
        assert len(part) >= 1
        assert list(part) == sorted(set(part))
    n_test = min(max(1, round(share * len(cases))), max_test or 30, len(cases) - 1)
    assert len(found.test) == n_test
    assert len(found.pool) == min(len(cases) - n_test, max_pool or 30)
    shuffled = data.draw(st.permutations(cases))
    assert split(shuffled, share, max_test, max_pool) == found


def test_the_pool_changes_with_its_seed_and_the_test_cases_do_not() -> None:
    cases = [f"case{i:02}" for i in range(30)]
    splits = [split(cases, max_pool=10, seed=seed) for seed in range(4)]
    assert len({s.test for s in splits}) == 1
    assert len({s.pool for s in splits}) == 4


@pytest.mark.parametrize("cases", [[], ["only"]])
def test_one_case_cannot_be_split(cases: list[str]) -> None:
    with pytest.raises(InputError, match=f"at least 2 cases .* got {len(cases)}"):
        split(cases)
