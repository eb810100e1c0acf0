from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from scipy.special import log_softmax
from torch import nn

from albench.scoring.batches import UnitBatch
from albench.scoring.fisher import decoder_convs
from albench.scoring.gradients import (
    Columns,
    ConvTape,
    conv_tapes,
    head_weights,
    offset_gradients,
    pseudo_label_loss,
    selected_gradients,
    unit_gradients,
    unit_weight_gradients,
)
from albench.scoring.request import HEADS, PSEUDO_LABELS, GradientSettings
from albench.units.pool import Unit
from tests.support.scoring_fixtures import UNITS, single_units, small_batches, small_network

ALL_HEADS = GradientSettings(heads="published")
DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def strided_convs(network: nn.Module) -> list[nn.Conv2d]:
    encoder = network.get_submodule("encoder.stages")
    return [part for part in encoder.modules() if isinstance(part, nn.Conv2d) and part.stride != (1, 1)]


def recorded_convs(network: nn.Module) -> list[nn.Conv2d]:
    convs = [*decoder_convs(network), *strided_convs(network)]
    assert len(convs) == 3 + 2
    return convs


def one_at_a_time(network: nn.Module, convs: list[nn.Conv2d], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    """Weight gradients of each conv for each unit of UNITS, by autograd through the unit's own loss."""
    weights = [conv.weight.requires_grad_() for conv in convs]
    losses = (pseudo_label_loss(network(batch.images), batch, ALL_HEADS) for batch in single_units(dtype=dtype))
    found = [list(torch.autograd.grad(loss, weights)) for loss in losses]
    for weight in weights:
        weight.requires_grad_(False)
    return found


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Largest error against the largest entry."""
    assert found.shape == expected.shape
    assert expected.abs().max() > 1e-6
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_unit_gradients_equal_one_at_a_time_autograd(dtype: torch.dtype) -> None:
    network = small_network(deep_supervision=True, dtype=dtype)
    convs = recorded_convs(network)
    expected = one_at_a_time(network, convs, dtype)
    seen = 0
    for batch in small_batches(dtype=dtype):
        for k, (tape, conv) in enumerate(zip(conv_tapes(network, convs, batch, ALL_HEADS), convs, strict=True)):
            gradients = unit_weight_gradients(tape, conv)
            for place, position in enumerate(batch.positions):
                assert_close(gradients[place], expected[position][k], TOLERANCE[dtype])
                seen += 1
    assert seen == len(UNITS) * len(convs)


def test_the_batch_a_unit_comes_in_does_not_matter() -> None:
    network = small_network(deep_supervision=True, dtype=torch.float64)
    convs = recorded_convs(network)
    everything = Columns.locate(convs, torch.arange(sum(conv.weight.numel() for conv in convs)))

    def gradients(units: list[Unit], batch_size: int) -> dict[Unit, torch.Tensor]:
        batches = small_batches(units, batch_size=batch_size, dtype=torch.float64)
        return {
            units[position]: row
            for batch, values in unit_gradients(network, convs, batches, everything, ALL_HEADS)
            for position, row in zip(batch.positions, values, strict=True)
        }

    together, apart = gradients(list(UNITS), 5), gradients(list(UNITS)[::-1], 1)
    assert together.keys() == set(UNITS)
    for unit, expected in apart.items():
        assert_close(together[unit], expected, 1e-9)
    assert not torch.allclose(together[UNITS[0]], together[UNITS[3]])


def test_bfloat16_rounds_and_no_more() -> None:
    network = small_network(deep_supervision=True)
    convs = recorded_convs(network)
    everything = Columns.locate(convs, torch.arange(sum(conv.weight.numel() for conv in convs)))
    exact, rounded = (
        torch.cat(
            [
                values
                for _, values in unit_gradients(network, convs, small_batches(), everything, ALL_HEADS, bfloat16=choice)
            ]
        )
        for choice in (False, True)
    )
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    # This network is untrained and undecided: rounding turns some of its pseudo-labels over.
    assert torch.cosine_similarity(rounded, exact).min() > 0.9


@pytest.mark.parametrize("trainable", [False, True])
def test_parameters_get_no_gradients_of_their_own(trainable: bool) -> None:
    network = small_network(deep_supervision=True).requires_grad_(trainable)
    convs = recorded_convs(network)
    for batch in small_batches():
        conv_tapes(network, convs, batch, ALL_HEADS)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad is trainable for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_are_removed_after_an_error() -> None:
    network = small_network(deep_supervision=True)
    convs = recorded_convs(network)
    batch = next(small_batches())
    broken = UnitBatch(batch.positions, batch.images[:, :1], batch.crop)
    with pytest.raises(RuntimeError):
        conv_tapes(network, convs, broken, ALL_HEADS)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("seed", range(4))
def test_selected_entries_equal_those_of_the_full_gradient(seed: int) -> None:
    network = small_network(deep_supervision=True, dtype=torch.float64)
    convs = recorded_convs(network)
    sizes = [conv.weight.numel() for conv in convs]
    rng = np.random.default_rng(seed)
    indices = rng.choice(sum(sizes), (1, 17, 300, sum(sizes))[seed], replace=False)
    batch = next(small_batches(dtype=torch.float64))
    tapes = conv_tapes(network, convs, batch, ALL_HEADS)
    parts = [unit_weight_gradients(tape, conv).flatten(1) for tape, conv in zip(tapes, convs, strict=True)]
    expected = torch.cat(parts, dim=1)[:, indices]
    columns = Columns.locate(convs, torch.from_numpy(indices))
    assert_close(selected_gradients(tapes, convs, columns), expected, 1e-12)


@pytest.mark.parametrize("index", [-1, 90])
def test_entries_that_no_weight_has_are_refused(index: int) -> None:
    convs = [nn.Conv2d(2, 4, 3), nn.Conv2d(2, 1, 3)]
    Columns.locate(convs, torch.tensor([0, 89]))
    with pytest.raises(ValueError, match=rf"indices: expected 0\.\.89, got {index}"):
        Columns.locate(convs, torch.tensor([3, index]))


def test_convs_of_which_nothing_is_chosen_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(deep_supervision=True)
    convs = recorded_convs(network)
    sizes = [conv.weight.numel() for conv in convs]
    indices = torch.tensor([sizes[0] + sizes[1] + 5, 3, sizes[0] + sizes[1], 3])  # of the first and the third
    batch = next(small_batches())
    tapes = conv_tapes(network, convs, batch, ALL_HEADS)
    first, third = (unit_weight_gradients(tapes[k], convs[k]).flatten(1) for k in (0, 2))
    asked: list[tuple[nn.Conv2d, list[int]]] = []

    def spy(tape: ConvTape, conv: nn.Conv2d, channels: torch.Tensor) -> torch.Tensor:
        asked.append((conv, channels.tolist()))
        return offset_gradients(tape, conv, channels)

    monkeypatch.setattr("albench.scoring.gradients.offset_gradients", spy)
    found = selected_gradients(tapes, convs, Columns.locate(convs, indices))
    expected = torch.stack([third[:, 5], first[:, 3], third[:, 0], first[:, 3]], dim=1)
    torch.testing.assert_close(found, expected)
    assert asked == [(convs[0], [0]), (convs[2], [0])]


def test_chosen_output_channels_are_those_of_all() -> None:
    network = small_network(deep_supervision=True)
    convs = recorded_convs(network)
    tapes = conv_tapes(network, convs, next(small_batches()), ALL_HEADS)
    for tape, conv in zip(tapes, convs, strict=True):
        channels = torch.tensor([conv.out_channels - 1, 0])
        expected = unit_weight_gradients(tape, conv)[:, channels]
        torch.testing.assert_close(unit_weight_gradients(tape, conv, channels), expected)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        ((3, 3), 1, 1, (7, 5)),
        ((1, 3), 1, (0, 1), (6, 7)),
        ((5, 3), 1, (2, 1), (5, 8)),
        ((3, 3), 1, 0, (7, 6)),
        ((2, 2), 1, 0, (4, 5)),
        ((3, 3), 2, 1, (7, 6)),
        ((3, 3), (2, 1), 1, (8, 5)),
        ((3, 1), (1, 2), (1, 0), (5, 7)),
        ((1, 1), 2, 0, (5, 6)),
    ],
    ids=str,
)
def test_every_shape_of_convolution(kernel, stride, padding, size) -> None:
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(3, 4, kernel, stride, padding, dtype=torch.float64)
    inputs = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    outputs = conv(inputs)
    output_gradients = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    found = unit_weight_gradients(ConvTape(inputs, output_gradients), conv)
    rounded = unit_weight_gradients(ConvTape(inputs.bfloat16(), output_gradients.bfloat16()), conv)
    assert rounded.dtype == torch.bfloat16
    assert_close(rounded.double(), found, 0.02)
    for i in range(2):
        (expected,) = torch.autograd.grad((conv(inputs[i : i + 1]) * output_gradients[i : i + 1]).sum(), conv.weight)
        assert_close(found[i], expected, 1e-12)


@pytest.mark.parametrize(
    "changes", [{"groups": 2}, {"dilation": 2}, {"padding": "same"}, {"padding_mode": "reflect"}], ids=str
)
def test_convolutions_it_cannot_do_are_refused(changes: dict[str, object]) -> None:
    conv = nn.Conv2d(2, 2, 3, **({"padding": 1} | changes))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="conv: expected"):
        unit_weight_gradients(ConvTape(torch.zeros(1, 2, 5, 5), torch.zeros(1, 2, 5, 5)), conv)


def plain_loss(heads: list[np.ndarray], crop: tuple[slice, slice], settings: GradientSettings) -> float:
    """Cross-entropy with hard labels, head by head, unit by unit, voxel by voxel."""
    n, _, rows, columns = heads[0].shape
    shares = {"published": [1, 1, 1], "trained": [1, 1, 0], "weighted": [2 / 3, 1 / 3, 0]}[settings.heads]
    total = 0.0
    for share, head in zip(shares, heads, strict=True):
        factors = rows / head.shape[2], columns / head.shape[3]
        log_p = log_softmax(head, axis=1)
        for i in range(n):
            losses = []
            for r in range(head.shape[2]):
                for c in range(head.shape[3]):
                    # The full-resolution voxel that holds the centre of this one.
                    row, column = int((r + 0.5) * factors[0]), int((c + 0.5) * factors[1])
                    own = head[i, :, r, c] if settings.pseudo_labels == "own" else heads[0][i, :, row, column]
                    if crop[0].start <= row < crop[0].stop and crop[1].start <= column < crop[1].stop:
                        losses.append(-log_p[i, own.argmax(), r, c])
            total += share * float(np.mean(losses)) if losses else 0.0
    return total


@pytest.mark.parametrize("crop", [(slice(0, 12), slice(0, 8)), (slice(1, 10), slice(2, 7)), (slice(4, 5), slice(5, 6))])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("labels", PSEUDO_LABELS)
def test_loss_equals_the_plain_formula(crop: tuple[slice, slice], heads: str, labels: str) -> None:
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(2, 3, *size)) for size in [(12, 8), (6, 4), (3, 2)]]
    batch = UnitBatch(np.arange(2), torch.empty(0), crop)
    settings = GradientSettings(heads=heads, pseudo_labels=labels)
    found = pseudo_label_loss([torch.from_numpy(head) for head in logits], batch, settings)
    assert float(found) == pytest.approx(plain_loss(logits, crop, settings), rel=1e-12)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_the_nnunet_loss_is_nnunets_own(n_labels: int) -> None:
    """Unit by unit, on a slice without padding; nnU-Net adds the two losses of a single head."""
    rng = np.random.default_rng(n_labels)
    logits = torch.from_numpy(rng.normal(size=(3, n_labels, 12, 8)))
    theirs = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}, {}, dice_class=MemoryEfficientSoftDiceLoss
    )
    expected = sum(float(theirs(unit[None], unit[None].argmax(1, keepdim=True))) for unit in logits)
    batch = UnitBatch(np.arange(3), torch.empty(0), (slice(0, 12), slice(0, 8)))
    found = float(pseudo_label_loss(logits, batch, GradientSettings(loss="nnunet")))
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(float(pseudo_label_loss(logits, batch, GradientSettings())), rel=0.01)


@pytest.mark.parametrize("n_heads", [1, 2, 3, 5])
def test_weights_of_the_heads(n_heads: int) -> None:
    published, trained, weighted = (head_weights(heads, n_heads) for heads in ("published", "trained", "weighted"))
    assert published == (1.0,) * n_heads
    assert trained == ((1.0,) if n_heads == 1 else (*(1.0,) * (n_heads - 1), 0.0))
    assert sum(weighted) == pytest.approx(1.0)
    assert [weight > 0 for weight in weighted] == [weight > 0 for weight in trained]
    assert all(a == pytest.approx(2 * b) for a, b in pairwise(weighted[: max(1, n_heads - 1)]))


@pytest.mark.parametrize("heads", HEADS)
def test_a_head_that_is_never_trained_decides_nothing_but_as_published(heads: str) -> None:
    gradients = []
    for change in (0.0, 1.0):
        network = small_network(deep_supervision=True, dtype=torch.float64)
        network.get_submodule("decoder.seg_layers.0").weight[1] += change  # the coarsest comes first there
        convs = decoder_convs(network)
        everything = Columns.locate(convs, torch.arange(sum(conv.weight.numel() for conv in convs)))
        batch = next(small_batches(dtype=torch.float64))
        tapes = conv_tapes(network, convs, batch, GradientSettings(heads=heads))
        gradients.append(selected_gradients(tapes, convs, everything))
    assert torch.equal(*gradients) is (heads != "published")


def test_loss_of_padded_slices_does_not_see_the_padding() -> None:
    rng = np.random.default_rng(0)
    head = torch.from_numpy(rng.normal(size=(1, 3, 8, 8)))
    batch = UnitBatch(np.arange(1), torch.empty(0), (slice(2, 6), slice(1, 7)))
    expected = pseudo_label_loss([head], batch, ALL_HEADS)
    changed = head.clone()
    changed[..., :2, :] = 50.0
    assert float(pseudo_label_loss([changed], batch, ALL_HEADS)) == float(expected)
    changed[..., 2, 1] += torch.tensor([3.0, 0.0, -3.0])
    assert float(pseudo_label_loss([changed], batch, ALL_HEADS)) != float(expected)
