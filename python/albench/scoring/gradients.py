"""Per-unit gradients of chosen convolutions from one batched forward and backward pass.

The loss is that of the network's outputs against hard pseudo-labels. No network layer mixes units (normalisation is per
instance), so the gradient of the summed loss with respect to a convolution's output at unit i is that of unit i
alone, and its weight gradient is the correlation of that with the convolution's input.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from albench.scoring.batches import UnitBatch, within
from albench.scoring.request import GradientSettings

_DICE_SMOOTH = 1e-5  # nnU-Net's

Conv = nn.Conv2d | nn.Conv3d


@dataclass(frozen=True)
class ConvTape:
    """Input (b, c_in, *spatial) of a convolution and the loss gradient at its output (b, c_out, *spatial)."""

    inputs: torch.Tensor
    output_gradients: torch.Tensor


def head_weights(heads: str, n_heads: int) -> tuple[float, ...]:
    """Weight of the loss of each deep-supervision head, finest first: see `GradientSettings.heads`.

    nnU-Net's weights are those of `nnUNetTrainer._build_loss` (version 2.8.1): 1, 1/2, 1/4, ..., the coarsest 0, sum 1.
    A lone head has weight 1.
    """
    if heads == "published" or n_heads == 1:
        return (1.0,) * n_heads
    if heads == "trained":
        return (*(1.0,) * (n_heads - 1), 0.0)
    weights = [*(0.5**i for i in range(n_heads - 1)), 0.0]
    return tuple(weight / sum(weights) for weight in weights)


def pseudo_label_loss(
    outputs: torch.Tensor | Sequence[torch.Tensor], batch: UnitBatch, settings: GradientSettings
) -> torch.Tensor:
    """Sum over units, and weighted over heads, of the loss of the network against its own hard labels.

    What lies outside a unit does not count, and each unit's cross-entropy is the mean over its voxels. A head too
    coarse to have a voxel inside a narrow unit adds nothing.

    Parameters
    ----------
    outputs
        Logits of the deep-supervision heads, finest first, each (b, n_labels, *spatial); or of the only head.
    batch
        One unit in each image.
    settings
        Which heads, held against whose labels, by which loss.
    """
    if isinstance(outputs, torch.Tensor):
        outputs = [outputs]
    finest = outputs[0]
    labels = finest.argmax(dim=1, keepdim=True).float()
    inside = batch.mask(labels)
    total = finest.new_zeros(())
    for logits, share in zip(outputs, head_weights(settings.heads, len(outputs)), strict=True):
        if share == 0:
            continue
        size = logits.shape[2:]
        if settings.pseudo_labels == "own":
            target = logits.argmax(dim=1)
        else:
            target = functional.interpolate(labels, size=size, mode="nearest-exact")[:, 0].long()
        weight = functional.interpolate(inside, size=size, mode="nearest-exact")[:, 0]
        loss = _cross_entropy(logits, target, weight)
        if settings.loss == "nnunet":
            loss = loss + _soft_dice_loss(logits, target, weight)
        total = total + share * loss.sum()
    return total


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean over each unit's voxels, those of weight 1; (b,)."""
    spatial = tuple(range(1, target.ndim))
    loss = functional.cross_entropy(logits, target, reduction="none") * weight
    return loss.sum(dim=spatial) / weight.sum(dim=spatial).clamp(min=1)


def _soft_dice_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """nnU-Net's soft Dice loss of each unit, mean over the foreground classes (`MemoryEfficientSoftDiceLoss`); (b,)."""
    spatial = tuple(range(2, logits.ndim))
    truth = functional.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:] * weight[:, None]
    predicted = torch.softmax(logits, dim=1)[:, 1:] * weight[:, None]
    both = (predicted * truth).sum(dim=spatial)
    size = predicted.sum(dim=spatial) + truth.sum(dim=spatial)
    dice = (2 * both + _DICE_SMOOTH) / (size + _DICE_SMOOTH).clamp(min=1e-8)
    return -dice.mean(dim=1)


