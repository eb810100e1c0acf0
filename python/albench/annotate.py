"""What annotating costs. In a benchmark the oracle is the data set's own label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albench.pool import Pool, Unit


@dataclass(frozen=True)
class AnnotationCost:
    """Sum over annotated units, voxels of the original grid."""

    n_units: int
    n_voxels: int
    n_fg_voxels: int


def annotation_cost(pool: Pool, units: Sequence[Unit]) -> AnnotationCost:
    """Cost of `units`, each annotated completely."""
    rows = pool.rows(units)
    return AnnotationCost(
        n_units=len(rows),
        n_voxels=int(pool.n_voxels[rows].sum()),
        n_fg_voxels=int(pool.voxel_counts[rows, 1:].sum()),
    )


def labelled_voxels(pool: Pool, units: Sequence[Unit]) -> NDArray[np.int64]:
    """Voxels of each label in the annotated `units`; int64 (n_labels,), background first."""
    return np.asarray(pool.voxel_counts[pool.rows(units)].sum(axis=0), dtype=np.int64)
