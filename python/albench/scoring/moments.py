"""Moments over the members of an uncertainty source (stochastic passes), without keeping the members.

A source is anything that yields the logits of its members for a batch, one after the other: Monte-Carlo dropout
passes of one network, or the networks of an ensemble.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from albench.errors import InputError
from albench.scoring.batches import UnitBatch
from albench.scoring.request import MOMENTS, Need
from albench.seeding import Key, seeded

Members = Callable[[UnitBatch], Iterator[torch.Tensor]]
"""Yields each member's logits of a batch, (b, n_labels, *spatial), padding included; at least one member."""


@contextlib.contextmanager
def stochastic(network: nn.Module, rate: float) -> Iterator[None]:
    """Switch every dropout layer on at `rate` inside the block; all other layers stay as they are.

    Raises
    ------
    ValueError
        If the network has no dropout layer: its passes would not differ.
    """
    layers = [module for module in network.modules() if isinstance(module, _DropoutNd)]
    if not layers:
        raise ValueError("network: expected dropout layers for Monte-Carlo passes, found none")
    saved = [(layer, layer.p, layer.training) for layer in layers]
    for layer in layers:
        layer.p = rate
        layer.train()
    try:
        yield
    finally:
        for layer, p, training in saved:
            layer.p = p
            layer.train(training)


@contextlib.contextmanager
def mc_dropout(
    network: nn.Module, *, passes: int, dropout: float, bfloat16: bool, key: tuple[Key, ...]
) -> Iterator[Members]:
    """Monte-Carlo dropout: `passes` forward passes of one network with its dropout layers on inside the block.

    Masks are drawn batch by batch from the stream `key`, so they depend on how units are batched.

    Parameters
    ----------
    passes, dropout
        Number of passes and dropout rate.
    bfloat16
        Whether the network's products are rounded to bfloat16; what is made of the logits never is.
    """

    def members(batch: UnitBatch) -> Iterator[torch.Tensor]:
        for _ in range(passes):
            with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bfloat16):
                logits = network(batch.images)
            yield logits.float()

    with stochastic(network, dropout), seeded(*key):
        yield members


def ensemble(networks: Sequence[nn.Module], *, bfloat16: bool) -> Members:
    """Deep ensemble: one forward pass of each of several networks in eval mode, as `mc_dropout` otherwise."""

    def members(batch: UnitBatch) -> Iterator[torch.Tensor]:
        for network in networks:
            with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bfloat16):
                logits = network(batch.images)
            yield logits.float()

    return members


