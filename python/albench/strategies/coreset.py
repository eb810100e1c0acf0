"""Spread in the network's feature space: k-centre greedy, and k-means++ among the most informative."""

from __future__ import annotations

import numpy as np

from albench import core
from albench.scoring.request import Features, Need
from albench.strategies.base import PoolView, Selection, Strategy, finite, seed_of, top


class CoreSet(Strategy):
    """k-centre greedy on bottleneck activations: each choice is the unit farthest from all annotated and chosen."""

    name = "coreset"
    summary = "k-centre greedy on bottleneck activations, annotated units being centres already"
    reference = "Sener & Savarese, ICLR 2018"
    needs = Need.FEATURES

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Take the farthest, again and again."""
        features = _features(view)
        return Selection(indices=core.kcenter_greedy(features.unlabelled, budget, labelled=features.labelled))


class KMeansBald(Strategy):
    """k-means++ seeding in bottleneck features among the 2 B units of highest BALD."""

    name = "kmeans-bald"
    summary = "units far apart in bottleneck features among the 2 B of highest BALD"
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    needs = Need.MUTUAL_INFORMATION | Need.FEATURES

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Draw centres among the best."""
        scores, features = view.score("mutual_information"), _features(view)
        candidates = top(scores, min(scores.size, 2 * budget)).indices
        # the seeding's first centre is the row of largest norm: around the mean that is the most unusual one
        rows = features.unlabelled[candidates]
        chosen = candidates[core.kmeans_plusplus(rows - rows.mean(axis=0), budget, rng_seed=seed_of(rng))]
        return Selection(indices=chosen, scores=scores[chosen])


def _features(view: PoolView) -> Features:
    features = view.scores.features
    if features is None:
        raise ValueError("scores: features were not asked for in the strategy's needs")
    finite("features", features.unlabelled)
    finite("features", features.labelled)
    return features
