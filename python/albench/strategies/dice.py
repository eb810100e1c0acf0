"""Expected Dice."""

from __future__ import annotations

import numpy as np

from albench.scoring.request import Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, top


class ExpectedDice(Strategy):
    """Lowest Dice to be expected between a Monte-Carlo dropout pass and the mean of all.

    Of every pass t and class c, background too, the soft Dice 2 sum_v p p_t / sum_v (p + p_t) over the unit's voxels v,
    p being the mean softmax; the mean over passes and classes, where a class is in either at all. A unit's score is its
    negative.
    """

    name = "expected-dice"
    look = Look("variance", "p", "--")
    summary = "lowest expected Dice of Monte-Carlo dropout passes with their mean"
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    needs = Need.EXPECTED_DICE

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` units of lowest expected Dice."""
        return top(-view.score("expected_dice"), budget)
