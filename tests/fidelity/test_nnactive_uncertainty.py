"""nnActive's rankings of patches: entropies, BALD, expected Dice, power noise, soft ranks, k-means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from albench.scoring.features import stage_features
from albench.strategies import make_strategy
from albench.units.pool import Unit
from tests.fidelity.fidelity_inputs import Replay, frozen_network, gumbel, published
from tests.fidelity.fidelity_views import of_stages, volumes_view, whole_images


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("nnactive_pe", "predictive-entropy"),
        ("nnactive_bald", "bald"),
        ("nnactive_exp_entropy", "exp-entropy"),
    ],
)
def test_ranking(name: str, label: str) -> None:
    theirs, view = published(name)["results"], volumes_view()
    found = make_strategy(label).select(view, len(theirs["chosen"]), np.random.default_rng(0))
    assert found.indices.tolist() == theirs["chosen"]
    everything = make_strategy(label).select(view, len(view.units), np.random.default_rng(0))
    np.testing.assert_allclose(everything.scores, np.array(theirs["scores"])[everything.indices], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("nnactive_power_bald", "power-bald"),
        ("nnactive_power_bald_b5", "power-bald+beta=5"),
        ("nnactive_power_bald_b40", "power-bald+beta=40"),
        ("nnactive_power_pe", "power-pe"),
    ],
)
def test_power_noise(name: str, label: str) -> None:
    """The same noise makes the same batch, in the same order."""
    theirs = published(name)["results"]
    rng = Replay(gumbel(theirs["noise"], theirs["scale"]))
    found = make_strategy(label).select(volumes_view(), len(theirs["chosen"]), rng)  # type: ignore[arg-type]
    assert found.indices.tolist() == theirs["chosen"]
    rng.finish()


def test_soft_ranks() -> None:
    """All patches are ranked, and the same noise makes the same batch."""
    for case in published("nnactive_softrank")["results"]["cases"]:
        assert case["candidates"] == len(volumes_view().units)
        rng = Replay(gumbel(case["noise"], case["scale"]))
        found = make_strategy("softrank-bald").select(volumes_view(), len(case["chosen"]), rng)  # type: ignore[arg-type]
        assert found.indices.tolist() == case["chosen"]
        rng.finish()


def test_expected_dice() -> None:
    """The score alone: the published query class cannot be constructed, as its base class has other arguments."""
    theirs, view = np.array(published("nnactive_expected_dice")["results"]["scores"]), volumes_view()
    found = make_strategy("expected-dice").select(view, len(view.units), np.random.default_rng(0))
    np.testing.assert_allclose(found.scores, theirs[found.indices], rtol=1e-4)
    assert (np.diff(theirs[found.indices]) <= 1e-6).all()


def test_kmeans_bald() -> None:
    """The same candidates of each image, and from them the same batch."""
    view = volumes_view()
    view = replace(view, scores=replace(view.scores, stage_features=of_stages()))
    for case in published("nnactive_kmeans_bald")["results"]["cases"]:
        strategy = make_strategy(f"kmeans-bald+per_case={2 * case['budget']}")
        candidates = strategy._candidates(view, case["budget"], view.score("mutual_information"))  # type: ignore[attr-defined]
        assert sorted(candidates.tolist()) == sorted(case["candidates"])
        found = strategy.select(view, case["budget"], np.random.default_rng(0))
        assert found.indices.tolist() == case["chosen"]


def test_stage_features() -> None:
    """Mean over a unit of the encoder's second-deepest stage."""
    network, images = frozen_network()
    theirs = published("nnactive_stage")["results"]
    assert theirs["stage"] == f"encoder.stages.{len(network.encoder.stages) - 2}"
    units = [Unit("case", i) for i in range(len(images))]
    found = stage_features([network], units, lambda _: iter([whole_images(images)]))
    np.testing.assert_allclose(found, theirs["features"], rtol=1e-4, atol=1e-5)
