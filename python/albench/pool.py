"""Units that can be annotated, and the sets they form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.errors import InputError
from albench.files import write_parquet


@dataclass(frozen=True, order=True, slots=True)
class Unit:
    """One 2D slice: the `index`-th along the slicing axis of the image of `case`, on its original grid."""

    case: str
    index: int


def slices_by_case(units: Iterable[Unit]) -> dict[str, list[int]]:
    """Slice indices of `units` by case, both in the order they come."""
    slices: dict[str, list[int]] = {}
    for unit in units:
        slices.setdefault(unit.case, []).append(unit.index)
    return slices


@dataclass(frozen=True, eq=False)
class Pool:
    """All units of the pool's cases, with what annotating them costs.

    Attributes
    ----------
    units
        Sorted by (case, index); a unit's position here is its *row* in every per-unit array.
    axes
        Slicing axis of each case on the original grid, 0 = z, 1 = y, 2 = x (order of SimpleITK arrays).
    voxel_counts
        int64 (n_units, n_labels): voxels of each label, background first, on the original grid. Known to the
        oracle for every unit; strategies see it for labelled units only. All zero where no labels exist.
    n_voxels
        int64 (n_units,): voxels of each unit on the original grid.
    border_counts
        int64 (n_units, n_labels): voxels of each label that have a neighbour of another label in the unit (four
        neighbours; the image's edge is no border). What drawing an outline costs, and what oracles may see.
    """

    units: tuple[Unit, ...]
    axes: dict[str, int]
    voxel_counts: NDArray[np.int64]
    n_voxels: NDArray[np.int64]
    border_counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if list(self.units) != sorted(set(self.units)):
            raise ValueError("units: expected unique units sorted by (case, index)")
        expected = (len(self.units), *self.voxel_counts.shape[1:])
        for name, shape in (("voxel_counts", expected), ("n_voxels", expected[:1]), ("border_counts", expected)):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.units)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the cases, sorted."""
        return tuple(sorted(self.axes))

    def rows(self, units: Iterable[Unit]) -> NDArray[np.int64]:
        """Rows of `units`, in their order; InputError for a unit that is not in the pool."""
        lookup = {unit: row for row, unit in enumerate(self.units)}
        try:
            return np.array([lookup[unit] for unit in units], dtype=np.int64)
        except KeyError as error:
            raise InputError(f"unit {error.args[0]} is not in the pool of {len(self)} units") from None

    def save(self, path: Path) -> None:
        """Write the pool as a Parquet table, one row a unit."""
        table = pd.DataFrame([(unit.case, unit.index) for unit in self.units], columns=["case", "index"])
        table["axis"] = table["case"].map(self.axes)
        table["n_voxels"] = self.n_voxels
        for label in range(self.voxel_counts.shape[1]):
            table[f"n_voxels_{label}"] = self.voxel_counts[:, label]
            table[f"n_border_voxels_{label}"] = self.border_counts[:, label]
        write_parquet(table, path)

    @classmethod
    def load(cls, path: Path) -> Pool:
        """Read a pool written by `save`; InputError where an earlier version wrote it."""
        table = pd.read_parquet(path)
        labels = range(sum(name.startswith("n_voxels_") for name in table.columns))
        missing = [name for label in labels if (name := f"n_border_voxels_{label}") not in table.columns]
        if missing:
            raise InputError(f"{path}: expected column '{missing[0]}', found none: written by an earlier version")
        return cls(
            units=tuple(map(Unit, table["case"], table["index"])),
            axes=dict(zip(table["case"], table["axis"], strict=True)),
            voxel_counts=table[[f"n_voxels_{label}" for label in labels]].to_numpy(np.int64),
            n_voxels=table["n_voxels"].to_numpy(np.int64),
            border_counts=table[[f"n_border_voxels_{label}" for label in labels]].to_numpy(np.int64),
        )


@dataclass(frozen=True)
class Split:
    """Cases of a study: the pool to annotate from and the held-out test cases, both sorted by name."""

    pool: tuple[str, ...]
    test: tuple[str, ...]


def split_cases(
    cases: Sequence[str],
    *,
    test_share: float,
    max_test_cases: int | None,
    max_pool_cases: int | None,
    test_rng: np.random.Generator,
    pool_rng: np.random.Generator,
) -> Split:
    """Hold out test cases, then draw the pool from the rest.

    Two generators, so that the test cases can stay the same for every seed while the pool changes with it.

    Raises
    ------
    InputError
        If there are fewer than two cases.
    """
    if len(cases) < 2:
        raise InputError(f"data set: expected at least 2 cases to split into pool and test, got {len(cases)}")
    names = sorted(cases)
    n_test = min(max(1, round(test_share * len(names))), len(names) - 1)
    if max_test_cases is not None:
        n_test = min(n_test, max_test_cases)
    test = {names[i] for i in test_rng.choice(len(names), n_test, replace=False)}
    rest = [name for name in names if name not in test]
    if max_pool_cases is not None and max_pool_cases < len(rest):
        rest = sorted(rest[i] for i in pool_rng.choice(len(rest), max_pool_cases, replace=False))
    return Split(pool=tuple(rest), test=tuple(sorted(test)))
