"""Scores of 3D patches: windows, moments, gradients and features against the plain way, one patch at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from albench.scoring.batches import UnitBatch, cut_window, patch_batches
from albench.scoring.features import bottleneck_features, stage_features
from albench.scoring.fisher import (
    bottleneck_embedding,
    decoder_convs,
    deepest_conv,
    encoder_convs,
    fisher_diagonal,
    fisher_embedding,
    last_layer_embedding,
)
from albench.scoring.gradients import Columns, ConvTape, conv_tapes, pseudo_label_loss, unit_weight_gradients
from albench.scoring.moments import ensemble, mc_dropout, mean_entropy, moments
from albench.scoring.request import MOMENTS, GradientSettings
from albench.seeding import seeded
from albench.units.pool import Unit
from tests.support.scoring_fixtures_3d import BOXES, IMAGES, PATCH, UNITS, small_network, windows

CE = GradientSettings()
EVERY_UNIT = tuple(sorted(BOXES))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_every_unit_comes_once_with_its_own_voxels(shared: bool, batch_size: int) -> None:
    seen: list[int] = []
    for batch in windows(EVERY_UNIT, shared=shared, batch_size=batch_size):
        assert 1 <= len(batch.images) <= batch_size
        for position, (item, box) in zip(batch.positions, batch, strict=True):
            unit = EVERY_UNIT[position]
            expected = IMAGES[unit.case][(slice(None), *BOXES[unit])]
            np.testing.assert_array_equal(batch.images[(item, slice(None), *box)].numpy(), expected)
        if not shared:
            assert [item for item, _ in batch] == list(range(len(batch.images)))
        seen += batch.positions.tolist()
    assert sorted(seen) == list(range(len(EVERY_UNIT)))


@pytest.mark.parametrize("shared", [False, True])
def test_windows_have_the_networks_size_unless_a_unit_is_larger(shared: bool) -> None:
    for batch in windows(EVERY_UNIT, shared=shared):
        edges = tuple(batch.images.shape[2:])
        if Unit("b", 999) in [EVERY_UNIT[p] for p in batch.positions]:
            assert edges == (12, 12, 8)  # 11 slices, rounded up to a multiple of 2
        else:
            assert edges == PATCH


def test_a_lone_units_window_has_it_in_the_middle_as_far_as_the_image_goes() -> None:
    batches = {EVERY_UNIT[p]: (batch, i) for batch in windows(EVERY_UNIT) for i, p in enumerate(batch.positions)}
    for unit, (batch, place) in batches.items():
        _, inside = list(batch)[place]
        for part, box, edge, length in zip(
            inside, BOXES[unit], batch.images.shape[2:], IMAGES[unit.case].shape[1:], strict=True
        ):
            start = box.start - part.start  # of the window
            if length <= edge:
                assert start == -((edge - length) // 2)
            else:
                assert 0 <= start <= length - edge
                middle = part.start + part.stop - edge  # twice the distance from the window's middle
                assert abs(middle) <= 1 or (middle < 0 and start == 0) or (middle > 0 and start == length - edge)


def test_shared_windows_are_few_and_do_not_depend_on_what_else_is_asked_for() -> None:
    def places(units: tuple[Unit, ...]) -> dict[Unit, list[tuple[int, int]]]:
        return {
            units[p]: [(part.start, part.stop) for part in box]
            for batch in windows(units, shared=True)
            for p, (_, box) in zip(batch.positions, batch, strict=True)
        }

    everything, some = places(EVERY_UNIT), places(UNITS)
    assert all(everything[unit] == place for unit, place in some.items())
    n_windows = sum(len(batch.images) for batch in windows([u for u in EVERY_UNIT if u.index < 999], shared=True))
    assert n_windows < len(EVERY_UNIT) / 3
    assert sum(len(batch.images) for batch in windows([u for u in EVERY_UNIT if u.case == "a"], shared=True)) == 1


@settings(deadline=None, max_examples=60)
@given(data=st.data(), shared=st.booleans())
def test_any_box_of_any_image_is_held(data: st.DataObject, shared: bool) -> None:
    shape = [data.draw(st.integers(1, 20)) for _ in range(3)]
    divisors = [data.draw(st.sampled_from([1, 2, 4])) for _ in range(3)]
    patch = [divisor * data.draw(st.integers(1, 4)) for divisor in divisors]
    lows = [data.draw(st.integers(0, n - 1)) for n in shape]
    box = tuple(slice(low, data.draw(st.integers(low + 1, n))) for low, n in zip(lows, shape, strict=True))
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    (batch,) = patch_batches(
        [Unit("x", 0)],
        lambda case: image,
        lambda unit: box,
        patch_size=patch,
        divisors=divisors,
        batch_size=1,
        device=torch.device("cpu"),
        shared=shared,
    )
    ((item, inside),) = batch
    np.testing.assert_array_equal(batch.images[(item, slice(None), *inside)].numpy(), image[(slice(None), *box)])
    for edge, size, divisor in zip(batch.images.shape[2:], patch, divisors, strict=True):
        assert edge >= size
        assert edge % divisor == 0


def test_what_a_window_has_beyond_the_image_is_zero() -> None:
    image = np.ones((2, 3, 4, 5), dtype=np.float32)
    window = cut_window(image, (-1, 2, -2), (5, 4, 8))
    expected = np.zeros((2, 5, 4, 8), dtype=np.float32)
    expected[:, 1:4, :2, 2:7] = 1
    np.testing.assert_array_equal(window, expected)


def stored_passes(network: nn.Module, passes: int, rate: float, key: tuple[str, int]) -> dict[Unit, np.ndarray]:
    """Softmax of every pass in every unit's own voxels, float64 (pass, label, voxel); windows shared."""
    stacks = {}
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout3d)]
    assert layers
    for layer in layers:
        layer.p, layer.training = rate, True
    with torch.no_grad(), seeded(*key):
        for batch in windows(shared=True):
            logits = np.stack([network(batch.images).double().numpy() for _ in range(passes)])
            softmax = scipy.special.softmax(logits, axis=2)
            for position, (item, box) in zip(batch.positions, batch, strict=True):
                cut = softmax[(slice(None), item, slice(None), *box)]
                stacks[UNITS[position]] = cut.reshape(*cut.shape[:2], -1)
    for layer in layers:
        layer.p, layer.training = 0.01, False
    return stacks


