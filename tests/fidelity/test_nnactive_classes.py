"""nnActive's class-stratified entropy and ClaSP PE: scores, schedules, lists and batches."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from albench.strategies import PoolView, Strategy, make_strategy
from albench.strategies.stratified import ClaspPe
from tests.fidelity.fidelity_inputs import Replay, gumbel, published
from tests.fidelity.fidelity_views import volumes_view

CLASPE = {
    "nnactive_claspe": "exponential",
    "nnactive_claspe_smooth": "smooth-sigmoid",
    "nnactive_claspe_sharp": "sharp-sigmoid",
}
N_CLASSES_APART = 5


def scores_by_list(view: PoolView) -> np.ndarray:
    """What the lists of the foreground classes, and of all, are ranked by; (units, lists)."""
    return np.column_stack([view.score("class_entropy")[:, 1:], view.score("predictive_entropy")])


def places(case: dict[str, Any], percent: int) -> dict[str, Any]:
    """The draw of the classes that get the places which do not divide evenly."""
    remainder = percent * case["budget"] // 100 % N_CLASSES_APART
    result = [int(label) - 1 for label in case["shuffled"][:remainder]]
    return {"call": "choice", "n": N_CLASSES_APART, "size": remainder, "replace": False, "p": None, "result": result}


@pytest.mark.parametrize("percent", [66, 33])
def test_scores(percent: int) -> None:
    theirs = published(f"nnactive_class_pe{percent}")["results"]
    assert theirs["lists"] == [1, 2, 3, -1]
    np.testing.assert_allclose(scores_by_list(volumes_view()), theirs["scores"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("percent", [66, 33])
def test_batches_where_no_two_lists_want_the_same_patch(percent: int) -> None:
    """The same batch, list by list, with the same classes given one place more."""
    for case in published(f"nnactive_class_pe{percent}")["results"]["cases"]:
        rng = Replay(places(case, percent))
        found = make_strategy(f"class-pe{percent}").select(volumes_view("apart"), case["budget"], rng)  # type: ignore[arg-type]
        assert found.indices.tolist() == case["chosen"]
        rng.finish()


@pytest.mark.parametrize(("percent", "in_common"), [(66, 22), (33, 20)])
def test_batches_where_lists_compete_differ(percent: int, in_common: int) -> None:
    """A patch that several lists want goes to another one of them than in the published code: docs/strategies.md.

    That shares each image's patches out among the lists, in random order, before it ranks over images.
    """
    theirs = published(f"nnactive_class_pe{percent}")["results"]["contested"]
    strategy = make_strategy(f"class-pe{percent}")
    ours = [strategy.select(volumes_view(), 24, np.random.default_rng(seed)).indices for seed in range(len(theirs))]
    assert np.median([len(set(a) & set(b)) for a, b in zip(ours, theirs, strict=True)]) == in_common


@pytest.mark.parametrize("name", CLASPE)
def test_schedule(name: str) -> None:
    """Query after query the published betas, of which the last is for no query."""
    schedule = CLASPE[name]
    for n_trainings, betas in published("nnactive_schedules")["results"].items():
        n_queries = int(n_trainings) - 1
        view = [volumes_view(query=query, n_queries=n_queries) for query in range(n_queries)]
        strategy = ClaspPe(schedule=schedule, variant="published")  # type: ignore[arg-type]
        np.testing.assert_allclose(
            [strategy.beta(at) for at in view], betas[schedule.replace("-", "_")[: len("smooth_sigmoid")]][:-1]
        )


def ranked(strategy: Strategy, noise: np.ndarray, scale: float, view: PoolView) -> list[list[int]]:
    """The first 12 units of each list."""
    lists = []
    for scores, of_list in zip(scores_by_list(view).T, noise.T, strict=True):
        rng = Replay(gumbel(of_list, scale))
        lists.append(strategy._rank(scores, view, rng)[:12].tolist())  # type: ignore[attr-defined]
    return lists


@pytest.mark.parametrize("name", CLASPE)
def test_noisy_lists(name: str) -> None:
    """At every query the noise has the published scale, and with the same noise each list has the same order."""
    strategy = make_strategy(f"claspe+schedule={CLASPE[name]}+variant=published")
    queries = published(name)["results"]["lists"]
    for query in queries:
        view = volumes_view(query=query["query"], n_queries=len(queries))
        assert ranked(strategy, np.array(query["noise"]), query["scale"], view) == query["first"]
    assert all(before["scale"] > after["scale"] for before, after in pairwise(queries))


@pytest.mark.parametrize("name", CLASPE)
def test_claspe_batches_where_no_two_lists_want_the_same_patch(name: str) -> None:
    strategy = make_strategy(f"claspe+schedule={CLASPE[name]}+variant=published")
    for case in published(name)["results"]["cases"]:
        view = volumes_view("apart", query=case["query"], n_queries=case["n_queries"])
        rng = Replay(places(case, 66), *(gumbel(of_list, case["scale"]) for of_list in np.array(case["noise"]).T))
        found = strategy.select(view, case["budget"], rng)  # type: ignore[arg-type]
        assert found.indices.tolist() == case["chosen"]
        rng.finish()


@pytest.mark.parametrize("percent", [66, 33])
def test_class_power_lists(percent: int) -> None:
    theirs = published(f"nnactive_class_power_pe{percent}")["results"]
    strategy = make_strategy(f"class-power-pe{percent}")
    assert ranked(strategy, np.array(theirs["noise"]), theirs["scale"], volumes_view()) == theirs["first"]
