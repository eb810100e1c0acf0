"""What a strategy is given does not depend on what else is computed beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from albench.scoring.request import (
    Features,
    FisherEmbedding,
    GradientSettings,
    Need,
    Scores,
    ScoringRequest,
    unit_passes,
)
from albench.training.model import NnunetModel
from albench.units.pool import Unit
from tests.support.scoring_fixtures import DIVISORS, FIRST_SLICE, IMAGES, PATCH, UNITS, small_batches, small_network

PLAN = ScoringRequest(
    passes=4,
    dropout=0.3,
    batch_size=3,
    bfloat16=False,
    class_weights=np.array([0.0, 0.4, 0.6]),
    key=("needs", 0),
    n_fisher_units=3,
    n_parameters=50,
    labelled=(Unit("a", 3), Unit("b", 4)),
)
EVERYTHING = ~Need.NOTHING


class Store:
    """The few things that scoring asks of the preprocessed data set."""

    open_image = staticmethod(IMAGES.__getitem__)
    first_slice = staticmethod(FIRST_SLICE.__getitem__)


def small_model() -> NnunetModel:
    model = NnunetModel.__new__(NnunetModel)  # without plans and checkpoint
    model.warnings = []
    model._store, model._device = Store(), torch.device("cpu")  # type: ignore[assignment]
    model._patch_size, model._divisors = PATCH, DIVISORS
    model._networks = [small_network(deep_supervision=True)]
    return model


def arrays(scores: Scores, need: Need) -> list[np.ndarray]:
    value = getattr(scores, str(need.name).lower())
    return list(vars(value).values()) if isinstance(value, (FisherEmbedding, Features)) else [value]


def assert_same(first: Scores, second: Scores, needs: Need) -> None:
    for need in needs:
        for a, b in zip(arrays(first, need), arrays(second, need), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("need", list(Need), ids=str)
def test_alone_or_beside_all_others_a_quantity_is_the_same_bit_for_bit(need: Need, bfloat16: bool) -> None:
    plan = replace(PLAN, bfloat16=bfloat16)
    together = small_model().score(UNITS, EVERYTHING, plan)
    assert_same(small_model().score(UNITS, need, plan), together, need)


@pytest.mark.parametrize("need", [*Need, EVERYTHING], ids=str)
def test_progress_counts_every_unit_in_every_pass(need: Need) -> None:
    for plan in (PLAN, replace(PLAN, variance=np.full((len(UNITS), 3), 0.1)), replace(PLAN, n_fisher_units=500)):
        n_done = 0

        def advance() -> None:
            nonlocal n_done
            n_done += 1

        small_model().score(UNITS, need, plan, advance)
        assert n_done == len(UNITS) * unit_passes(need, plan.variance is not None)


def test_a_model_that_has_scored_before_says_the_same() -> None:
    model = small_model()
    first = model.score(UNITS, EVERYTHING, PLAN)
    torch.manual_seed(123)  # the global generator plays no part
    torch.rand(7)
    assert_same(model.score(UNITS, EVERYTHING, PLAN), first, EVERYTHING)


def test_an_ensemble_is_uncertain_by_its_networks_and_embeds_by_the_first() -> None:
    model, networks = small_model(), [small_network(seed=seed, deep_supervision=True) for seed in range(3)]
    model._networks = list(networks)
    found = model.score(UNITS, EVERYTHING, replace(PLAN, source="ensemble"))
    softmax = []
    for network in networks:
        network.decoder.deep_supervision = False
        rows: list[np.ndarray] = [np.empty(0)] * len(UNITS)
        for batch in small_batches():
            with torch.no_grad():
                p = torch.softmax(batch.cut(network(batch.images)).double(), dim=1).numpy()
            for place, position in enumerate(batch.positions):
                rows[position] = p[place]
        softmax.append(rows)
    expected = [np.var([rows[i] for rows in softmax], axis=0).mean(axis=(1, 2)) for i in range(len(UNITS))]
    np.testing.assert_allclose(found.variance, expected, rtol=1e-4)
    first = small_model()
    first._networks = [networks[0]]
    alone = first.score(UNITS, EVERYTHING, replace(PLAN, source="ensemble", variance=found.variance))
    assert_same(found, alone, Need.ENTROPY | Need.FISHER | Need.BOTTLENECK | Need.LAST_LAYER | Need.FEATURES)
    assert (alone.mutual_information < 1e-6).all()  # one network never disagrees
    assert found.stage_features is not None and alone.stage_features is not None
    assert found.stage_features.shape == (len(UNITS), 3 * alone.stage_features.shape[1])
    np.testing.assert_array_equal(found.stage_features[:, : alone.stage_features.shape[1]], alone.stage_features)


@pytest.mark.parametrize("layers", ["encoder", "all"])
def test_other_layers_change_the_fisher_gradients_alone(layers: str) -> None:
    decoder = small_model().score(UNITS, EVERYTHING, PLAN)
    other = small_model().score(UNITS, EVERYTHING, replace(PLAN, gradients=GradientSettings(layers=layers)))
    assert_same(decoder, other, EVERYTHING & ~Need.FISHER)
    assert decoder.fisher is not None
    assert other.fisher is not None
    assert decoder.fisher.fisher.tolist() != other.fisher.fisher.tolist()


def test_a_variance_that_is_known_saves_the_passes_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small_model().score(UNITS, Need.FISHER, PLAN)
    assert whole.variance is not None
    monkeypatch.setattr("albench.training.model.mc_dropout", None)  # must not be called
    spared = small_model().score(UNITS, Need.FISHER, replace(PLAN, variance=whole.variance))
    assert spared.variance is None
    assert_same(spared, whole, Need.FISHER)