def plain_moments(stack: np.ndarray) -> dict[str, np.ndarray]:
    mean = stack.mean(axis=0)
    entropy = scipy.stats.entropy(mean, axis=0)
    return {
        "variance": np.var(stack, axis=0).mean(axis=1),
        "predictive_entropy": entropy.mean(),
        "mutual_information": (entropy - scipy.stats.entropy(stack, axis=1).mean(axis=0)).mean(),
        "class_entropy": (mean * entropy).mean(axis=1),
        "expected_entropy": scipy.stats.entropy(stack, axis=1).mean(),
        "expected_dice": (2 * (stack * mean).sum(axis=-1) / (stack + mean).sum(axis=-1)).mean(),
    }


@pytest.mark.parametrize("needs", [*MOMENTS, MOMENTS], ids=str)
def test_moments_equal_those_of_stored_passes(needs) -> None:
    network = small_network()
    stacks = stored_passes(network, 5, 0.3, ("moments", 3))
    units = [plain_moments(stacks[unit]) for unit in UNITS]
    with mc_dropout(network, passes=5, dropout=0.3, bfloat16=False, key=("moments", 3)) as members:
        found = moments(members, windows(shared=True), len(UNITS), 3, needs)
    assert sorted(found) == sorted(str(need.name).lower() for need in needs)
    for name, values in found.items():
        expected = np.stack([unit[name] for unit in units])
        assert (expected > 1e-5).all()
        np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_moments_of_an_ensemble_are_those_of_its_networks() -> None:
    networks = [small_network(seed=seed) for seed in range(3)]
    stacks: dict[int, list[np.ndarray]] = {}
    with torch.no_grad():
        for network, batch in itertools.product(networks, windows(shared=True)):
            softmax = torch.softmax(network(batch.images).double(), dim=1).numpy()
            for position, (item, box) in zip(batch.positions, batch, strict=True):
                stacks.setdefault(position, []).append(softmax[(item, slice(None), *box)].reshape(3, -1))
    found = moments(ensemble(networks, bfloat16=False), windows(shared=True), len(UNITS), 3, MOMENTS)
    for position, members in stacks.items():
        for name, expected in plain_moments(np.stack(members)).items():
            np.testing.assert_allclose(found[name][position], expected, rtol=1e-4)


