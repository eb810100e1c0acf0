"""Which cases are annotated from, which are tested on, and which fold each is in; groups of cases stay together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from albench.errors import InputError
from albench.units.pool import Split


def split_cases(
    cases: Sequence[str],
    *,
    test_share: float,
    max_test_cases: int | None,
    max_pool_cases: int | None,
    testable: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
    fold: tuple[int, int] | None = None,
    test_rng: np.random.Generator,
    pool_rng: np.random.Generator,
) -> Split:
    """Hold out test cases, then draw the pool from the rest.

    Two generators, so that the test cases can stay the same for every seed while the pool changes with it.

    Parameters
    ----------
    test_share
        Share of the testable cases.
    testable
        Cases that may be held out; None: all.
    keep
        Cases that are in the pool, unless held out, whatever `max_pool_cases` says.
    groups
        Case to group, such as a patient; a case without an entry is a group of its own. No group is both in the pool
        and tested on. Test cases are then as many as whole groups allow without being more than asked for, or the
        smallest group.
    fold
        Number of a fold and how many there are: its cases are held out instead of a share. Which case is in which fold
        is up to `test_rng`.

    Raises
    ------
    InputError
        If there are fewer than two groups, fewer than folds, none to test on, or none left.
    """
    if len(cases) < 2:
        raise InputError(f"expected at least 2 cases to split into pool and test, got {len(cases)}")
    names = sorted(cases)
    candidates = names if testable is None else sorted(testable)
    if not candidates:
        raise InputError("expected a completely labelled case to test on, found none")
    group_of = {name: (groups or {}).get(name, name) for name in names}
    if len(set(group_of.values())) < 2:
        raise InputError(f"expected cases of at least 2 groups to split, found {len(names)} cases of one")
    if fold is not None:
        number, n_folds = fold
        candidates = _of_fold(candidates, number, n_folds, group_of, test_rng)
        n_test = len(candidates)
    else:
        n_test = min(max(1, round(test_share * len(candidates))), len(candidates), len(names) - 1)
    if max_test_cases is not None:
        n_test = min(n_test, max_test_cases)
    test = set(candidates) if fold and n_test == len(candidates) else _draw(candidates, n_test, group_of, test_rng)
    tested = {group_of[name] for name in test}
    rest = [name for name in names if group_of[name] not in tested]
    if not rest:
        raise InputError(
            f"pool.test_share: expected groups that leave some for the pool, but {len(test)} test cases are of all "
            f"{len(tested)}; take a smaller share"
        )
    if max_pool_cases is not None and max_pool_cases < len(rest):
        kept = set(keep).intersection(rest)
        others = [name for name in rest if name not in kept]
        n_others = max(0, min(max_pool_cases - len(kept), len(others)))
        drawn = (others[i] for i in pool_rng.choice(len(others), n_others, replace=False)) if n_others else ()
        rest = sorted((*kept, *drawn))
    return Split(pool=tuple(rest), test=tuple(sorted(test)))


def assign_folds(
    cases: Sequence[str], n_folds: int, rng: np.random.Generator, groups: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Fold of each case, 0 to `n_folds` - 1: groups whole, and no fold with two cases more than another without groups.

    Groups go, the largest first and those of a size in random order, to the fold with the fewest cases: two folds
    differ by no more than the largest group.
    """
    members = _members(cases, groups or {})
    order = sorted(rng.permutation(len(members)).tolist(), key=lambda place: -len(members[place]))
    sizes = [0] * n_folds
    folds: dict[str, int] = {}
    for place in order:
        fold = sizes.index(min(sizes))
        folds |= dict.fromkeys(members[place], fold)
        sizes[fold] += len(members[place])
    return folds


def _members(cases: Sequence[str], groups: Mapping[str, str]) -> list[list[str]]:
    """Cases by group, both in the order they come."""
    members: dict[str, list[str]] = {}
    for case in cases:
        members.setdefault(groups.get(case, case), []).append(case)
    return list(members.values())


def _of_fold(
    cases: Sequence[str], number: int, n_folds: int, groups: Mapping[str, str], rng: np.random.Generator
) -> list[str]:
    n_groups = len({groups[case] for case in cases})
    if n_folds > n_groups:
        raise InputError(
            f"pool.test_folds: expected at most the {n_groups} cases, or groups of cases, to test on, got {n_folds}"
        )
    folds = assign_folds(cases, n_folds, rng, groups)
    return [case for case in cases if folds[case] == number]


def _draw(cases: Sequence[str], n: int, groups: Mapping[str, str], rng: np.random.Generator) -> set[str]:
    """Draw `n` of the cases, or as many as whole groups allow: in random order, each that still fits."""
    members = _members(cases, groups)
    if len(members) == len(cases):
        return {cases[i] for i in rng.choice(len(cases), n, replace=False)}
    drawn: set[str] = set()
    order = rng.permutation(len(members)).tolist()
    for place in order:
        if len(drawn) + len(members[place]) <= n:
            drawn.update(members[place])
    return drawn or set(members[min(order, key=lambda place: len(members[place]))])
