from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.seeding import generator, seed_for

PART = st.one_of(st.integers(-3, 12), st.text("ab1' ,\x1f\\", max_size=3))
KEYS = st.lists(PART, max_size=4).map(tuple)


def test_streams_never_change() -> None:
    # Published results were drawn from these streams: a change here makes all of them irreproducible.
    assert seed_for("hippocampus", 0, 1, "select") == 9003869342031709489
    assert generator("hippocampus", 0, 1, "select").bit_generator.random_raw(2).tolist() == [
        17142191796653349981,
        13234720953581043415,
    ]


@settings(deadline=None)
@given(KEYS, KEYS)
def test_different_keys_have_different_seeds(a: tuple[int | str, ...], b: tuple[int | str, ...]) -> None:
    assert (seed_for(*a) == seed_for(*b)) == (a == b)


def test_parts_are_kept_apart() -> None:
    keys = [("a", "b"), ("ab",), ("a b",), ("a\x1fb",), ("'a'\x1f'b'",), ("b", "a"), (1,), ("1",), (11,), (1, 1), ()]
    assert len({seed_for(*key) for key in keys}) == len(keys)


@settings(deadline=None)
@given(KEYS)
def test_seeds_fit_every_generator(key: tuple[int | str, ...]) -> None:
    assert 0 <= seed_for(*key) < 2**63
    assert seed_for(*key) == seed_for(*key)


def test_nothing_but_the_key_feeds_a_stream() -> None:
    first = generator("d", 1).random(5)
    np.random.default_rng(0).random(100)
    generator("d", 2).random(3)
    np.testing.assert_array_equal(generator("d", 1).random(5), first)


def test_streams_of_neighbouring_keys_are_unrelated() -> None:
    draws = np.stack(
        [generator("d", seed, round_).random(2000) for seed, round_ in itertools.product(range(3), range(3))]
    )
    correlation = np.corrcoef(draws) - np.eye(9)
    assert np.abs(correlation).max() < 0.1


def test_numpy_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="expected str and int, got int64"):
        seed_for("x", np.int64(1))  # type: ignore[arg-type]
