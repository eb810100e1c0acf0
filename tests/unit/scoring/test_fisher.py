from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from albench import core
from albench.scoring import fisher
from albench.scoring.fisher import (
    SMALLEST_FISHER,
    bottleneck_embedding,
    decoder_convs,
    deepest_conv,
    draw,
    fisher_diagonal,
    fisher_embedding,
    last_layer_embedding,
)
from albench.scoring.gradients import pseudo_label_loss
from albench.scoring.request import HEADS, LAYERS, LOSSES, PSEUDO_LABELS, FisherEmbedding, GradientSettings, Scores
from albench.strategies import PoolView
from albench.strategies.usim import UsimF
from albench.units.pool import Unit
from tests.support.scoring_fixtures import UNITS, single_units, small_batches, small_network

CE = GradientSettings()
UNCERTAINTY = np.linspace(0.1, 1.0, len(UNITS))


def network_with_dead_weights() -> nn.Module:
    """A network one of whose skip channels is always 0, so that the weights reading it have no gradient."""
    network = small_network(deep_supervision=True)
    norm = [m for m in network.get_submodule("encoder.stages.0").modules() if isinstance(m, nn.InstanceNorm2d)][-1]
    norm.weight[1] = 0
    norm.bias[1] = 0
    return network


def own_gradients(
    network: nn.Module,
    convs: Sequence[nn.Conv2d],
    units: Sequence[Unit] = UNITS,
    settings: GradientSettings = CE,
) -> np.ndarray:
    """Flattened, concatenated weight gradients of each unit's own loss; float64 (n, n_weights)."""
    weights = [conv.weight.requires_grad_() for conv in convs]
    rows = []
    for batch in single_units(units):
        found = torch.autograd.grad(pseudo_label_loss(network(batch.images), batch, settings), weights)
        rows.append(torch.cat([gradient.flatten() for gradient in found]).double().numpy())
    for weight in weights:
        weight.requires_grad_(False)
    return np.stack(rows)


def embedding(
    network: nn.Module,
    n_parameters: int,
    seed: int = 0,
    n_fisher_units: int = 200,
    layers: str = "decoder",
    uncertainty: np.ndarray = UNCERTAINTY,
    **words: str,
) -> FisherEmbedding:
    return fisher_embedding(
        network,
        UNITS,
        small_batches,
        uncertainty,
        n_fisher_units=n_fisher_units,
        n_parameters=n_parameters,
        settings=GradientSettings(layers=layers, **words),
        rng=np.random.default_rng(seed),
    )


def test_the_convolutions_are_the_decoders_and_the_encoders_last() -> None:
    network = small_network()
    assert [tuple(conv.weight.shape) for conv in decoder_convs(network)] == [(6, 12, 3, 1), (6, 6, 3, 1), (4, 8, 3, 3)]
    assert not {id(c) for c in decoder_convs(network)} & {id(c) for c in network.encoder.modules()}
    deepest = deepest_conv(network)
    assert deepest is network.encoder.stages[-1][-1].convs[-1].conv
    assert deepest.stride == (1, 1)


@pytest.mark.parametrize("block_bytes", [2**28, 4000])
def test_diagonal_is_the_mean_of_each_units_own_squared_gradient(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fisher, "_MAX_BLOCK_BYTES", block_bytes)
    network = small_network(deep_supervision=True)
    convs = decoder_convs(network)
    gradients = own_gradients(network, convs)
    expected = (gradients**2).mean(axis=0)
    found = fisher_diagonal(network, convs, small_batches(batch_size=4), GradientSettings()).numpy()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())
    squared_mean = gradients.mean(axis=0) ** 2
    assert np.abs(found - squared_mean).max() > 0.1 * expected.max()


