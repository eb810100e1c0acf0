"""Cases divided among annotators: whole, disjoint, nearly as many units for all."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.annotation.annotators import divide
from albench.errors import InputError

names = st.lists(st.sampled_from(["anna", "ben", "cleo", "dan"]), min_size=1, max_size=4, unique=True)
counts = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(1, 20), min_size=4, max_size=7)


@settings(max_examples=50, deadline=None)
@given(n_units=counts, annotators=names)
def test_all_get_nearly_as_many(n_units: dict[str, int], annotators: list[str]) -> None:
    given_to = divide(n_units, annotators)
    assert set(given_to) == set(n_units), "every case is given, and once"
    load: Counter[str] = Counter(dict.fromkeys(annotators, 0))
    for case, name in given_to.items():
        load[name] += n_units[case]
    assert set(load) == set(annotators)
    assert min(load.values()) > 0, "nobody is without work"
    m = len(annotators)
    best = min(
        max(sum(n for n, who in zip(n_units.values(), way, strict=True) if who == k) for k in range(m))
        for way in itertools.product(range(m), repeat=len(n_units))
    )
    assert max(load.values()) <= (4 / 3 - 1 / (3 * m)) * best + 1e-9
    assert max(load.values()) - min(load.values()) <= max(n_units.values())


@given(n_units=counts, annotators=names, data=st.data())
def test_the_order_of_cases_is_of_no_matter(
    n_units: dict[str, int], annotators: list[str], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(n_units.items()))))
    assert divide(shuffled, annotators) == divide(n_units, annotators)


@pytest.mark.parametrize(
    ("annotators", "message"),
    [
        (["anna", "a/b"], "annotators: expected a plain name"),
        (["anna", "Anna"], "annotators: expected distinct names, got anna, Anna"),
        (["a", "b", "c"], "annotators: expected at most one for each of 2 cases, which are not divided, got 3"),
    ],
)
def test_what_cannot_be_is_refused(annotators: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        divide({"c1": 3, "c2": 1}, annotators)
