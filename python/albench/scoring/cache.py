"""Scores of one pool by one model, kept on disk so that strategies that ask for the same share them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.foreign import read_arrays
from albench.scoring.request import (
    FREE_MOMENTS,
    MOMENTS,
    Features,
    FisherEmbedding,
    GradientSettings,
    Need,
    Scores,
    ScoringRequest,
)

MAX_BYTES = 256 * 2**20
"""A quantity that takes more is computed again by whoever needs it."""

_MOST_BYTES = 2**30  # of a file that is read: others may have written it

_DECIDED_BY = {
    Need.FISHER: ("layers", "heads", "pseudo_labels", "fisher", "loss"),
    Need.BOTTLENECK: ("heads", "pseudo_labels", "loss"),
    Need.LAST_LAYER: ("loss",),
}
"""Which of `GradientSettings` a quantity depends on; LAST_LAYER is computed without deep supervision."""

_PARTS = {Need.FISHER: FisherEmbedding, Need.FEATURES: Features}


class ScoreCache:
    """One file per quantity, valid for one model, pool and request.

    Chains may use it side by side: a file appears whole or not at all, and whoever finds none computes the same.

    Parameters
    ----------
    folder
        Where the files are.
    context
        Names everything that the scores depend on beside the request: model, units, code.
    request
        How they are computed.
    """

    def __init__(self, folder: Path, context: str, request: ScoringRequest) -> None:
        self._folder = folder
        # What gradients are of parts those alone, and is in their files' names.
        common = replace(request, gradients=GradientSettings())
        text = "\x1f".join([context, repr(common), request.class_weights.tobytes().hex()])  # repr rounds the weights
        self._context = hashlib.sha256(text.encode()).hexdigest()
        self._gradients = request.gradients

    def scores(self, needs: Need, compute: Callable[[Need, Scores], Scores]) -> tuple[Scores, Need]:
        """Return scores that meet `needs`, and which of these were found.

        Parameters
        ----------
        compute
            Called with what is not there and with what is, unless all is; what it returns is kept, also beyond what
            was asked for. Asked for one quantity of the stochastic passes, it is asked for all that cost nothing more:
            others will want them.
        """
        values = {need: value for need in needs if (value := self._load(need)) is not None}
        known = Need.NOTHING
        for need in values:
            known |= need
        missing = needs & ~known
        if missing:
            made = compute(missing | FREE_MOMENTS if missing & MOMENTS else missing, _gathered(values))
            for need in Need:
                value = getattr(made, _field(need))
                if value is not None and need not in known:
                    values[need] = value
                    self._save(need, value)
        return _gathered({need: value for need, value in values.items() if need in needs}), known

    def _path(self, need: Need) -> Path:
        words = [getattr(self._gradients, name) for name in _DECIDED_BY.get(need, ())]
        return self._folder / f"{'-'.join([_field(need), *words])}.npz"

    def _load(self, need: Need) -> Any:
        """Return a quantity, or None where there is none, it is damaged, or it is of another model, pool or request."""
        try:
            parts = read_arrays(self._path(need), _MOST_BYTES)
            if str(parts.pop("context")) != self._context:
                return None
            value = _PARTS[need](**parts) if need in _PARTS else parts["values"]
        except (InputError, KeyError, TypeError):
            return None
        return value if all(part.dtype.kind == "f" and part.ndim > 0 for part in parts.values()) else None

    def _save(self, need: Need, value: Any) -> None:
        parts = vars(value) if need in _PARTS else {"values": value}
        if sum(part.nbytes for part in parts.values()) > MAX_BYTES:
            return
        # Nobody misses what cannot be written, say for want of space: it is only computed again.
        with contextlib.suppress(OSError, InputError), atomic_file(self._path(need)) as temporary:
            np.savez(temporary, context=np.array(self._context), **parts)


def _gathered(values: dict[Need, Any]) -> Scores:
    return Scores(**{_field(need): value for need, value in values.items()})


def _field(need: Need) -> str:
    """Name of a quantity in `Scores`."""
    return str(need.name).lower()