def conv_tapes(
    network: nn.Module,
    convs: Sequence[Conv],
    batch: UnitBatch,
    settings: GradientSettings,
    *,
    bfloat16: bool = False,
) -> list[ConvTape]:
    """One forward and one backward pass, recording input and output gradient of every conv in `convs`.

    Parameters' own gradients are never formed: the graph starts at the first recorded convolution.

    Parameters
    ----------
    network
        In eval mode, its parameters not requiring gradients; with deep supervision, its heads count as `settings`
        says.
    bfloat16
        Whether the network's products are rounded to bfloat16, and the tapes with them; the loss never is.
    """
    inputs: dict[nn.Module, torch.Tensor] = {}
    outputs: dict[nn.Module, torch.Tensor] = {}

    def record(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if not output.requires_grad:
            output.requires_grad_()
        inputs[module] = args[0].detach().to(output.dtype)
        outputs[module] = output
        return output

    handles: list[RemovableHandle] = [conv.register_forward_hook(record) for conv in convs]
    try:
        with torch.enable_grad():
            with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bfloat16):
                heads = network(batch.images)
            if bfloat16:
                heads = heads.float() if isinstance(heads, torch.Tensor) else [head.float() for head in heads]
            loss = pseudo_label_loss(heads, batch, settings)
            gradients = torch.autograd.grad(loss, [outputs[conv] for conv in convs])
    finally:
        for handle in handles:
            handle.remove()
    return [ConvTape(inputs[conv], gradient.detach()) for conv, gradient in zip(convs, gradients, strict=True)]


