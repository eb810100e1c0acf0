"""Per-unit gradients of chosen convolutions from one batched forward and backward pass.

The loss is the cross-entropy with hard pseudo-labels. No network layer mixes units (normalisation is per
instance), so the gradient of the summed loss with respect to a convolution's output at unit i is that of unit i
alone, and its weight gradient is the correlation of that with the convolution's input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from albench.scoring.batches import SliceBatch


@dataclass(frozen=True)
class ConvTape:
    """Input (b, c_in, row, column) of a convolution and the loss gradient at its output (b, c_out, row, column)."""

    inputs: torch.Tensor
    output_gradients: torch.Tensor


def pseudo_label_loss(outputs: torch.Tensor | Sequence[torch.Tensor], batch: SliceBatch) -> torch.Tensor:
    """Sum over units and heads of the cross-entropy with the network's own hard labels.

    The labels are the full-resolution prediction, taken at the nearest voxel for the coarser heads as nnU-Net
    does in training; padding does not count, and each unit's loss is the mean over its voxels. A head too coarse to
    have a voxel inside a narrow slice adds nothing.

    Parameters
    ----------
    outputs
        Logits of the deep-supervision heads, finest first, each (b, n_labels, row, column); or of the only head.
    """
    if isinstance(outputs, torch.Tensor):
        outputs = [outputs]
    finest = outputs[0]
    labels = finest.argmax(dim=1, keepdim=True).float()
    inside = torch.zeros_like(labels)
    inside[..., batch.crop[0], batch.crop[1]] = 1
    total = finest.new_zeros(())
    for logits in outputs:
        size = logits.shape[2:]
        target = functional.interpolate(labels, size=size, mode="nearest-exact")[:, 0].long()
        weight = functional.interpolate(inside, size=size, mode="nearest-exact")[:, 0]
        loss = functional.cross_entropy(logits, target, reduction="none") * weight
        total = total + (loss.sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)).sum()
    return total


def conv_tapes(network: nn.Module, convs: Sequence[nn.Conv2d], batch: SliceBatch) -> list[ConvTape]:
    """One forward and one backward pass, recording input and output gradient of every conv in `convs`.

    Parameters' own gradients are never formed: the graph starts at the first recorded convolution.

    Parameters
    ----------
    network
        In eval mode, its parameters not requiring gradients; with deep supervision, all heads count.
    """
    inputs: dict[nn.Module, torch.Tensor] = {}
    outputs: dict[nn.Module, torch.Tensor] = {}

    def record(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if not output.requires_grad:
            output.requires_grad_()
        inputs[module] = args[0].detach()
        outputs[module] = output
        return output

    handles: list[RemovableHandle] = [conv.register_forward_hook(record) for conv in convs]
    try:
        with torch.enable_grad():
            loss = pseudo_label_loss(network(batch.images), batch)
            gradients = torch.autograd.grad(loss, [outputs[conv] for conv in convs])
    finally:
        for handle in handles:
            handle.remove()
    return [ConvTape(inputs[conv], gradient.detach()) for conv, gradient in zip(convs, gradients, strict=True)]


def offset_gradients(tape: ConvTape, conv: nn.Conv2d, out_channels: torch.Tensor | None = None) -> torch.Tensor:
    """Weight gradient of each unit, kernel offset by kernel offset.

    One batched matrix product per kernel offset. With stride 1 the offset input is a strided view of the padded
    input, flattened over rows and columns; output gradients are laid out with the padded row length, so that the
    columns which wrap around meet zeros. Nothing is unfolded.

    Parameters
    ----------
    out_channels
        int64 (k,): only these output channels; None takes all.

    Returns
    -------
    Tensor
        float32 (kernel row * kernel column, b, k, c_in), contiguous: every product is written in one piece.
    """
    gradients = tape.output_gradients if out_channels is None else tape.output_gradients[:, out_channels]
    n, k, rows, columns = gradients.shape
    (kernel_rows, kernel_columns), (pad_rows, pad_columns) = conv.kernel_size, _padding(conv)
    # One spare row below lets the last offset's flattened window run past the image's end.
    padded = functional.pad(tape.inputs, (pad_columns, pad_columns, pad_rows, pad_rows + 1))
    width = padded.shape[3]
    unit_stride = conv.stride == (1, 1)
    left = functional.pad(gradients, (0, width - columns)).flatten(2) if unit_stride else gradients.flatten(2)
    flat = padded.flatten(2)
    result = gradients.new_empty((kernel_rows * kernel_columns, n, k, conv.in_channels))
    for offset in range(kernel_rows * kernel_columns):
        i, j = divmod(offset, kernel_columns)
        if unit_stride:
            begin = i * width + j
            window = flat[..., begin : begin + rows * width]
        else:
            row_step, column_step = conv.stride
            window = padded[
                ..., i : i + row_step * (rows - 1) + 1 : row_step, j : j + column_step * (columns - 1) + 1 : column_step
            ].flatten(2)
        torch.bmm(left, window.transpose(1, 2), out=result[offset])
    return result


def unit_weight_gradients(tape: ConvTape, conv: nn.Conv2d, out_channels: torch.Tensor | None = None) -> torch.Tensor:
    """Weight gradient of each unit in the layout of ``conv.weight``.

    Parameters
    ----------
    out_channels
        int64 (k,): only these output channels; None takes all.

    Returns
    -------
    Tensor
        float32 (b, k, c_in, kernel row, kernel column).
    """
    gradients = offset_gradients(tape, conv, out_channels).permute(1, 2, 3, 0)
    return gradients.reshape(*gradients.shape[:3], *conv.kernel_size)


def _padding(conv: nn.Conv2d) -> tuple[int, int]:
    plain = conv.padding_mode == "zeros" and conv.groups == 1 and conv.dilation == (1, 1)
    if isinstance(conv.padding, str) or not plain:
        raise ValueError(f"conv: expected explicit padding with zeros, one group and no dilation, got {conv}")
    return int(conv.padding[0]), int(conv.padding[1])


@dataclass(frozen=True)
class Columns:
    """Entries of the concatenated, flattened weights of several convolutions, split by convolution.

    Attributes
    ----------
    per_conv
        For each convolution int64 indices into its flattened (c_out, c_in, row, column) weights.
    order
        int64 (P,): where each of the concatenated entries stood in the caller's order.
    """

    per_conv: tuple[torch.Tensor, ...]
    order: torch.Tensor

    @classmethod
    def locate(cls, convs: Sequence[nn.Conv2d], indices: torch.Tensor) -> Columns:
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


def selected_gradients(tapes: Sequence[ConvTape], convs: Sequence[nn.Conv2d], columns: Columns) -> torch.Tensor:
    """Per-unit gradients at the chosen entries; float32 (b, P) in the caller's order.

    A convolution is skipped where nothing of it was chosen, and only the output channels that were are formed.
    """
    n = tapes[0].inputs.shape[0]
    result = tapes[0].inputs.new_empty((n, columns.order.numel()))
    done = 0
    for tape, conv, entries in zip(tapes, convs, columns.per_conv, strict=True):
        if entries.numel() == 0:
            continue
        n_offsets = conv.kernel_size[0] * conv.kernel_size[1]
        pairs, offsets = entries // n_offsets, entries % n_offsets
        channels, rows = torch.unique(pairs // conv.in_channels, return_inverse=True)
        gradients = offset_gradients(tape, conv, channels)
        block = gradients[offsets, :, rows, pairs % conv.in_channels]
        result[:, columns.order[done : done + entries.numel()]] = block.T
        done += entries.numel()
    return result


def unit_gradients(
    network: nn.Module, convs: Sequence[nn.Conv2d], batches: Iterator[SliceBatch], columns: Columns
) -> Iterator[tuple[SliceBatch, torch.Tensor]]:
    """Batches with the (b, P) gradients of their units."""
    for batch in batches:
        yield batch, selected_gradients(conv_tapes(network, convs, batch), convs, columns)