def test_embedding_holds_each_units_gradient_at_usable_parameters() -> None:
    network = network_with_dead_weights()
    convs = decoder_convs(network)
    gradients = own_gradients(network, convs)
    diagonal = (gradients**2).mean(axis=0)
    usable = diagonal > SMALLEST_FISHER
    assert 0 < (~usable).sum() < usable.size / 2
    found = embedding(network, n_parameters=10**6)  # more than there are: all usable ones, in order
    assert found.gradients.shape == (len(UNITS), usable.sum())
    assert found.gradients.dtype == np.float32
    assert found.fisher.dtype == np.float64
    scale = np.abs(gradients).max()
    np.testing.assert_allclose(found.gradients, gradients[:, usable], rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(found.fisher, diagonal[usable], rtol=1e-3, atol=1e-6 * diagonal.max())


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_is_of_the_wanted_size_and_never_useless(seed: int) -> None:
    found = embedding(network_with_dead_weights(), n_parameters=50, seed=seed)
    assert found.gradients.shape == (len(UNITS), 50)
    assert (found.fisher > SMALLEST_FISHER).all()
    assert np.isfinite(found.gradients).all()


def test_parameters_at_the_threshold_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(deep_supervision=True)
    size = sum(conv.weight.numel() for conv in decoder_convs(network))
    values = torch.zeros(size, dtype=torch.float64)
    values[[3, 50, 51, 200]] = torch.tensor([1e-20, 2e-20, 1e-25, 1.0], dtype=torch.float64)
    monkeypatch.setattr(fisher, "fisher_diagonal", lambda *_, **__: values)
    found = embedding(network, n_parameters=10)
    np.testing.assert_array_equal(found.fisher, [2e-20, 1.0])
    expected = own_gradients(network, decoder_convs(network))[:, [50, 200]]
    np.testing.assert_allclose(found.gradients, expected, rtol=1e-3, atol=1e-6)


def test_a_network_without_gradients_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(deep_supervision=True)
    size = sum(conv.weight.numel() for conv in decoder_convs(network))
    monkeypatch.setattr(fisher, "fisher_diagonal", lambda *_, **__: torch.full((size,), 1e-21, dtype=torch.float64))
    with pytest.raises(ValueError, match="fisher: every gradient of layers 'decoder' vanishes"):
        embedding(network, n_parameters=10)


def test_the_diagonal_is_estimated_on_units_drawn_by_uncertainty(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(deep_supervision=True)
    asked: list[list[Unit]] = []

    def batches(units: Sequence[Unit]):
        asked.append(list(units))
        return small_batches(units)

    uncertainty = np.zeros(len(UNITS))
    uncertainty[[1, 4]] = 1
    fisher_embedding(
        network,
        UNITS,
        batches,
        uncertainty,
        n_fisher_units=200,
        n_parameters=5,
        settings=GradientSettings(),
        rng=np.random.default_rng(0),
    )
    assert asked == [[UNITS[1], UNITS[4]], list(UNITS)]


def test_same_generator_same_embedding() -> None:
    network = small_network(deep_supervision=True)
    first, again, other = (embedding(network, 40, seed, n_fisher_units=3) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.gradients, again.gradients)
    np.testing.assert_array_equal(first.fisher, again.fisher)
    assert (first.fisher != other.fisher).any()


def test_similarity_is_the_fisher_scaled_product() -> None:
    found = embedding(small_network(deep_supervision=True), n_parameters=60)
    view = PoolView(UNITS, Scores(fisher=found), np.array([0.0, 0.5, 0.5]))
    query = np.array([0, 2, 5])
    g = found.gradients.astype(np.float64)
    expected = np.array([[np.mean(g[i] * g[q] / found.fisher) for q in query] for i in range(len(UNITS))])
    made = UsimF().embedding(view)
    similarity = core.similarity(made.rows, made.rows[query], metric=made.metric, scale=made.scale)
    assert similarity.dtype == np.float32
    np.testing.assert_allclose(similarity, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("layers", LAYERS)
def test_the_plan_says_which_layers_the_gradients_are_of(layers: str) -> None:
    network = small_network(deep_supervision=True)
    encoder = [module for module in network.encoder.modules() if isinstance(module, nn.Conv2d)]
    convs = {"decoder": decoder_convs(network), "encoder": encoder, "all": [*encoder, *decoder_convs(network)]}[layers]
    assert len(encoder) == 6
    gradients = own_gradients(network, convs)
    found = embedding(network, n_parameters=10**6, layers=layers)
    usable = (gradients**2).mean(axis=0) > SMALLEST_FISHER
    assert found.gradients.shape == (len(UNITS), usable.sum())
    scale = np.abs(gradients).max()
    np.testing.assert_allclose(found.gradients, gradients[:, usable], rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(found.fisher, (gradients[:, usable] ** 2).mean(axis=0), rtol=1e-3, atol=1e-6 * scale**2)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("labels", PSEUDO_LABELS)
def test_the_plan_says_which_heads_and_labels_the_gradients_are_of(heads: str, labels: str) -> None:
    network = small_network(deep_supervision=True)
    settings = GradientSettings(heads=heads, pseudo_labels=labels)
    gradients = own_gradients(network, decoder_convs(network), settings=settings)
    found = embedding(network, n_parameters=10**6, heads=heads, pseudo_labels=labels)
    usable = (gradients**2).mean(axis=0) > SMALLEST_FISHER
    np.testing.assert_allclose(found.gradients, gradients[:, usable], rtol=1e-4, atol=1e-4 * np.abs(gradients).max())
    deepest = bottleneck_embedding(network, UNITS, small_batches, 50, settings)
    expected = own_gradients(network, [deepest_conv(network)], settings=settings)[:, :50]
    np.testing.assert_allclose(deepest, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_diagonal_of_one_unit_is_of_one_drawn_by_uncertainty() -> None:
    network = small_network(deep_supervision=True)
    squares = own_gradients(network, decoder_convs(network)) ** 2
    found = embedding(network, n_parameters=10**6, uncertainty=np.eye(len(UNITS))[3], fisher="one")
    usable = squares[3] > SMALLEST_FISHER
    np.testing.assert_allclose(found.fisher, squares[3][usable], rtol=1e-3, atol=1e-6 * squares.max())


def test_without_a_diagonal_parameters_are_drawn_uniformly_and_nothing_is_scaled() -> None:
    network = network_with_dead_weights()
    n = sum(conv.weight.numel() for conv in decoder_convs(network))
    everything = embedding(network, n_parameters=n, fisher="none")
    assert everything.gradients.shape == (len(UNITS), n)  # dead weights, too
    np.testing.assert_array_equal(everything.fisher, np.ones(n))
    some = [embedding(network, n_parameters=40, seed=seed, fisher="none").gradients for seed in (0, 0, 1)]
    np.testing.assert_array_equal(some[0], some[1])
    assert (some[0] != some[2]).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_last_layer_is_of_the_loss_asked_for(loss: str) -> None:
    network = small_network()
    settings = GradientSettings(loss=loss)
    expected = own_gradients(network, decoder_convs(network)[-1:], settings=settings)
    found = last_layer_embedding(network, UNITS, small_batches, settings)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_diagonal_of_no_units_is_refused() -> None:
    network = small_network(deep_supervision=True)
    with pytest.raises(ValueError, match="batches: expected at least one unit"):
        fisher_diagonal(network, decoder_convs(network), iter([]), GradientSettings())


def plain_last_layer(network: nn.Module) -> np.ndarray:
    """Gradient of the last decoder conv's weights, unit by unit, cross-entropy written out."""
    weight = decoder_convs(network)[-1].weight.requires_grad_()
    rows = []
    for batch in single_units():
        logits = network(batch.images)[..., batch.crop[0], batch.crop[1]]
        p = torch.softmax(logits, dim=1)
        (gradient,) = torch.autograd.grad(-p.max(dim=1).values.log().mean(), weight)
        rows.append(gradient.flatten().numpy())
    weight.requires_grad_(False)
    return np.stack(rows)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_last_layer_is_each_units_own_gradient_of_the_full_resolution_loss(batch_size: int) -> None:
    network = small_network(deep_supervision=False)
    expected = plain_last_layer(network)
    found = last_layer_embedding(network, UNITS, lambda units: small_batches(units, batch_size=batch_size), CE)
    assert found.dtype == np.float32
    assert found.shape == (len(UNITS), 4 * 8 * 9)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    coarse_too = last_layer_embedding(small_network(deep_supervision=True), UNITS, small_batches, CE)
    assert np.abs(coarse_too - expected).max() <= 1e-4 * np.abs(expected).max()  # coarser heads do not see this layer


@pytest.mark.parametrize("n_parameters", [7, 100, 10**6])
def test_bottleneck_embedding_is_the_deepest_convs_first_gradients(n_parameters: int) -> None:
    network = small_network(deep_supervision=True)
    expected = own_gradients(network, [deepest_conv(network)])[:, :n_parameters]
    found = bottleneck_embedding(network, UNITS, small_batches, n_parameters, CE)
    assert found.dtype == np.float32
    assert found.shape == (len(UNITS), min(n_parameters, 8 * 8 * 9))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


WEIGHTS = hnp.arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([0.0, 1e-30, 0.1, 1.0, 5.0, 1e6]))


@settings(deadline=None)
@given(weights=WEIGHTS, size=st.integers(1, 40), seed=st.integers(0, 100))
def test_a_draw_is_sorted_distinct_and_of_positive_weight(weights: np.ndarray, size: int, seed: int) -> None:
    drawn = draw(weights, size, np.random.default_rng(seed))
    assert (np.diff(drawn) > 0).all()
    n_positive = int((weights > 0).sum())
    if n_positive:
        assert (weights[drawn] > 0).all()
        assert drawn.size == min(size, n_positive)
    else:
        assert drawn.size == min(size, weights.size)
        assert set(drawn) <= set(range(weights.size))
    np.testing.assert_array_equal(drawn, draw(weights, size, np.random.default_rng(seed)))


def test_draws_come_in_proportion_without_replacement() -> None:
    weights = np.array([1.0, 0.0, 2.0, 3.0, 4.0])
    p = weights / weights.sum()
    expected = np.zeros(5)  # chance of being among two drawn one after the other
    for i, j in itertools.permutations(range(5), 2):
        expected[[i, j]] += p[i] * p[j] / (1 - p[i])
    rng = np.random.default_rng(0)
    n = 4000
    found = np.bincount(np.concatenate([draw(weights, 2, rng) for _ in range(n)]), minlength=5) / n
    deviation = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(found - expected) <= 4 * deviation).all()
    assert found[1] == 0


def test_without_any_weight_draws_are_uniform() -> None:
    rng = np.random.default_rng(0)
    n = 3000
    found = np.bincount(np.concatenate([draw(np.zeros(6), 2, rng) for _ in range(n)]), minlength=6) / n
    assert (np.abs(found - 1 / 3) <= 4 * np.sqrt(2 / 9 / n)).all()
