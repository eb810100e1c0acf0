"""Stochastic batches."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench.scoring.request import Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, one_of

Uncertainty = Literal["entropy", "variance", "weighted-variance"]


class StochasticBatches(Strategy):
    """Cuts the shuffled pool into groups of B and takes the one with the largest summed uncertainty.

    What is left over when n is no multiple of B forms no group, so that sums compare groups of one size.

    Parameters
    ----------
    uncertainty
        What is summed. ``entropy``: mean softmax entropy of one pass without dropout, as in the USIM paper (its
        appendix C) and in ``entropy``; ``variance``: over stochastic passes, all classes alike, as in the paper's
        published code; ``weighted-variance``: the same with classes weighted, as ``usim-f`` draws its query set by.
    """

    name = "stb"
    look = Look("variance", "X", "-.")
    summary = "of random batches the one with the largest summed uncertainty"
    reference = "Gaillochet et al., Medical Image Analysis 2023; uncertainty of Föllmer et al., MIDL 2024"
    needs = Need.ENTROPY

    def __init__(self, *, uncertainty: Uncertainty = "entropy") -> None:
        self.uncertainty = one_of("uncertainty", uncertainty, ("entropy", "variance", "weighted-variance"))
        if self.uncertainty != "entropy":
            self.needs = Need.VARIANCE

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Draw groups, take the best."""
        values = self._values(view)
        shuffled = rng.permutation(values.size)
        groups = shuffled[: values.size // budget * budget].reshape(-1, budget)
        chosen = groups[np.argmax(values[groups].sum(axis=1))].astype(np.int64)
        return Choice(indices=chosen, scores=values[chosen])

    def _values(self, view: PoolView) -> NDArray[np.float64]:
        if self.uncertainty == "entropy":
            return view.score("entropy")
        return view.mean_variance if self.uncertainty == "variance" else view.uncertainty