def offset_gradients(tape: ConvTape, conv: Conv, out_channels: torch.Tensor | None = None) -> torch.Tensor:
    """Weight gradient of each unit, kernel offset by kernel offset.

    One batched matrix product for each offset, or in bfloat16 for each row of offsets: those products pay off from a
    few dozen rows up only, so that the copy which puts a row's windows below each other is worth it. With stride 1 the
    offset input is a strided view of the padded input, flattened over its spatial axes; output gradients are laid out
    with the padded lengths of all but the first axis, so that what wraps around meets zeros.

    Parameters
    ----------
    out_channels
        int64 (k,): only these output channels; None takes all.

    Returns
    -------
    Tensor
        (rows of offsets, b, offsets in a row, c_in, k) of the tape's type, contiguous: every product is written in one
        piece. Offset o of the kernel is number o % (offsets in a row) of row o // (offsets in a row).
    """
    gradients = tape.output_gradients if out_channels is None else tape.output_gradients[:, out_channels]
    n, k, *shape = gradients.shape
    padding = _padding(conv)
    # One spare row or plane at the end lets the last offset's flattened window run past the image's end.
    pads = [side for amount in reversed(padding) for side in (amount, amount)]
    pads[-1] += 1
    padded = functional.pad(tape.inputs, pads)
    lengths = padded.shape[2:]
    unit_stride = all(step == 1 for step in conv.stride)
    if unit_stride:
        wrapped = [
            side for m, edge in zip(reversed(lengths[1:]), reversed(shape[1:]), strict=True) for side in (0, m - edge)
        ]
        right = functional.pad(gradients, wrapped).flatten(2).transpose(1, 2)
    else:
        right = gradients.flatten(2).transpose(1, 2)
    flat = padded.flatten(2)
    steps = [math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))]  # distance of neighbours, flattened

    def window(offset: tuple[int, ...]) -> torch.Tensor:
        if unit_stride:
            begin = sum(i * step for i, step in zip(offset, steps, strict=True))
            return flat[..., begin : begin + right.shape[1]]
        box = tuple(slice(i, i + s * (m - 1) + 1, s) for i, s, m in zip(offset, conv.stride, shape, strict=True))
        return padded[within(box, ...)].flatten(2)

    offsets = list(itertools.product(*map(range, conv.kernel_size)))
    row = conv.kernel_size[-1] if gradients.dtype == torch.bfloat16 else 1
    result = gradients.new_empty((len(offsets) // row, n, row * conv.in_channels, k))
    for number, products in enumerate(result):
        windows = [window(offset) for offset in offsets[number * row : (number + 1) * row]]
        torch.bmm(windows[0] if row == 1 else torch.cat(windows, dim=1), right, out=products)
    return result.view(-1, n, row, conv.in_channels, k)


def unit_weight_gradients(tape: ConvTape, conv: Conv, out_channels: torch.Tensor | None = None) -> torch.Tensor:
    """Weight gradient of each unit in the layout of ``conv.weight``.

    Parameters
    ----------
    out_channels
        int64 (k,): only these output channels; None takes all.

    Returns
    -------
    Tensor
        (b, k, c_in, *kernel), of the tape's type.
    """
    gradients = offset_gradients(tape, conv, out_channels).permute(1, 4, 3, 0, 2)
    return gradients.reshape(*gradients.shape[:3], *conv.kernel_size)


def widened(values: torch.Tensor) -> torch.Tensor:
    """In float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _padding(conv: Conv) -> tuple[int, ...]:
    plain = conv.padding_mode == "zeros" and conv.groups == 1 and all(step == 1 for step in conv.dilation)
    if isinstance(conv.padding, str) or not plain:
        raise ValueError(f"conv: expected explicit padding with zeros, one group and no dilation, got {conv}")
    return tuple(int(amount) for amount in conv.padding)


@dataclass(frozen=True)
class Columns:
    """Entries of the concatenated, flattened weights of several convolutions, split by convolution.

    Attributes
    ----------
    per_conv
        For each convolution int64 indices into its flattened (c_out, c_in, *kernel) weights.
    order
        int64 (P,): where each of the concatenated entries stood in the caller's order.
    """

    per_conv: tuple[torch.Tensor, ...]
    order: torch.Tensor

    @classmethod
    def locate(cls, convs: Sequence[Conv], indices: torch.Tensor) -> Columns:
        """Split `indices` into the concatenation of all weights by convolution.

        Raises
        ------
        ValueError
            If an index is not in 0..n_weights - 1.
        """
        n_weights = sum(conv.weight.numel() for conv in convs)
        outside = indices[(indices < 0) | (indices >= n_weights)]
        if outside.numel():
            raise ValueError(f"indices: expected 0..{n_weights - 1}, got {int(outside[0])}")
        per_conv: list[torch.Tensor] = []
        order: list[torch.Tensor] = []
        offset = 0
        for conv in convs:
            inside = (indices >= offset) & (indices < offset + conv.weight.numel())
            order.append(torch.nonzero(inside)[:, 0])
            per_conv.append(indices[inside] - offset)
            offset += conv.weight.numel()
        return cls(tuple(per_conv), torch.cat(order))


def selected_gradients(tapes: Sequence[ConvTape], convs: Sequence[Conv], columns: Columns) -> torch.Tensor:
    """Per-unit gradients at the chosen entries; float32 (b, P) in the caller's order.

    A convolution is skipped where nothing of it was chosen, and only the output channels that were are formed.
    """
    n = tapes[0].inputs.shape[0]
    result = widened(tapes[0].inputs.new_empty(0)).new_empty((n, columns.order.numel()))
    done = 0
    for tape, conv, entries in zip(tapes, convs, columns.per_conv, strict=True):
        if entries.numel() == 0:
            continue
        n_offsets = math.prod(conv.kernel_size)
        pairs, offsets = entries // n_offsets, entries % n_offsets
        channels, rows = torch.unique(pairs // conv.in_channels, return_inverse=True)
        gradients = offset_gradients(tape, conv, channels)
        in_row = gradients.shape[2]
        block = gradients[offsets // in_row, :, offsets % in_row, pairs % conv.in_channels, rows]
        result[:, columns.order[done : done + entries.numel()]] = block.T.to(result.dtype)
        done += entries.numel()
    return result


def unit_gradients(
    network: nn.Module,
    convs: Sequence[Conv],
    batches: Iterator[UnitBatch],
    columns: Columns,
    settings: GradientSettings,
    *,
    bfloat16: bool = False,
) -> Iterator[tuple[UnitBatch, torch.Tensor]]:
    """Batches with the (b, P) gradients of their units."""
    for batch in batches:
        yield batch, selected_gradients(conv_tapes(network, convs, batch, settings, bfloat16=bfloat16), convs, columns)
