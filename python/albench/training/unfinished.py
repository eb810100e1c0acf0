"""Trainings that are not over, saved now and then: one that is killed goes on, and ends as if it had not been.

A file is three lines, its format, a SHA-256 of all that follows and what training it is of, and then what torch writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from albench.errors import InputError
from albench.machine.files import atomic_file, require_fence
from albench.machine.stopping import held_back
from albench.machine.text import reason
from albench.seeding import generator_states, seeded, set_generator_states
from albench.training.base import Saving
from albench.training.checkpoint import NoModelError, read_tensors, require_plain_file

_FORMAT = "al-bench training 1"
_LONGEST_LINE = 100
_MOST_BESIDE_TENSORS = 2**22
"""Bytes of a file that are neither tensors of the network's size nor losses."""
_SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
_BUFFER = "momentum_buffer"


@dataclass(frozen=True, eq=False)
class Unfinished:
    """How far a training is, between two iterations.

    Attributes
    ----------
    batch_size
        Of its batches: smaller than planned where memory ran out.
    warnings
        As of the `TrainingReport`, so far.
    seconds
        Spent on iterations.
    losses
        float64 (iterations done,).
    weights
        The network's state by name.
    momentum
        The optimiser's, by name of the parameter; parameters that were never stepped have none.
    scaler
        State of the gradient scaler; None without mixed precision.
    generators
        See `albench.seeding.generator_states`.
    """

    batch_size: int
    warnings: tuple[str, ...]
    seconds: float
    losses: torch.Tensor
    weights: Mapping[str, torch.Tensor]
    momentum: Mapping[str, torch.Tensor]
    scaler: Mapping[str, Any] | None
    generators: Mapping[str, Any]

    @property
    def iteration(self) -> int:
        """Batches learned from, and number of the next."""
        return len(self.losses)

    @classmethod
    def of(
        cls, network: nn.Module, optimizer: torch.optim.Optimizer, scaler: GradScaler | None, **others: Any
    ) -> Unfinished:
        """Take the state of what trains; tensors are its own, which the next iteration changes."""
        momentum = {
            name: buffer
            for name, parameter in network.named_parameters()
            if (buffer := optimizer.state.get(parameter, {}).get(_BUFFER)) is not None
        }
        return cls(
            weights=dict(network.state_dict()),
            momentum=momentum,
            scaler=None if scaler is None else scaler.state_dict(),
            generators=generator_states(),
            **others,
        )

    def put_into(self, network: nn.Module, optimizer: torch.optim.Optimizer, scaler: GradScaler | None) -> None:
        """Have what trains go on from here, global generators included."""
        network.load_state_dict(dict(self.weights))
        for name, parameter in network.named_parameters():
            if name in self.momentum:
                optimizer.state[parameter][_BUFFER] = self.momentum[name].to(parameter.device)
        if scaler is not None and self.scaler is not None:
            scaler.load_state_dict(dict(self.scaler))
        set_generator_states(self.generators)


