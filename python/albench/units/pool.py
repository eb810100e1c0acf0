"""Units that can be annotated, and the sets they form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.config import PatchGrid
from albench.errors import InputError
from albench.machine.foreign import read_table
from albench.machine.tables import write_parquet
from albench.machine.text import reason


@dataclass(frozen=True, order=True, slots=True)
class Unit:
    """What is annotated at once: a 2D slice or a 3D patch of the image of `case`.

    `index` is a slice's place along the slicing axis of the original grid, or a patch's in the case's grid of patches.
    Where it lies is said by the `Pool`.
    """

    case: str
    index: int


def by_case(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    """`units` by case, both in the order they come."""
    units_of: dict[str, list[Unit]] = {}
    for unit in units:
        units_of.setdefault(unit.case, []).append(unit)
    return units_of


def positions_by_case(units: Sequence[Unit]) -> dict[str, NDArray[np.int64]]:
    """Positions, int64 ascending, of the units of each case; cases in the order they come."""
    rows: dict[str, list[int]] = {}
    for position, unit in enumerate(units):
        rows.setdefault(unit.case, []).append(position)
    return {case: np.array(positions, dtype=np.int64) for case, positions in rows.items()}


def slice_boxes(shape: Sequence[int], axis: int, low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and stop, int64 (high - low, 3), of the slices `low` to `high` - 1 along `axis` of a (z, y, x) grid."""
    starts = np.zeros((high - low, 3), dtype=np.int64)
    stops = np.tile(np.asarray(shape, dtype=np.int64), (high - low, 1))
    starts[:, axis] = np.arange(low, high)
    stops[:, axis] = starts[:, axis] + 1
    return starts, stops