def test_entropy_is_the_mean_over_the_units_own_voxels() -> None:
    network = small_network()
    found = mean_entropy(network, windows(), len(UNITS))
    for position, batch in enumerate(next(windows([unit])) for unit in UNITS):
        ((item, box),) = batch
        softmax = torch.softmax(network(batch.images).double(), dim=1)[(item, slice(None), *box)].numpy()
        assert found[position] == pytest.approx(scipy.stats.entropy(softmax, axis=0).mean(), rel=1e-5)


def test_the_loss_is_the_mean_over_the_units_own_voxels() -> None:
    """Written out for the finest head; what lies around a unit plays no part."""
    network = small_network(dtype=torch.float64)
    for batch in windows(dtype=torch.float64):
        logits = network(batch.images)
        expected = 0.0
        for item, box in batch:
            log_p = torch.log_softmax(logits[(item, slice(None), *box)], dim=0)
            expected += float(-log_p.max(dim=0).values.mean())
        assert float(pseudo_label_loss(logits, batch, CE)) == pytest.approx(expected, rel=1e-12)
        changed = torch.where(batch.mask(logits[:, :1]) > 0, logits, -logits)
        assert float(pseudo_label_loss(changed, batch, CE)) == pytest.approx(expected, rel=1e-12)


def recorded_convs(network: nn.Module) -> list[nn.Conv3d]:
    strided = [conv for conv in encoder_convs(network) if conv.stride != (1, 1, 1)]
    assert len(strided) == 2
    return [*decoder_convs(network), *strided]


def own_gradients(network: nn.Module, convs: list[nn.Conv3d], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    """Weight gradients of each conv for each unit, by autograd through the unit's own window."""
    weights = [conv.weight.requires_grad_() for conv in convs]
    batches = (next(windows([unit], dtype=dtype)) for unit in UNITS)
    found = [list(torch.autograd.grad(pseudo_label_loss(network(b.images), b, CE), weights)) for b in batches]
    for weight in weights:
        weight.requires_grad_(False)
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=str)
def test_unit_gradients_equal_one_at_a_time_autograd(dtype: torch.dtype, tolerance: float) -> None:
    network = small_network(deep_supervision=True, dtype=dtype)
    convs = recorded_convs(network)
    expected = own_gradients(network, convs, dtype)
    seen = 0
    for batch in windows(dtype=dtype):
        for k, (tape, conv) in enumerate(zip(conv_tapes(network, convs, batch, CE), convs, strict=True)):
            gradients = unit_weight_gradients(tape, conv)
            for place, position in enumerate(batch.positions):
                own = expected[position][k]
                assert own.abs().max() > 1e-6
                assert gradients[place].shape == own.shape
                assert (gradients[place] - own).abs().max() <= tolerance * own.abs().max()
                seen += 1
    assert seen == len(UNITS) * len(convs)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        ((3, 3, 3), 1, 1, (4, 5, 3)),
        ((1, 3, 3), 1, (0, 1, 1), (3, 4, 5)),
        ((3, 1, 5), 1, (1, 0, 2), (4, 3, 6)),
        ((3, 3, 3), 1, 0, (5, 4, 6)),
        ((2, 2, 2), 1, 0, (3, 4, 3)),
        ((3, 3, 3), 2, 1, (5, 6, 4)),
        ((3, 3, 3), (1, 2, 2), 1, (4, 5, 6)),
        ((1, 3, 3), (1, 2, 1), (0, 1, 1), (3, 5, 4)),
        ((1, 1, 1), 2, 0, (3, 5, 4)),
    ],
    ids=str,
)
def test_every_shape_of_convolution(kernel, stride, padding, size) -> None:
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv3d(3, 4, kernel, stride, padding, dtype=torch.float64)
    inputs = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    outputs = conv(inputs)
    output_gradients = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    found = unit_weight_gradients(ConvTape(inputs, output_gradients), conv)
    for i in range(2):
        (expected,) = torch.autograd.grad((conv(inputs[i : i + 1]) * output_gradients[i : i + 1]).sum(), conv.weight)
        assert found[i].shape == expected.shape
        torch.testing.assert_close(found[i], expected, rtol=1e-10, atol=1e-12)


