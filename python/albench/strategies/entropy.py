"""Softmax entropy."""

from __future__ import annotations

import numpy as np

from albench.scoring.request import Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, top


class Entropy(Strategy):
    """Highest mean softmax entropy of one deterministic pass."""

    name = "entropy"
    look = Look("entropy", "s")
    summary = "highest mean softmax entropy, one pass without dropout"
    reference = "Settles 2009, Active Learning Literature Survey"
    needs = Need.ENTROPY

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` units of highest entropy."""
        return top(view.score("entropy"), budget)
