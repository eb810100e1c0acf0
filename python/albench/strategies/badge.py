"""BADGE."""

from __future__ import annotations

from typing import Literal

import numpy as np

from albench import core
from albench.scoring.request import GradientSettings, Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, finite, seed_of


class Badge(Strategy):
    """k-means++ seeding on gradients of the last decoder convolution with hard pseudo-labels.

    The first centre is the unit of largest gradient; each further one is drawn with probability proportional to the
    squared distance to the nearest centre.

    Parameters
    ----------
    loss
        What the gradients are of: ``nnunet``, nnU-Net's own loss, cross-entropy plus soft Dice, as in the code of
        Föllmer et al.; ``ce``, cross-entropy alone, as Ash et al. define it for classifiers.
    """

    name = "badge"
    look = Look("diversity", "X", "--")
    summary = "k-means++ seeding on last-layer gradients: large and unlike each other"
    reference = "Ash et al., ICLR 2020; last decoder convolution as in Föllmer et al., MIDL 2024"
    needs = Need.LAST_LAYER

    def __init__(self, *, loss: Literal["nnunet", "ce"] = "nnunet") -> None:
        self.loss = loss
        self.gradients = GradientSettings(loss=loss)

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Draw centres."""
        gradients = view.scores.last_layer
        if gradients is None:
            raise ValueError("scores: last_layer was not asked for in the strategy's needs")
        finite("last_layer", gradients)
        norms = np.linalg.norm(gradients.astype(np.float64), axis=1)
        chosen = core.kmeans_plusplus(gradients, budget, rng_seed=seed_of(rng))
        return Choice(indices=chosen, scores=norms[chosen])