class Keeper:
    """Saves one training, and finds what was saved of it.

    Parameters
    ----------
    of
        Digest of all that decides what the training comes to; a file of another is of no use.
    n_iterations
        Of the whole training.
    batch_size
        Planned; smaller ones can be.

    Attributes
    ----------
    warnings
        What went wrong so far, before the training was saved too.
    """

    def __init__(self, saving: Saving, of: str, n_iterations: int, batch_size: int) -> None:
        self._saving, self._of = saving, hashlib.sha256(f"{saving.of} {of}".encode()).hexdigest()
        self._n_iterations, self._batch_size = n_iterations, batch_size
        self.warnings: list[str] = []
        self._saved_at, self._took_s = time.monotonic(), 0.0
        self._is_asked: Callable[[], bool] = lambda: False

    def read(self, weights: Mapping[str, torch.Tensor]) -> Unfinished | None:
        """Return what was saved; None where that is nothing, damaged or of another training, which is set aside.

        Parameters
        ----------
        weights
            The network's state; their values do not matter.
        """
        file = self._saving.file
        if not file.exists() and not file.is_symlink():
            return None
        # weights and momentum
        most = _MOST_BESIDE_TENSORS + 8 * self._n_iterations + 2 * sum(each.nbytes for each in weights.values())
        try:
            return _require_fits(_content(file, self._of, most), weights, self._n_iterations, self._batch_size)
        except MemoryError:
            raise
        except Exception as error:  # torch raises what the damaged place happens to lead to
            fault = reason(error)
        require_fence()
        place = self._saving.set_aside(file)
        self._saving.say(f"starts over: {file} is {fault:.200}; it is {place} now")
        return None

    def begin(self, unfinished: Unfinished | None) -> None:
        """Say where an attempt begins."""
        first = 0 if unfinished is None else unfinished.iteration
        if first:
            self._saving.say(f"goes on at iteration {first}")
        self._saving.begin(first)
        self._saved_at = time.monotonic()

    @contextlib.contextmanager
    def stops_between_iterations(self) -> Iterator[None]:
        """Hold back signals that ask to end for a block, which ends itself where `is_asked`."""
        with held_back() as is_asked:
            self._is_asked = is_asked
            yield

    @property
    def is_asked(self) -> bool:
        """Whether the training was asked to end."""
        return self._is_asked()

    def is_due(self, is_last: bool) -> bool:
        """Whether the training should be saved after this iteration."""
        if self.is_asked:
            return True
        if is_last:
            return self._saving.at_end
        return time.monotonic() - self._saved_at >= max(self._saving.every_s, self._took_s / self._saving.share)

    def write(self, unfinished: Unfinished) -> None:
        """Save it, whole or not at all; where that fails it is said, and the training goes on."""
        began = time.monotonic()
        try:
            self._write(unfinished)
        except (InputError, OSError, MemoryError) as error:
            self._saving.say(f"not saved at iteration {unfinished.iteration}: {reason(error)}")
        else:
            if self.is_asked:
                self._saving.say(f"saved at iteration {unfinished.iteration}")
        self._saved_at = time.monotonic()
        self._took_s = self._saved_at - began

    def _write(self, unfinished: Unfinished) -> None:
        # Serialised in memory first: see `Checkpoint.write`.
        buffer = io.BytesIO()
        torch.save({field.name: getattr(unfinished, field.name) for field in fields(Unfinished)}, buffer)
        of, content = f"{self._of}\n".encode(), buffer.getbuffer()
        digest = hashlib.sha256(of)
        digest.update(content)
        with atomic_file(self._saving.file) as temporary, temporary.open("wb") as stream:
            stream.write(f"{_FORMAT}\n{digest.hexdigest()}\n".encode())
            stream.write(of)
            stream.write(content)


def _content(file: Path, of: str, most: int) -> dict[str, Any]:
    """Return what a file holds; NoModelError where it is another's, damaged, or larger than `most` bytes."""
    require_plain_file(file)
    if file.stat().st_size > most:
        raise NoModelError("too large")
    with file.open("rb") as stream:
        lines = [stream.readline(_LONGEST_LINE).decode("ascii", "replace").rstrip("\n") for _ in range(3)]
        content = stream.read()
    if lines[0] != _FORMAT:
        raise NoModelError("none, or of another version of al-bench")
    digest = hashlib.sha256(f"{lines[2]}\n".encode())
    digest.update(content)
    if digest.hexdigest() != lines[1]:
        raise NoModelError("damaged")
    if lines[2] != of:
        raise NoModelError("of another training: other units, cases, settings, versions or device")
    return read_tensors(io.BytesIO(content), len(content))


def _require_fits(
    content: Mapping[str, Any], weights: Mapping[str, torch.Tensor], n_iterations: int, batch_size: int
) -> Unfinished:
    """Return what a file holds, which this training can go on from; whatever is raised where it cannot.

    A digest is against damage: whoever made the file may have made that too.
    """
    found = Unfinished(**content)
    if not (type(found.batch_size) is int and 1 <= found.batch_size <= batch_size):
        raise NoModelError("of other batches")
    if type(found.warnings) is not tuple or not all(isinstance(line, str) for line in found.warnings):
        raise NoModelError("without warnings")
    if not (type(found.seconds) is float and math.isfinite(found.seconds) and found.seconds >= 0):
        raise NoModelError("without its time")
    if found.weights.keys() != weights.keys() or not found.momentum.keys() <= weights.keys():
        raise NoModelError("of another network")
    for values in (found.weights, found.momentum):
        for name, value in values.items():
            _require_like(name, value, weights[name])
    if found.losses.dtype != torch.float64 or found.losses.ndim != 1 or found.iteration > n_iterations:
        raise NoModelError("of other losses")
    if not torch.isfinite(found.losses).all():
        raise NoModelError("with losses that are no numbers")
    if found.scaler is not None and (
        found.scaler.keys() != _SCALER or not all(type(value) in (int, float) for value in found.scaler.values())
    ):
        raise NoModelError("of another gradient scaler")
    with seeded("what is restored after the block"):
        set_generator_states(found.generators)
    return found


def _require_like(name: str, value: Any, expected: torch.Tensor) -> None:
    if type(value) is not torch.Tensor or value.layout != torch.strided or value.device.type != "cpu":
        raise NoModelError(f"with {name:.100} that is no tensor of numbers")
    if value.dtype != expected.dtype or value.shape != expected.shape:
        raise NoModelError(f"with {name:.100} of {value.dtype} {tuple(value.shape)}")
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise NoModelError(f"with {name:.100} that has values that are no numbers")