def flips(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All ways to mirror along some of `axes`, as it is first; axes of a (b, c, *spatial) tensor, from spatial ones."""
    shifted = [axis + 2 for axis in axes]
    return [some for n in range(len(shifted) + 1) for some in itertools.combinations(shifted, n)]


def mirrorings(network: nn.Module, axes: Sequence[int], *, bfloat16: bool) -> Members:
    """Test-time mirroring: a pass for each way to mirror along `axes`, mirrored back, as `ensemble` otherwise.

    What the passes disagree about is where the network is not symmetric; a network that is confidently wrong is so in
    every mirror.

    Raises
    ------
    InputError
        There is no axis: the one pass has no variance.
    """
    if not axes:
        raise InputError("uncertainty by mirroring: expected a model trained on mirrored images, got one that was not")

    def members(batch: UnitBatch) -> Iterator[torch.Tensor]:
        for some in flips(axes):
            with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bfloat16):
                logits = network(batch.images.flip(some))
            yield logits.float().flip(some)

    return members


_OF_THE_MEAN = Need.PREDICTIVE_ENTROPY | Need.MUTUAL_INFORMATION | Need.CLASS_ENTROPY


class Accumulator:
    """Mean, variance and mean entropy of softmax maps that come one by one.

    Welford's recurrence keeps two arrays of one member's size and has no cancellation, instead of the
    (member, unit, class, voxel) stack. That is kept for the expected Dice alone, which compares every member with the
    mean of all. What is not needed is not computed.

    Parameters
    ----------
    batch
        Where the units are in the maps.
    needs
        Any of `MOMENTS`.
    """

    def __init__(self, batch: UnitBatch, needs: Need) -> None:
        self._batch = batch
        self._with_variance = Need.VARIANCE in needs
        self._with_entropies = bool((Need.MUTUAL_INFORMATION | Need.EXPECTED_ENTROPY) & needs)
        self._with_members = Need.EXPECTED_DICE in needs
        self._members: list[torch.Tensor] = []
        self._n = 0
        self._mean = self._squares = self._entropy = torch.empty(0)

    def add(self, logits: torch.Tensor) -> None:
        """Take in one member's float32 logits (b, n_labels, *spatial), padding included."""
        self._n += 1
        # The same softmax, to the last bit, whatever else is asked for: strategies that share a quantity have to agree.
        log_p = torch.log_softmax(self._batch.cut(logits), dim=1)
        if self._with_entropies:
            p = log_p.exp()
            entropy = -self._batch.sums(log_p.mul_(p), classes=False)
            self._entropy = entropy if self._n == 1 else self._entropy + entropy
        else:
            p = log_p.exp_()
        if self._with_members:
            self._members.append(p.clone())
        if self._n == 1:
            self._mean = p
            self._squares = torch.zeros_like(p) if self._with_variance else self._squares
            return
        delta = p.sub_(self._mean)
        self._mean.add_(delta, alpha=1 / self._n)
        if self._with_variance:
            # Welford's second factor, p less the mean after, is (1 - 1 / n) times the first.
            self._squares.addcmul_(delta, delta, value=1 - 1 / self._n)

    def means(self, needs: Need) -> dict[str, torch.Tensor]:
        """Means over the voxels of each unit by the names of `Scores`, float64 (u,) or (u, n_labels)."""
        means = {}
        n_voxels = self._batch.n_voxels()
        if Need.VARIANCE in needs:
            means["variance"] = self._batch.sums(self._squares, classes=True) / n_voxels[:, None] / self._n
        if self._with_entropies:
            own = self._entropy / (self._n * n_voxels)
        if Need.EXPECTED_ENTROPY in needs:
            means["expected_entropy"] = own
        if Need.EXPECTED_DICE in needs:
            means["expected_dice"] = torch.stack([self._dice(member) for member in self._members]).mean(dim=0)
        if needs & _OF_THE_MEAN:
            entropy = softmax_entropy(self._mean)[:, None]
            predictive = self._batch.sums(entropy, classes=False) / n_voxels
            if Need.PREDICTIVE_ENTROPY in needs:
                means["predictive_entropy"] = predictive
            if Need.MUTUAL_INFORMATION in needs:
                # Jensen: never negative but for rounding.
                means["mutual_information"] = (predictive - own).clamp_(min=0)
            if Need.CLASS_ENTROPY in needs:
                means["class_entropy"] = self._batch.sums(self._mean * entropy, classes=True) / n_voxels[:, None]
        return means

    def _dice(self, member: torch.Tensor) -> torch.Tensor:
        """Soft Dice of a member with the mean, mean over the classes that either has any of; float64 (u,)."""
        both = self._batch.sums(self._mean * member, classes=True)
        either = self._batch.sums(self._mean + member, classes=True)
        return torch.nanmean(2 * both / either, dim=1)


def softmax_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Entropy in nats over axis 1, with 0 log 0 = 0."""
    entropy: torch.Tensor = torch.special.entr(probabilities).sum(dim=1)
    return entropy


@torch.inference_mode()
def mean_entropy(network: nn.Module, batches: Iterable[UnitBatch], n_units: int) -> NDArray[np.float64]:
    """Mean over voxels of the softmax entropy of one deterministic pass; float64 (n_units,)."""
    result = np.full(n_units, np.nan)
    for batch in batches:
        entropy = softmax_entropy(torch.softmax(batch.cut(network(batch.images)), dim=1))
        means = batch.sums(entropy[:, None], classes=False) / batch.n_voxels()
        result[batch.positions] = means.cpu().numpy()
    return result


def accumulate(members: Members, batch: UnitBatch, needs: Need) -> Accumulator:
    """Take in all members' softmax of one batch."""
    accumulator = Accumulator(batch, needs)
    for logits in members(batch):
        accumulator.add(logits)
    return accumulator


def mean_softmax(members: Members, batch: UnitBatch) -> torch.Tensor:
    """Softmax averaged over the members, float32 (b, n_labels, *spatial), padding included."""
    total, n = None, 0
    for logits in members(batch):
        probabilities = torch.softmax(logits, dim=1)
        total, n = probabilities if total is None else total.add_(probabilities), n + 1
    assert total is not None
    return total.div_(n)


@torch.inference_mode()
def moments(
    members: Members, batches: Iterable[UnitBatch], n_units: int, n_labels: int, needs: Need
) -> dict[str, NDArray[np.float64]]:
    """Means over voxels of what `needs` asks for, from one pass over members and batches.

    With p_t the softmax of member t, p its mean over the members and H the entropy in nats: variance
    mean_v Var_t p_t, predictive entropy mean_v H(p), mutual information mean_v (H(p) - mean_t H(p_t)) (Houlsby et al.
    2011), class entropy mean_v p_c H(p). Padding does not count.

    Parameters
    ----------
    members
        The uncertainty source.
    needs
        Any of `MOMENTS`; others are ignored.

    Returns
    -------
    dict
        By the names of `Scores`, float64 (n_units,), or (n_units, n_labels) for variance and class entropy. NaN for
        a unit that no batch brought.
    """
    by_class = Need.VARIANCE | Need.CLASS_ENTROPY
    result = {
        str(need.name).lower(): np.full((n_units, n_labels) if need in by_class else n_units, np.nan)
        for need in MOMENTS & needs
    }
    for batch in batches:
        accumulator = accumulate(members, batch, needs)
        for name, values in accumulator.means(needs).items():
            result[name][batch.positions] = values.cpu().numpy()
    return result
