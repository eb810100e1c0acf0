"""ALUNET's gradients of a small network: loss, layers, heads, pseudo-labels, Fisher diagonal, kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from albench.scoring.batches import UnitBatch
from albench.scoring.features import bottleneck_features
from albench.scoring.fisher import (
    bottleneck_embedding,
    decoder_convs,
    deepest_conv,
    fisher_diagonal,
    fisher_embedding,
    last_layer_embedding,
)
from albench.scoring.gradients import pseudo_label_loss
from albench.scoring.request import FisherEmbedding, GradientSettings, Scores
from albench.strategies import PoolView, make_strategy
from albench.units.pool import Unit
from tests.fidelity.fidelity_inputs import PUBLISHED, Replay, frozen_network, published
from tests.fidelity.fidelity_views import whole_images

AS_PUBLISHED = GradientSettings(heads="published", pseudo_labels="own", fisher="one")
UNITS = tuple(Unit("case", i) for i in range(6))


def theirs(name: str) -> np.ndarray:
    with np.load(PUBLISHED / "alunet_network.npz") as stored:
        return stored[name]


def batches(units: Sequence[Unit]) -> Iterator[UnitBatch]:
    yield whole_images(frozen_network()[1][[unit.index for unit in units]])


def embedding(settings: GradientSettings) -> FisherEmbedding:
    """Gradients of all weights of the decoder, with F of the first unit as in the published code's run."""
    fisher = theirs("fisher")
    everything = {"call": "choice", "n": fisher.size, "size": fisher.size, "replace": False}
    rng = Replay(
        {"call": "choice", "n": 6, "size": 1, "replace": False, "p": [1 / 6] * 6, "result": [0]},
        everything | {"p": fisher / fisher.sum(), "result": np.arange(fisher.size)},
    )
    found = fisher_embedding(
        frozen_network()[0],
        UNITS,
        batches,
        np.ones(6),
        n_fisher_units=200,
        n_parameters=10_000,
        settings=settings,
        rng=rng,  # type: ignore[arg-type]
    )
    rng.finish()
    return found


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_layers() -> None:
    """The same weights in the same order; the biases that the published code takes along have no gradient."""
    network = frozen_network()[0]
    names = {id(value): name for name, value in network.named_parameters()}
    stored = published("alunet_network")
    assert [names[id(conv.weight)] for conv in decoder_convs(network)] == stored["parameters"]["decoder"]
    assert [names[id(deepest_conv(network).weight)]] == stored["parameters"]["mid"]
    assert [names[id(decoder_convs(network)[-1].weight)]] == stored["badge_parameters"]


def test_loss() -> None:
    """Sum over heads of the cross-entropy with each head's own prediction; theirs has the other sign."""
    network, images = frozen_network()
    for image, expected in zip(images, theirs("loss_fisher"), strict=True):
        found = pseudo_label_loss(network(image[None]), whole_images(image[None]), AS_PUBLISHED)
        assert float(found) == pytest.approx(-expected.sum(), rel=1e-5)


def test_decoder_gradients() -> None:
    assert relative_error(embedding(AS_PUBLISHED).gradients, -theirs("decoder")) < 1e-5


@pytest.mark.parametrize(("setting", "least"), [({"heads": "trained"}, 0.1), ({"pseudo_labels": "finest"}, 0.1)])
def test_other_settings_are_other_gradients(setting: dict[str, str], least: float) -> None:
    """What is compared would tell the published choices from ours."""
    network = frozen_network()[0]
    settings = replace(AS_PUBLISHED, fisher="none", **setting)  # type: ignore[arg-type]
    found = fisher_embedding(
        network,
        UNITS,
        batches,
        np.ones(6),
        n_fisher_units=1,
        n_parameters=10_000,
        settings=settings,
        rng=np.random.default_rng(0),
    )
    assert relative_error(found.gradients, -theirs("decoder")) > least


def test_fisher_diagonal_is_of_a_single_unit() -> None:
    """The first that is drawn: the published loop over the units adds up the first one's square each time."""
    assert relative_error(embedding(AS_PUBLISHED).fisher, theirs("fisher")) < 1e-5
    network = frozen_network()[0]
    mean = fisher_diagonal(network, decoder_convs(network), batches(UNITS), AS_PUBLISHED).numpy()
    assert relative_error(mean, theirs("fisher")) > 0.1


def test_kernel() -> None:
    view = PoolView(UNITS, Scores(fisher=embedding(AS_PUBLISHED)), np.ones(3))
    made = make_strategy("usim-f+heads=published+pseudo_labels=own+fisher=one").embedding(view)  # type: ignore[attr-defined]
    assert relative_error(made.kernel(made.rows), theirs("kernel")) < 1e-2


def test_bottleneck_gradients() -> None:
    found = bottleneck_embedding(frozen_network()[0], UNITS, batches, 10_000, AS_PUBLISHED)
    assert relative_error(found, -theirs("mid")) < 1e-5


def test_badge_gradients() -> None:
    """Of nnU-Net's whole loss, where the finest head, the only one that this layer reaches, has weight 2 / 3."""
    network = frozen_network()[0]
    network.decoder.deep_supervision = False
    settings = make_strategy("badge").gradients
    found = last_layer_embedding(network, UNITS, batches, settings)
    assert relative_error(found * 2 / 3, theirs("badge")) < 1e-5
    cross_entropy = last_layer_embedding(network, UNITS, batches, make_strategy("badge+loss=ce").gradients)
    assert relative_error(cross_entropy * 2 / 3, theirs("badge")) > 0.1


def test_coreset_features() -> None:
    """The encoder's last activations, flattened."""
    found = bottleneck_features(frozen_network()[0], UNITS, batches, (2, 2))
    assert relative_error(found, theirs("coreset")) < 1e-5


def test_no_gradient_is_left_out() -> None:
    """All 3,132 weights are compared, and none of them is zero for every unit."""
    assert torch.from_numpy(theirs("decoder")).abs().sum(dim=0).min() > 0
