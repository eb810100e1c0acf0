"""What is in the file that an annotator gets: the asked units filled in, known labels kept, all else ignore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench.annotation.grid import Grid
from albench.data.label_writer import label_dtype
from albench.errors import InputError
from albench.results.handed_out import Prefill
from albench.results.query import QueriedUnit

Labels = NDArray[np.integer]
Filling = Literal["prediction", "background", "none"]


def require_labels(values: Labels, grid: Grid, allowed: Sequence[int], what: str) -> None:
    """Raise where labels are not on a file's grid, or have a value that no label has.

    Raises
    ------
    InputError
        Says which.
    """
    shape = grid.shape[::-1]
    if values.shape != shape:
        raise InputError(f"{what}: expected shape {shape} (k, j, i), got {values.shape}")
    found: set[int] = set()
    for plane in values:  # sorted one by one, a volume takes as much memory again
        found.update(np.unique(plane).tolist())
    unknown = sorted(found - set(allowed))
    if unknown:
        raise InputError(f"{what}: expected values {', '.join(map(str, allowed))}, got {', '.join(map(str, unknown))}")


def fill_task(
    units: Sequence[QueriedUnit],
    grid: Grid,
    ignore: int,
    filling: Filling,
    prediction: Labels | None,
    known: Labels | None,
) -> tuple[Labels, list[Prefill]]:
    """Lay out a case's task.

    Labels that are known stay wherever they are. Of the asked units, what is not known is filled; but units of the
    audit are not, since whoever sees a prediction is swayed by it, nor is anything where the filling is ``none``.

    Parameters
    ----------
    units
        Of the case, with their places in the file.
    ignore
        Value of voxels that nobody has annotated.
    filling
        ``prediction``, ``background`` or ``none``.
    prediction
        (k, j, i), values of labels; needed for the filling of that name.
    known
        (k, j, i): labels there are, `ignore` where there are none.

    Returns
    -------
    tuple
        uint8 or uint16 (k, j, i), and for each unit what it was filled with.
    """
    values = np.full(grid.shape[::-1], ignore, dtype=label_dtype(ignore))
    if known is not None:
        values[...] = known
    unlabelled = values == ignore
    fillings: list[Prefill] = []
    for unit in units:
        box = _box(unit, grid)
        filled: Filling = "none" if unit.role == "audit" else filling
        fillings.append(filled if unlabelled[box].all() else "labels")
        if filled == "background":
            values[box][unlabelled[box]] = 0
        elif filled == "prediction":
            if prediction is None:
                raise ValueError(f"{unit.case}: expected a prediction to fill units with, got none")
            values[box][unlabelled[box]] = prediction[box][unlabelled[box]]
    for unit in units:
        if unit.role == "audit":  # where it overlaps others
            box = _box(unit, grid)
            values[box][unlabelled[box]] = ignore
    return values, fillings


def audited_part(units: Sequence[QueriedUnit], grid: Grid, ignore: int, prediction: Labels) -> Labels:
    """Prediction of the units of the audit, (k, j, i), all else `ignore`."""
    values = np.full(grid.shape[::-1], ignore, dtype=label_dtype(ignore))
    for unit in units:
        if unit.role == "audit":
            box = _box(unit, grid)
            values[box] = prediction[box]
    return values


def _box(unit: QueriedUnit, grid: Grid) -> tuple[slice, slice, slice]:
    """Index (k, j, i) of a unit's voxels."""
    i, j, k = unit.box(grid.shape)
    return k, j, i
