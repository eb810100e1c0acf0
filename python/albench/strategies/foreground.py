"""Random choice that knows where the foreground is: how far an oracle of location alone would get."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from albench.strategies.base import PoolView, Selection, Strategy


class _RandomForeground(Strategy):
    """Each unit is drawn uniformly, by a foreground voxel, or by a border voxel; uniformly where none is left."""

    reference = "Lüth et al., TMLR 2025 (nnActive)"
    oracle_aided = True
    foreground_share: ClassVar[float]

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Draw one unit after the other."""
        if view.oracle is None:
            raise ValueError("oracle: expected ground truth of the units, got None")
        voxels = view.oracle.voxel_counts[:, 1:].astype(np.float64)
        borders = view.oracle.border_counts[:, 1:].astype(np.float64)
        half = self.foreground_share / 2
        free = np.ones(len(view.units), dtype=bool)
        chosen = np.empty(budget, dtype=np.int64)
        for place in range(budget):
            kind = rng.random()
            counts = voxels if kind < half else borders if kind < 2 * half else None
            chosen[place] = _draw(counts, free, rng)
            free[chosen[place]] = False
        return Selection(indices=chosen)


def _draw(counts: NDArray[np.float64] | None, free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    if counts is not None:
        left = counts * free[:, None]
        present = np.flatnonzero(left.any(axis=0))
        if present.size:
            of_class = left[:, rng.choice(present)]
            return int(rng.choice(free.size, p=of_class / of_class.sum()))
    return int(rng.choice(np.flatnonzero(free)))


class RandomFg66(_RandomForeground):
    """Random, each unit with probability 1/3 around a foreground voxel and 1/3 around one at its class' border.

    Such a draw picks a class, then one of its voxels in units not yet taken, and takes the unit that holds it. Reads
    ground truth, as no practitioner could.
    """

    name = "random-fg66"
    summary = "random; 1/3 around foreground voxels and 1/3 around foreground borders of the ground truth"
    foreground_share = 4 / 6


class RandomFg33(_RandomForeground):
    """Random, each unit with probability 1/6 around a foreground voxel and 1/6 around one at its class' border.

    As ``random-fg66`` otherwise. Reads ground truth, as no practitioner could.
    """

    name = "random-fg33"
    summary = "random; 1/6 around foreground voxels and 1/6 around foreground borders of the ground truth"
    foreground_share = 2 / 6
