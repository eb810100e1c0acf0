"""Budgets that vary by query: read, refused, and cut to the queries there are."""

from __future__ import annotations

import json

import pytest

from albench.config import Protocol, runs
from albench.errors import InputError
from albench.protocols import load_protocol


@pytest.mark.parametrize(
    ("budget", "rounds", "budgets"),
    [(7, 4, (7, 7, 7)), ([5, 5, 9], 4, (5, 5, 9)), ([5, 5, 9], 3, (5, 5)), ([5], 1, ()), (7, 1, ())],
)
def test_each_query_has_its_budget(budget: object, rounds: int, budgets: tuple[int, ...]) -> None:
    found = load_protocol("quick", [f"budget={budget}"], rounds=rounds)
    assert found.budgets == budgets
    assert Protocol.model_validate(json.loads(found.model_dump_json())) == found


@pytest.mark.parametrize("budget", ["[]", "[5, 0]", "[5, 2.5]", "many", "true", "0", "null"])
def test_what_is_no_budget_is_refused(budget: str) -> None:
    with pytest.raises(
        InputError, match=r"setting budget: expected a whole number from 1 to a billion, or a list of them"
    ):
        load_protocol("quick", [f"budget={budget}"])


def test_fewer_budgets_than_queries_are_refused() -> None:
    with pytest.raises(InputError, match=r"setting budget: expected a number for each of the 3 queries, got 2"):
        load_protocol("quick", ["budget=[5, 9]"], rounds=4)


def test_equal_budgets_in_a_row_are_told_together() -> None:
    assert runs((100, 100, 900, 100)) == [(2, 100), (1, 900), (1, 100)]
    assert runs(()) == []


def test_the_ceiling_trains_as_long_as_a_chain_or_as_it_is_told() -> None:
    chain = load_protocol("quick", rounds=3)
    assert chain.ceiling_iterations == chain.chain_iterations == 600 + 2 * 350
    own = load_protocol("quick", ["training.full_iterations=5000"], rounds=3)
    assert (own.ceiling_iterations, own.chain_iterations) == (5000, chain.chain_iterations)


def test_fresh_heads_are_for_warm_starts() -> None:
    assert load_protocol("quick", ["training.reinitialise_heads=true"]).training.reinitialise_heads
    with pytest.raises(InputError, match=r"setting training.reinitialise_heads: expected training.warm_start true"):
        load_protocol("quick", ["training.reinitialise_heads=true", "training.warm_start=false"])
