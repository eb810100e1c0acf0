"""BADGE."""

from __future__ import annotations

import numpy as np

from albench import core
from albench.scoring.request import Need
from albench.strategies.base import PoolView, Selection, Strategy, finite, seed_of


class Badge(Strategy):
    """k-means++ seeding on gradients of the last decoder convolution with hard pseudo-labels.

    The first centre is the unit of largest gradient; each further one is drawn with probability proportional to the
    squared distance to the nearest centre.
    """

    name = "badge"
    summary = "k-means++ seeding on last-layer gradients: large and unlike each other"
    reference = "Ash et al., ICLR 2020"
    needs = Need.LAST_LAYER

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Draw centres."""
        gradients = view.scores.last_layer
        if gradients is None:
            raise ValueError("scores: last_layer was not asked for in the strategy's needs")
        finite("last_layer", gradients)
        norms = np.linalg.norm(gradients.astype(np.float64), axis=1)
        chosen = core.kmeans_plusplus(gradients, budget, rng_seed=seed_of(rng))
        return Selection(indices=chosen, scores=norms[chosen])
