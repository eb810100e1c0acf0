"""What annotating costs. In a benchmark the oracle is the data set's own label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albench.config import CostSettings
from albench.units.pool import Pool, Unit


@dataclass(frozen=True)
class AnnotationCost:
    """Sum over annotated units, voxels of the original grid.

    Attributes
    ----------
    n_slices
        Slices to go through: one a 2D unit, as many as along its shortest edge for a 3D patch.
    n_border_voxels
        Foreground voxels that have a neighbour of another label (`Pool.border_counts`): what has to be outlined.
    """

    n_units: int
    n_slices: int
    n_voxels: int
    n_fg_voxels: int
    n_border_voxels: int

    def seconds(self, settings: CostSettings) -> float:
        """Time of an annotator by the linear model of `settings`."""
        return (
            settings.slice_s * self.n_slices
            + settings.foreground_voxel_s * self.n_fg_voxels
            + settings.border_voxel_s * self.n_border_voxels
        )


def annotation_cost(pool: Pool, units: Sequence[Unit]) -> AnnotationCost:
    """Cost of `units`, each annotated completely: disjoint ones, or all of the pool.

    Of a whole pool whose units overlap, every voxel counts once, and a unit has slices by the share of its voxels that
    no unit before it holds.
    """
    rows = pool.rows(units)
    n_slices = (pool.stops[rows] - pool.starts[rows]).min(axis=1)
    voxels, counts, borders = pool.n_voxels[rows], pool.voxel_counts[rows], pool.border_counts[rows]
    if pool.own_counts is not None and pool.own_border_counts is not None and len(rows) == len(pool):
        counts, borders = pool.own_counts[rows], pool.own_border_counts[rows]
        n_slices, voxels = n_slices * counts.sum(axis=1) / voxels, counts.sum(axis=1)
    return AnnotationCost(
        n_units=len(rows),
        n_slices=round(float(n_slices.sum())),
        n_voxels=int(voxels.sum()),
        n_fg_voxels=int(counts[:, 1:].sum()),
        n_border_voxels=int(borders[:, 1:].sum()),
    )


def labelled_voxels(pool: Pool, units: Sequence[Unit]) -> NDArray[np.int64]:
    """Voxels of each label in the annotated `units`; int64 (n_labels,), background first."""
    return np.asarray(pool.voxel_counts[pool.rows(units)].sum(axis=0), dtype=np.int64)
