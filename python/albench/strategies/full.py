"""All labels: the ceiling."""

from __future__ import annotations

import numpy as np

from albench.strategies.base import Choice, Look, PoolView, Strategy


class Full(Strategy):
    """Every unit of the pool, whatever the budget; trained once, with the iterations of a whole chain."""

    name = "full"
    look = Look("ceiling", "*", "--")
    summary = "all labels of the pool: the ceiling, not a strategy one could follow"
    reference = "baseline"
    whole_pool = True

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take everything."""
        return Choice(indices=np.arange(len(view.units), dtype=np.int64))
