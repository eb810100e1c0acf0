"""ALUNET's CoreSet and the centres of its BADGE."""

from __future__ import annotations

import numpy as np
import pytest

from albench import core
from albench.scoring.request import Features, Scores
from albench.strategies import PoolView, make_strategy
from albench.units.pool import Unit
from tests.fidelity.fidelity_inputs import inputs, published


def view_of(**scores: object) -> PoolView:
    return PoolView(tuple(Unit("case", i) for i in range(23)), Scores(**scores), np.ones(3))  # type: ignore[arg-type]


@pytest.mark.parametrize(("annotated", "name"), [(slice(None), "chosen"), (slice(0), "chosen_from_nothing")])
def test_coreset(annotated: slice, name: str) -> None:
    """Farthest first from the annotated units; without any, from the unit of index 0."""
    frozen, theirs = inputs("vectors"), published("alunet_coreset")["results"][name]
    view = view_of(features=Features(frozen["features"], frozen["annotated_features"][annotated]))
    found = make_strategy("coreset").select(view, len(theirs), np.random.default_rng(0))
    assert found.indices.tolist() == theirs


class Seed:
    """Gives a strategy the seed that the published code's uniform numbers are of."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def integers(self, high: int) -> int:
        return self._seed


def test_badge() -> None:
    """With the same uniform numbers the same centres, the first being the longest gradient."""
    gradients = inputs("vectors")["gradients"]
    for case in published("alunet_badge")["results"]["cases"]:
        found = make_strategy("badge").select(view_of(last_layer=gradients), len(case["chosen"]), Seed(case["seed"]))
        assert found.indices.tolist() == case["chosen"]


def test_badge_draws_by_squared_distance() -> None:
    """What the centres are drawn by, and that the published draw of each is the core's."""
    gradients = inputs("vectors")["gradients"].astype(np.float64)
    case = published("alunet_badge")["results"]["cases"][0]
    chosen = case["chosen"]
    for n, (uniform, theirs) in enumerate(zip(case["uniforms"], case["probabilities"], strict=True), start=1):
        squares = ((gradients[:, None] - gradients[chosen[:n]]) ** 2).sum(axis=2).min(axis=1)
        np.testing.assert_allclose(squares / squares.sum(), theirs, rtol=1e-4, atol=1e-9)
        assert np.searchsorted(np.cumsum(squares / squares.sum()), uniform) == chosen[n]
    assert core.kmeans_plusplus(gradients, len(chosen), rng_seed=case["seed"]).tolist() == chosen
