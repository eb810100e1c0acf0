"""Monte-Carlo dropout variance."""

from __future__ import annotations

from typing import Literal

import numpy as np

from albench.scoring.request import Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, one_of, top

ClassWeights = Literal["class", "none"]


class McDropout(Strategy):
    """Highest variance over stochastic passes, mean over voxels.

    Parameters
    ----------
    weights
        How the classes' variances are added up. ``class``: by the inverse share of the labelled voxels, background 0,
        the uncertainty that ``usim-f`` draws its query set by, so that the two differ by nothing else; ``none``: all
        alike, background too, as in the published code of the USIM paper, which calls it Mean STD.
    """

    name = "mcd"
    look = Look("variance", "^")
    summary = "highest variance over Monte-Carlo dropout passes"
    reference = "Gal & Ghahramani, ICML 2016; class weights of Föllmer et al., MIDL 2024"
    needs = Need.VARIANCE

    def __init__(self, *, weights: ClassWeights = "class") -> None:
        self.weights = one_of("weights", weights, ("class", "none"))

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` units of highest uncertainty."""
        return top(view.uncertainty if self.weights == "class" else view.mean_variance, budget)
