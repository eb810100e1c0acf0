"""Uniform choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench.strategies.base import Choice, Look, PoolView, Strategy, one_of
from albench.units.pool import Unit, positions_by_case

Per = Literal["pool", "case"]
PER: tuple[Per, ...] = ("pool", "case")


class Random(Strategy):
    """Uniform without replacement: the baseline every other strategy has to beat.

    Parameters
    ----------
    per
        ``pool``: from all units, as in the USIM paper, so that cases are met in proportion to their units; ``case``:
        cases in random order give one unit each, uniformly, then a second one each, and so on, as in nnActive.
    """

    name = "random"
    look = Look("model-free", "o")
    summary = "uniform draw from the unlabelled units"
    reference = "baseline"

    def __init__(self, *, per: Per = "pool") -> None:
        self.per = one_of("per", per, PER)
        self.looks_at_cases = self.per == "case"

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Draw `budget` units."""
        if self.per == "pool":
            return Choice(indices=rng.choice(len(view.units), budget, replace=False).astype(np.int64))
        cases = [rng.permutation(rows) for rows in shuffled_cases(view.units, rng)]
        turns = [rows[turn] for turn in range(budget) for rows in cases if turn < rows.size]
        return Choice(indices=np.array(turns[:budget], dtype=np.int64))


def shuffled_cases(units: Sequence[Unit], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Positions of the units of each case, ascending by index, cases in random order."""
    order = np.array(sorted(range(len(units)), key=units.__getitem__), dtype=np.int64)
    cases = [order[places] for places in positions_by_case([units[row] for row in order]).values()]
    return [cases[i] for i in rng.permutation(len(cases))]
