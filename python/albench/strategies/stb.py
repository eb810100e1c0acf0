"""Stochastic batches."""

from __future__ import annotations

import numpy as np

from albench.scoring.request import Need
from albench.strategies.base import PoolView, Selection, Strategy


class StochasticBatches(Strategy):
    """Cuts the shuffled pool into groups of B and takes the one with the largest summed uncertainty.

    What is left over when n is no multiple of B forms no group, so that sums compare groups of one size.
    """

    name = "stb"
    summary = "of random batches the one with the largest summed uncertainty"
    reference = "Gaillochet et al., Medical Image Analysis 2023; uncertainty of Föllmer et al., MIDL 2024"
    needs = Need.VARIANCE

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Draw groups, take the best."""
        uncertainty = view.uncertainty
        shuffled = rng.permutation(uncertainty.size)
        groups = shuffled[: uncertainty.size // budget * budget].reshape(-1, budget)
        chosen = groups[np.argmax(uncertainty[groups].sum(axis=1))].astype(np.int64)
        return Selection(indices=chosen, scores=uncertainty[chosen])
