"""Splits whose test cases vary, and groups of cases that no split parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from albench.errors import InputError
from albench.units.pool import Split
from albench.units.split import assign_folds, split_cases

SIZES = st.lists(st.integers(1, 5), min_size=2, max_size=12)


def grouped(sizes: list[int]) -> dict[str, str]:
    """Case to group; names of a group's cases do not sort beside each other."""
    return {f"scan{scan}-p{patient:02}": f"p{patient:02}" for patient, n in enumerate(sizes) for scan in range(n)}


def split(
    groups: Mapping[str, str],
    share: float = 0.3,
    *,
    plain: bool = False,
    max_test: int | None = None,
    max_pool: int | None = None,
    testable: list[str] | None = None,
    fold: tuple[int, int] | None = None,
    seed: int = 0,
) -> Split:
    return split_cases(
        list(groups),
        test_share=share,
        max_test_cases=max_test,
        max_pool_cases=max_pool,
        testable=testable,
        groups=None if plain else groups,
        fold=fold,
        test_rng=np.random.default_rng(seed),
        pool_rng=np.random.default_rng(seed + 1),
    )


def of(groups: Mapping[str, str], cases: tuple[str, ...]) -> set[str]:
    return {groups[case] for case in cases}


@settings(deadline=None, max_examples=150)
@given(
    sizes=SIZES, share=st.floats(0.05, 0.9), max_pool=st.one_of(st.none(), st.integers(1, 20)), seed=st.integers(0, 9)
)
def test_no_group_is_on_both_sides(sizes: list[int], share: float, max_pool: int | None, seed: int) -> None:
    groups = grouped(sizes)
    found = split(groups, share, max_pool=max_pool, seed=seed)
    assert found.pool and found.test
    assert not of(groups, found.pool) & of(groups, found.test)
    assert found == split(groups, share, max_pool=max_pool, seed=seed)
    # whole groups; as many cases as fit, or the smallest group
    n = min(max(1, round(share * len(groups))), len(groups) - 1)
    left = [size for patient, size in enumerate(sizes) if f"p{patient:02}" not in of(groups, found.test)]
    assert len(found.test) == sum(sizes) - sum(left)
    assert len(found.test) <= max(n, min(sizes))
    assert len(found.test) + min(left) > n
    assert len(found.pool) == min(sum(left), max_pool or 100)


@settings(deadline=None, max_examples=80)
@given(n=st.integers(2, 30), share=st.floats(0.05, 0.95), max_test=st.one_of(st.none(), st.integers(1, 9)))
def test_groups_of_one_case_split_as_none_do(n: int, share: float, max_test: int | None) -> None:
    groups = grouped([1] * n)
    assert split(groups, share, max_test=max_test) == split(groups, share, max_test=max_test, plain=True)


def test_a_split_without_groups_is_the_one_it_always_was() -> None:
    """Drawn before there were groups; a finished study goes on with the same cases."""
    cases = [f"case{i:02}" for i in range(20)]
    found = split(dict.fromkeys(cases, ""), 0.2, plain=True, max_pool=5)
    assert found.test == tuple(sorted(cases[i] for i in np.random.default_rng(0).choice(20, 4, replace=False)))
    rest = [case for case in cases if case not in found.test]
    assert found.pool == tuple(sorted(rest[i] for i in np.random.default_rng(1).choice(16, 5, replace=False)))
    order = np.random.default_rng(3).permutation(20)
    assert assign_folds(cases, 3, np.random.default_rng(3)) == {cases[p]: i % 3 for i, p in enumerate(order)}


@settings(deadline=None, max_examples=100)
@given(sizes=SIZES, n_folds=st.integers(1, 6), seed=st.integers(0, 9))
def test_no_group_is_in_two_folds(sizes: list[int], n_folds: int, seed: int) -> None:
    groups = grouped(sizes)
    folds = assign_folds(list(groups), n_folds, np.random.default_rng(seed), groups)
    assert set(folds) == set(groups)
    assert all(len({folds[case] for case in groups if groups[case] == group}) == 1 for group in set(groups.values()))
    counts = np.bincount(list(folds.values()), minlength=n_folds)
    assert counts.max() - counts.min() <= max(sizes)


@settings(deadline=None, max_examples=80)
@given(sizes=SIZES, n_folds=st.integers(2, 6))
def test_test_folds_hold_every_case_out_once(sizes: list[int], n_folds: int) -> None:
    assume(n_folds <= len(sizes))
    groups = grouped(sizes)
    splits = [split(groups, fold=(number, n_folds)) for number in range(n_folds)]
    assert sorted(case for found in splits for case in found.test) == sorted(groups)
    for found in splits:
        assert sorted((*found.pool, *found.test)) == sorted(groups)
        assert not of(groups, found.pool) & of(groups, found.test)


def test_a_bound_on_test_cases_holds_in_folds() -> None:
    groups = grouped([2] * 9)
    found = split(groups, fold=(1, 3), max_test=5)
    assert len(found.test) == 4
    assert len(found.pool) == 14


def test_scans_of_a_tested_patient_are_in_no_pool_even_where_they_cannot_be_tested_on() -> None:
    groups = grouped([2, 2, 2])
    complete = [case for case in groups if case.startswith("scan0")]
    found = split(groups, testable=complete)
    assert len(found.test) == 1 and len(found.pool) == 4
    with pytest.raises(InputError, match=r"pool.test_share: .* 3 test cases are of all 3"):
        split(groups, 0.99, testable=complete)


@pytest.mark.parametrize(
    ("sizes", "fold", "message"),
    [([3], None, "at least 2 groups to split, found 3 cases of one"), ([2, 2], (0, 3), "at most the 2 cases")],
)
def test_too_few_groups_are_named(sizes: list[int], fold: tuple[int, int] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(grouped(sizes), fold=fold)
