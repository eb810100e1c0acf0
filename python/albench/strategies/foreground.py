"""Random choice that knows where the foreground is: how far an oracle of location alone would get."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from albench.strategies.base import Choice, Look, PoolView, Strategy, one_of
from albench.strategies.random import PER, Per, shuffled_cases

_ROUNDS = 3  # over the cases, until a place that finds no foreground is given to any unit, as nnActive gives it up


class _RandomForeground(Strategy):
    """Each unit is drawn uniformly, by a foreground voxel, or by a border voxel; uniformly where none is left.

    Parameters
    ----------
    per
        ``case`` or ``pool``.
    """

    reference = "Lüth et al., TMLR 2025 (nnActive)"
    oracle_aided = True
    foreground_share: ClassVar[float]

    def __init__(self, *, per: Per = "case") -> None:
        self.per = one_of("per", per, PER)
        self.looks_at_cases = self.per == "case"

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Draw one unit after the other."""
        if view.oracle is None:
            raise ValueError("oracle: expected ground truth of the units, got None")
        places = [view.oracle.voxel_counts[:, 1:], view.oracle.border_counts[:, 1:]]
        pool = [np.arange(len(view.units))] if self.per == "pool" else shuffled_cases(view.units, rng)
        free = np.ones(len(view.units), dtype=bool)
        turns = cycle(pool)
        chosen = np.empty(budget, dtype=np.int64)
        for place in range(budget):
            chosen[place] = self._draw(places, len(pool), turns, free, rng)
            free[chosen[place]] = False
        return Choice(indices=chosen)

    def _draw(
        self,
        places: list[NDArray[np.int64]],
        n_cases: int,
        turns: Iterator[NDArray[np.int64]],
        free: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> int:
        """Draw one unit of the next case that has what is wanted of it; every case is asked for something anew."""
        asked = 0
        while True:
            rows = next(turns)
            left = rows[free[rows]]
            if left.size == 0:
                continue
            asked += 1
            kind = int(rng.random() // (self.foreground_share / 2)) if asked <= _ROUNDS * n_cases else len(places)
            if kind >= len(places):
                return int(rng.choice(left))
            counts = places[kind][left].astype(np.float64)
            present = np.flatnonzero(counts.any(axis=0))
            if present.size:
                of_class = counts[:, rng.choice(present)]
                return int(rng.choice(left, p=of_class / of_class.sum()))


class RandomFg66(_RandomForeground):
    """Random, each unit with probability 1/3 around a foreground voxel and 1/3 around one at its class' border.

    Such a draw picks a class, then one of its voxels in units not yet taken, and takes the unit that holds it. Reads
    ground truth, as no practitioner could.

    Parameters
    ----------
    per
        ``case``: cases in random order take turns, as published: each is asked for a unit of a kind drawn anew, and
        one without such voxels left passes on to the next; ``pool``: of all units at once.
    """

    name = "random-fg66"
    look = Look("model-free", ">", ":")
    summary = "random; 1/3 around foreground voxels and 1/3 around foreground borders of the ground truth"
    foreground_share = 4 / 6


class RandomFg33(_RandomForeground):
    """Random, each unit with probability 1/6 around a foreground voxel and 1/6 around one at its class' border.

    As ``random-fg66`` otherwise. Reads ground truth, as no practitioner could.

    Parameters
    ----------
    per
        ``case``: cases in random order take turns, as published; ``pool``: of all units at once.
    """

    name = "random-fg33"
    look = Look("model-free", "<", ":")
    summary = "random; 1/6 around foreground voxels and 1/6 around foreground borders of the ground truth"
    foreground_share = 2 / 6