def cut_points(low: int, high: int, size: int) -> list[int]:
    """Cut ``low..high`` into the fewest pieces no longer than `size`, equal but for one voxel; ascending borders."""
    n = -(-(high - low) // size)
    return [low + i * (high - low) // n for i in range(n + 1)]


def patch_spans(low: int, high: int, size: int, kind: PatchGrid = "tiling") -> NDArray[np.int64]:
    """Divide ``low..high`` of an axis into patches.

    Parameters
    ----------
    kind
        ``tiling``: disjoint and of nearly equal length, at most `size` (`cut_points`). Equal lengths, rather than whole
        patches and what is left over at the far edge: a sliver would cost as much of an annotator's attention as any
        unit, and its mean scores would be of few voxels. ``overlapping``: all of `size`, or of the axis' length where
        that is shorter, spread evenly and at most half a patch apart, as nnU-Net's prediction places its windows.

    Returns
    -------
    ndarray
        int64 (n, 2): start and stop of each, ascending, from one end to the other.
    """
    if kind == "tiling":
        cuts = cut_points(low, high, size)
        return np.array([cuts[:-1], cuts[1:]], dtype=np.int64).T
    size = min(size, high - low)
    n = -(-(high - low - size) // max(1, size // 2)) + 1
    starts = low + np.round(np.linspace(0, high - low - size, n)).astype(np.int64)
    return np.stack([starts, starts + size], axis=1)


def patch_grid(
    bounds: Sequence[tuple[int, int]], patch_size: Sequence[int], kind: PatchGrid = "tiling"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cover a box with patches, none larger than `patch_size`.

    Parameters
    ----------
    bounds
        ``(low, high)`` per axis (z, y, x), `high` not included.
    patch_size
        Voxels per axis, at least 1.
    kind
        How each axis is divided: see `patch_spans`.

    Returns
    -------
    tuple of ndarray
        Start and stop, int64 (n, 3), ordered by z, then y, then x.
    """
    spans = [patch_spans(low, high, size, kind) for (low, high), size in zip(bounds, patch_size, strict=True)]
    starts, stops = (np.meshgrid(*(span[:, end] for span in spans), indexing="ij") for end in (0, 1))
    return np.stack(starts, axis=-1).reshape(-1, 3), np.stack(stops, axis=-1).reshape(-1, 3)


def overlapping(
    start: NDArray[np.int64], stop: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of n boxes, int64 (n, 3) each, have a voxel in common with the box from `start` to `stop`; bool (n,)."""
    return np.asarray(((starts < stop) & (start < stops)).all(axis=1))


@dataclass(frozen=True, eq=False)
class Pool:
    """All units of the pool's cases, with what annotating them costs.

    Attributes
    ----------
    units
        Sorted by (case, index); a unit's position here is its *row* in every per-unit array.
    axes
        Slicing axis of each case on the original grid, 0 = z, 1 = y, 2 = x (order of SimpleITK arrays); empty where
        units are 3D patches.
    voxel_counts
        int64 (n_units, n_labels): voxels of each label, background first, on the original grid. Known to the
        oracle for every unit; strategies see it for labelled units only. All zero where no labels exist.
    border_counts
        int64 (n_units, n_labels): voxels of each label that have a neighbour of another label, among the four in a
        slice or the six in the volume of patches (the image's edge is no border). What drawing an outline costs, and
        what oracles may see.
    starts, stops
        int64 (n_units, 3): the box of each unit on the original grid, axes (z, y, x), `stops` not included. A slice is
        one voxel thick.
    own_counts, own_border_counts
        Where units overlap: as `voxel_counts` and `border_counts`, but of the voxels that no unit before it in its case
        holds, so that they add up to what all units hold together. None where units are disjoint.
    """

    units: tuple[Unit, ...]
    axes: dict[str, int]
    voxel_counts: NDArray[np.int64]
    border_counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    own_counts: NDArray[np.int64] | None = None
    own_border_counts: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if list(self.units) != sorted(set(self.units)):
            raise ValueError("units: expected unique units sorted by (case, index)")
        counts, boxes = (len(self.units), *self.voxel_counts.shape[1:]), (len(self.units), 3)
        shapes = {"voxel_counts": counts, "border_counts": counts, "starts": boxes, "stops": boxes}
        if self.overlaps:
            shapes |= {"own_counts": counts, "own_border_counts": counts}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {getattr(self, name).shape}")
        if (self.stops <= self.starts).any():
            raise ValueError("stops: expected boxes of at least one voxel")

    def __len__(self) -> int:
        return len(self.units)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the cases, sorted."""
        return tuple(dict.fromkeys(unit.case for unit in self.units))

    @cached_property
    def n_voxels(self) -> NDArray[np.int64]:
        """Voxels of each unit on the original grid; int64 (n_units,)."""
        return np.asarray(np.prod(self.stops - self.starts, axis=1), dtype=np.int64)

    @property
    def overlaps(self) -> bool:
        """Whether units have voxels in common."""
        return self.own_counts is not None

    @property
    def total_counts(self) -> NDArray[np.int64]:
        """Voxels of each label in all units together, each counted once; int64 (n_labels,)."""
        counts = self.voxel_counts if self.own_counts is None else self.own_counts
        return np.asarray(counts.sum(axis=0), dtype=np.int64)

    @cached_property
    def n_disjoint(self) -> int:
        """Most units that can be chosen without a common voxel: all where they are disjoint.

        Otherwise, of each case, as many as fit along each axis one after the other, multiplied: no other arrangement of
        boxes of one size holds more. Where choices lie badly, room ends before that.
        """
        if not self.overlaps:
            return len(self)
        total = 0
        for units in by_case(self.units).values():
            starts, stops = self.boxes(units)
            total += math.prod(_in_a_row(starts[:, axis], stops[:, axis]) for axis in range(3))
        return total

    def unlabelled(self, labelled: Iterable[Unit]) -> tuple[Unit, ...]:
        """Units, in order, that have no voxel in common with any of `labelled`."""
        if not self.overlaps:
            known = set(labelled)
            return tuple(unit for unit in self.units if unit not in known)
        free = np.ones(len(self), dtype=bool)
        rows_of = positions_by_case(self.units)
        for unit, start, stop in zip(labelled := list(labelled), *self.boxes(labelled), strict=True):
            rows = rows_of[unit.case]
            free[rows[overlapping(start, stop, self.starts[rows], self.stops[rows])]] = False
        return tuple(unit for unit, is_free in zip(self.units, free, strict=True) if is_free)

    @cached_property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Whether every voxel of a unit has a label in the data set; bool (n_units,).

        False where labels are partial and someone has yet to annotate the unit.
        """
        return np.asarray(self.voxel_counts.sum(axis=1) == self.n_voxels)

    def n_without_label(self, units: Iterable[Unit]) -> int:
        """How many of `units` have yet to be annotated, where the data set's labels are partial."""
        return int((~self.is_labelled[self.rows(units)]).sum())

    def place(self, unit: Unit) -> dict[str, Any]:
        """Where a unit lies, as query files say it: a slice's axis, or the bounds of a patch, axes (z, y, x)."""
        if unit.case in self.axes:
            return {"axis": int(self.axes[unit.case])}
        row = self._rows[unit]
        return {"start": self.starts[row].tolist(), "stop": self.stops[row].tolist()}

    def boxes(self, units: Iterable[Unit]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return starts and stops of `units`, in their order."""
        rows = self.rows(units)
        return self.starts[rows], self.stops[rows]

    @cached_property
    def _rows(self) -> dict[Unit, int]:
        return {unit: row for row, unit in enumerate(self.units)}

    def rows(self, units: Iterable[Unit]) -> NDArray[np.int64]:
        """Rows of `units`, in their order; InputError for a unit that is not in the pool."""
        try:
            return np.array([self._rows[unit] for unit in units], dtype=np.int64)
        except KeyError as error:
            raise InputError(f"unit {error.args[0]} is not in the pool of {len(self)} units") from None

    def save(self, path: Path) -> None:
        """Write the pool as a Parquet table, one row a unit."""
        table = pd.DataFrame([(unit.case, unit.index) for unit in self.units], columns=["case", "index"])
        if self.axes:
            table["axis"] = table["case"].map(self.axes)
        for bound, values in (("start", self.starts), ("stop", self.stops)):
            for axis, letter in enumerate("zyx"):
                table[f"{bound}_{letter}"] = values[:, axis]
        for label in range(self.voxel_counts.shape[1]):
            table[f"n_voxels_{label}"] = self.voxel_counts[:, label]
            table[f"n_border_voxels_{label}"] = self.border_counts[:, label]
            if self.own_counts is not None and self.own_border_counts is not None:
                table[f"own_n_voxels_{label}"] = self.own_counts[:, label]
                table[f"own_n_border_voxels_{label}"] = self.own_border_counts[:, label]
        write_parquet(table, path)

    @classmethod
    def load(cls, path: Path) -> Pool:
        """Read a pool written by `save`; InputError where it is damaged, or an earlier version wrote it."""
        table = read_table(path)
        labels = range(sum(name.startswith("n_voxels_") for name in table.columns))
        columns = {
            "voxel_counts": [f"n_voxels_{label}" for label in labels],
            "border_counts": [f"n_border_voxels_{label}" for label in labels],
            "starts": [f"start_{letter}" for letter in "zyx"],
            "stops": [f"stop_{letter}" for letter in "zyx"],
        }
        if "own_n_voxels_0" in table:
            for field in ("voxel_counts", "border_counts"):
                columns[f"own_{field.removeprefix('voxel_')}"] = [f"own_{name}" for name in columns[field]]
        missing = [name for names in columns.values() for name in names if name not in table.columns]
        if missing:
            raise InputError(f"{path}: expected column '{missing[0]}', found none: written by an earlier version")
        try:
            return cls(
                units=tuple(map(Unit, table["case"], table["index"].astype("int64"))),
                axes=dict(zip(table["case"], table["axis"].astype("int64"), strict=True)) if "axis" in table else {},
                **{field: table[names].to_numpy(np.int64) for field, names in columns.items()},
            )
        except Exception as error:  # columns may hold anything
            raise InputError(f"{path}: expected the units of a pool, found another table ({reason(error)})") from error


def _in_a_row(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> int:
    """Most of the intervals that can stand one after the other: always the next that ends first."""
    n, end = 0, int(starts.min())
    for start, stop in sorted(zip(starts.tolist(), stops.tolist(), strict=True), key=lambda span: span[1]):
        if start >= end:
            n, end = n + 1, stop
    return n


@dataclass(frozen=True)
class Split:
    """Cases of a study: the pool to annotate from and the held-out test cases, both sorted by name."""

    pool: tuple[str, ...]
    test: tuple[str, ...]


def fold_units(units: Iterable[Unit], folds: Mapping[str, int], fold: int) -> tuple[Unit, ...]:
    """Those of `units` whose case is in another fold: what the model of `fold` learns from."""
    return tuple(unit for unit in units if folds[unit.case] != fold)
