"""Monte-Carlo dropout variance."""

from __future__ import annotations

import numpy as np

from albench.scoring.request import Need
from albench.strategies.base import PoolView, Selection, Strategy, top


class McDropout(Strategy):
    """Highest class-weighted variance over stochastic passes."""

    name = "mcd"
    summary = "highest class-weighted variance over Monte-Carlo dropout passes"
    reference = "Gal & Ghahramani, ICML 2016; class weights of Föllmer et al., MIDL 2024"
    needs = Need.VARIANCE

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Take the `budget` units of highest uncertainty."""
        return top(view.uncertainty, budget)