def flat_gradients(network: nn.Module, convs: list[nn.Conv3d]) -> np.ndarray:
    rows = own_gradients(network, convs, torch.float32)
    return np.stack([torch.cat([gradient.flatten() for gradient in row]).double().numpy() for row in rows])


def test_the_embeddings_are_each_units_own_gradients() -> None:
    network = small_network(deep_supervision=True)
    convs = decoder_convs(network)
    assert len(convs) == 3
    gradients = flat_gradients(network, convs)
    diagonal = (gradients**2).mean(axis=0)
    found = fisher_diagonal(network, convs, windows(), CE).numpy()
    np.testing.assert_allclose(found, diagonal, rtol=1e-3, atol=1e-6 * diagonal.max())
    embedding = fisher_embedding(
        network,
        UNITS,
        windows,
        np.ones(len(UNITS)),
        n_fisher_units=200,
        n_parameters=10**6,
        settings=CE,
        rng=np.random.default_rng(0),
    )
    usable = diagonal > 1e-20
    scale = np.abs(gradients).max()
    np.testing.assert_allclose(embedding.gradients, gradients[:, usable], rtol=1e-4, atol=1e-4 * scale)
    deepest = flat_gradients(network, [deepest_conv(network)])
    found = bottleneck_embedding(network, UNITS, windows, 100, CE)
    np.testing.assert_allclose(found, deepest[:, :100], rtol=1e-4, atol=1e-4 * np.abs(deepest).max())
    network.decoder.deep_supervision = False
    last = flat_gradients(network, [decoder_convs(network)[-1]])
    found = last_layer_embedding(network, UNITS, windows, CE)
    np.testing.assert_allclose(found, last, rtol=1e-4, atol=1e-4 * np.abs(last).max())


def test_columns_of_3d_weights_are_found() -> None:
    convs = [nn.Conv3d(2, 4, 3), nn.Conv3d(2, 1, (1, 3, 3))]
    Columns.locate(convs, torch.tensor([0, 4 * 2 * 27 + 2 * 9 - 1]))
    with pytest.raises(ValueError, match=r"indices: expected 0\.\.233, got 234"):
        Columns.locate(convs, torch.tensor([234]))


def plain_feature(network: nn.Module, batch: UnitBatch, place: int, stages: int | None = None) -> np.ndarray:
    """Mean of a stage's map over a unit's box, the map blown up to the window's voxels first; last stage by default."""
    item, box = list(batch)[place]
    maps = batch.images[item : item + 1]
    for stage in network.get_submodule("encoder.stages")[:stages]:
        maps = stage(maps)
    blown = maps[0].numpy()
    for axis in (1, 2, 3):
        blown = blown.repeat(batch.images.shape[1 + axis] // blown.shape[axis], axis=axis)
    return blown[(slice(None), *box)].mean(axis=(1, 2, 3))


@pytest.mark.parametrize("batch_size", [1, 100])
def test_a_feature_is_the_mean_over_the_units_box(batch_size: int) -> None:
    network = small_network()
    found = bottleneck_features(
        network, UNITS, lambda units: windows(units, shared=True, batch_size=batch_size), (4, 3, 2)
    )
    assert found.dtype == np.float32
    assert found.shape == (len(UNITS), 8)
    with torch.no_grad():
        for batch in windows(shared=True, batch_size=batch_size):
            for place, position in enumerate(batch.positions):
                expected = plain_feature(network, batch, place)
                np.testing.assert_allclose(found[position], expected, rtol=1e-4, atol=1e-5)
    assert np.unique(found, axis=0).shape[0] == len(UNITS)


def test_a_stage_feature_is_the_mean_over_the_units_box_in_every_network() -> None:
    networks = [small_network(seed=seed) for seed in range(2)]
    found = stage_features(networks, UNITS, lambda units: windows(units, shared=True))
    with torch.no_grad():
        for batch in windows(shared=True):
            for place, position in enumerate(batch.positions):
                expected = [plain_feature(network, batch, place, stages=-1) for network in networks]
                np.testing.assert_allclose(found[position], np.concatenate(expected), rtol=1e-4, atol=1e-5)
