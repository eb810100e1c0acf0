"""A view of the pool, as strategies get it in a round, filled from arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.errors import InputError
from albench.scoring import request
from albench.scoring.request import Features, FisherEmbedding, Need, Scores
from albench.selection import arrays
from albench.selection.arrays import Rows
from albench.strategies.base import PoolView, Strategy
from albench.strategies.parameters import label_of
from albench.units.pool import Unit
from albench_core.arguments import vector, wrong

_PASSES = "scores=albench.moments(members)"
_GIVEN_BY = {
    Need.ENTROPY: "scores=albench.moments([softmax]) of a single pass",
    Need.VARIANCE: f"uncertainty, or {_PASSES} of two members or more",
    Need.PREDICTIVE_ENTROPY: _PASSES,
    Need.MUTUAL_INFORMATION: f"{_PASSES} of two members or more",
    Need.CLASS_ENTROPY: _PASSES,
    Need.EXPECTED_ENTROPY: _PASSES,
    Need.EXPECTED_DICE: f"{_PASSES} of two members or more, in a list",
    Need.FISHER: "gradients and fisher",
    Need.BOTTLENECK: "features",
    Need.LAST_LAYER: "gradients",
    Need.FEATURES: "features",
    Need.STAGE_FEATURES: "features",
}
"""Arguments of `select` by what strategies need."""

_EMBEDDINGS = Need.BOTTLENECK | Need.LAST_LAYER | Need.FEATURES | Need.STAGE_FEATURES
_BY_CLASS = Need.VARIANCE | Need.CLASS_ENTROPY


@dataclass(frozen=True, eq=False)
class Known:
    """What a caller knows of n units: the arguments of `select`, unchecked."""

    features: Any
    uncertainty: Any
    scores: Scores | None
    gradients: Any
    fisher: Any
    labelled: Any
    candidates: Any
    groups: Any
    class_weights: Any


def make_view(strategy: Strategy, known: Known) -> tuple[PoolView, NDArray[np.int64]]:
    """Fill a view with what a strategy needs; nothing else is looked at.

    Returns
    -------
    tuple
        The view of the units that may be chosen, and int64 (k,), ascending, which of the n units they are.

    Raises
    ------
    InputError
        Naming the argument that is missing or not what was expected; or why the strategy cannot work from arrays.
    """
    label = label_of(strategy)
    if strategy.oracle_aided:
        raise InputError(f"strategy '{label}': reads ground truth of all units, which no argument gives")
    if strategy.whole_pool:
        raise InputError(f"strategy '{label}': takes every unit, whatever the budget: there is nothing to select")
    n, told_by = _size(label, strategy.needs, known)
    labelled = np.empty(0, dtype=np.int64)
    if known.labelled is not None:
        labelled = arrays.which("labelled", known.labelled, n)
    candidates = np.arange(n, dtype=np.int64)
    if known.candidates is not None:
        candidates = arrays.which("candidates", known.candidates, n)
    rows = Rows(n, told_by, np.setdiff1d(candidates, labelled))
    if rows.taken.size == 0:
        raise wrong("candidates", "at least one unit that is not labelled", "none")
    scores = Scores(
        **{_field(need): _score(label, need, known, rows, strategy) for need in strategy.needs & ~Need.FEATURES}
    )
    if Need.FEATURES in strategy.needs:
        both = [_embedding(label, Need.FEATURES, known, each) for each in (rows, replace(rows, taken=labelled))]
        scores = replace(scores, features=Features(*both))
    units = _units(label, strategy, known, rows)
    return PoolView(
        units=tuple(units[row] for row in rows.taken),
        scores=scores,
        class_weights=_class_weights(known.class_weights, scores.variance),
        n_queries=1 if strategy.scheduled else None,
        annotated=tuple(units[row] for row in labelled),
    ), rows.taken


def _size(label: str, needs: Need, known: Known) -> tuple[int, str]:
    """Return the number of units, and the argument that has a row for each."""
    given = {name: getattr(known, name) for name in ("features", "uncertainty", "gradients", "groups")}
    scores = known.scores
    if scores is not None and not isinstance(scores, Scores):
        raise wrong("scores", "a Scores, as albench.moments makes it", type(scores).__name__)
    given |= {f"scores.{_field(need)}": getattr(scores, _field(need), None) for need in needs & ~_EMBEDDINGS}
    given.pop("scores.fisher", None)
    for name, value in given.items():
        if value is not None:
            shape = tuple(value.shape) if arrays.is_tensor(value) else arrays.array(name, value).shape
            if not shape or shape[0] == 0:
                raise wrong(name, "a row for every unit", f"shape {shape}")
            return shape[0], name
    mask = None if known.candidates is None else arrays.array("candidates", known.candidates)
    if mask is not None and mask.dtype.kind == "b" and mask.ndim == 1:
        return mask.size, "candidates"
    wanted = "; ".join(_GIVEN_BY[need] for need in needs) or "groups, or candidates as a mask"
    raise InputError(f"strategy '{label}': expected an argument with a row for every unit ({wanted}), got none")


def _score(label: str, need: Need, known: Known, rows: Rows, strategy: Strategy) -> Any:
    if need is Need.FISHER:
        return _fisher(label, known, rows, strategy)
    if need in _EMBEDDINGS:
        return _embedding(label, need, known, rows)
    argument, value = f"scores.{_field(need)}", getattr(known.scores, _field(need), None)
    ndim: tuple[int, ...] = (2,) if need in _BY_CLASS else (1,)
    if need is Need.VARIANCE and known.uncertainty is not None:
        argument, value, ndim = "uncertainty", known.uncertainty, (1, 2)
    if value is None:
        raise _missing(label, need)
    values = rows.numbers(argument, value, ndim)
    if need is Need.VARIANCE:
        if (values < 0).any():
            raise wrong(argument, "numbers >= 0", f"{values.min():g}")
        return values.reshape(len(values), -1)
    return values


def _embedding(label: str, need: Need, known: Known, rows: Rows) -> NDArray[np.float32]:
    name = "gradients" if need is Need.LAST_LAYER else "features"
    value = getattr(known, name)
    if value is None:
        raise _missing(label, need)
    return rows.embedding(name, value)


def _fisher(label: str, known: Known, rows: Rows, strategy: Strategy) -> FisherEmbedding:
    """Gradients with the Fisher information, which is one for every parameter where the strategy asks for none."""
    if known.gradients is None:
        raise _missing(label, Need.FISHER)
    gradients = rows.embedding("gradients", known.gradients)
    if strategy.gradients.fisher == "none":
        return FisherEmbedding(gradients, np.ones(gradients.shape[1]))
    if known.fisher is None:
        raise InputError(
            f"`fisher`: expected the Fisher information's diagonal ({gradients.shape[1]},), which strategy '{label}' "
            "needs beside gradients; or the strategy with fisher=none"
        )
    fisher = vector("fisher", arrays.array("fisher", known.fisher), gradients.shape[1])
    assert fisher is not None
    if not (fisher > 0).all():
        raise wrong("fisher", "numbers > 0", f"0 at {int(np.argmin(fisher))}")
    return FisherEmbedding(gradients, fisher)


def _class_weights(given: Any, variance: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Weights as given; else background 0 and all other classes alike, as where no voxel is labelled yet."""
    n_classes = 1 if variance is None else variance.shape[1]
    if given is not None and variance is not None:
        weights = vector("class_weights", arrays.array("class_weights", given), n_classes)
        assert weights is not None
        return weights
    return np.ones(1) if n_classes == 1 else request.class_weights(np.zeros(n_classes, dtype=np.int64))


def _units(label: str, strategy: Strategy, known: Known, rows: Rows) -> list[Unit]:
    """All n units by group, counted within it in the order of the rows; without groups, each a group of its own."""
    if known.groups is None:
        if strategy.looks_at_cases:
            raise InputError(f"`groups`: expected the case of every unit, which strategy '{label}' looks at, got None")
        return [Unit(f"{row:09d}", 0) for row in range(rows.n)]
    given = arrays.array("groups", known.groups)
    codes = arrays.labels("groups", replace(rows, taken=np.arange(rows.n)).of("groups", given))
    order = np.argsort(codes, kind="stable")
    places = np.empty(rows.n, dtype=np.int64)
    places[order] = np.arange(rows.n) - np.searchsorted(codes[order], codes[order])
    return [Unit(f"{code:09d}", place) for code, place in zip(codes.tolist(), places.tolist(), strict=True)]


def _missing(label: str, need: Need) -> InputError:
    return InputError(f"strategy '{label}': expected {_GIVEN_BY[need]}")


def _field(need: Need) -> str:
    """Name of a quantity in `Scores`."""
    return str(need.name).lower()
