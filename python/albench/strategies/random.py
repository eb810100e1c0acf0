"""Uniform choice."""

from __future__ import annotations

import numpy as np

from albench.strategies.base import PoolView, Selection, Strategy


class Random(Strategy):
    """Uniform without replacement: the baseline every other strategy has to beat."""

    name = "random"
    summary = "uniform draw from the unlabelled units"
    reference = "baseline"

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Draw `budget` units."""
        return Selection(indices=rng.choice(len(view.units), budget, replace=False).astype(np.int64))
