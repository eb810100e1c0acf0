"""Spread in the network's feature space: k-centre greedy, among all or among the most informative."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from albench import core
from albench.errors import InputError
from albench.scoring.request import Features, Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, finite, top


class CoreSet(Strategy):
    """k-centre greedy on bottleneck activations: each choice is the unit farthest from all annotated and chosen."""

    name = "coreset"
    look = Look("diversity", "P")
    summary = "k-centre greedy on bottleneck activations, annotated units being centres already"
    reference = "Sener & Savarese, ICLR 2018"
    needs = Need.FEATURES

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the farthest, again and again."""
        features = features_of(view)
        return Choice(indices=core.kcenter_greedy(features.unlabelled, budget, labelled=features.labelled))


class KMeansBald(Strategy):
    """Farthest-first traversal in the encoder's features among the units of highest BALD.

    Features are of the encoder's second-deepest stage, mean over the unit, of all folds side by side, and are divided
    by their standard deviation over the candidates. The first choice is the candidate of largest norm, each further one
    the candidate farthest (Euclidean) from those chosen: what nnActive calls k-means++ draws nothing.

    Parameters
    ----------
    per_case
        Candidates of one case: its units of highest BALD. nnActive takes twice as many as an image may give, 40 in its
        experiments; where the cases have fewer units than that, every unit is a candidate and BALD plays no part. 0:
        candidates are the 2 B of highest BALD of the whole pool.
    """

    name = "kmeans-bald"
    look = Look("disagreement", "X", ":")
    summary = "units far apart in the encoder's features among those of highest BALD"
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    needs = Need.MUTUAL_INFORMATION | Need.STAGE_FEATURES

    def __init__(self, *, per_case: int = 40) -> None:
        if per_case < 0:
            raise InputError(f"parameter per_case: expected a number of at least 0, got {per_case}")
        self.per_case = per_case
        self.looks_at_cases = per_case > 0

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Go from the largest to the farthest, again and again."""
        scores, features = view.score("mutual_information"), view.scores.stage_features
        if features is None:
            raise ValueError("scores: stage_features were not asked for in the strategy's needs")
        candidates = self._candidates(view, budget, scores)
        rows = standardised(finite("stage_features", features)[candidates])
        chosen = candidates[farthest_first(rows, budget)]
        return Choice(indices=chosen, scores=scores[chosen])

    def _candidates(self, view: PoolView, budget: int, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Positions of the candidates, highest score first; where they are too few, the highest of the others too."""
        ranked = top(scores, scores.size).indices
        if self.per_case == 0:
            return ranked[: 2 * budget]
        seen: Counter[str] = Counter()
        within = np.zeros(ranked.size, dtype=bool)
        for place, row in enumerate(ranked):
            case = view.units[row].case
            within[place] = seen[case] < self.per_case
            seen[case] += 1
        within[np.flatnonzero(~within)[: max(0, budget - int(within.sum()))]] = True
        return ranked[within]


def standardised(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows divided by each column's standard deviation (n - 1) plus 1e-6, not centred, as nnActive does; float64."""
    wide = rows.astype(np.float64)
    spread = wide.std(axis=0, ddof=1) if len(wide) > 1 else np.zeros(wide.shape[1])
    return np.asarray(wide / (spread + 1e-6), dtype=np.float64)


def farthest_first(rows: NDArray[np.float64], budget: int) -> NDArray[np.int64]:
    """Begin with the row of largest norm, then take the row farthest from all taken; int64 (budget,)."""
    first = int(np.argmax(np.linalg.norm(rows, axis=1)))
    if budget == 1:
        return np.array([first], dtype=np.int64)
    return np.array([first, *core.kcenter_greedy(rows, budget - 1, labelled=[first])], dtype=np.int64)


def features_of(view: PoolView) -> Features:
    """Return the bottleneck activations; ValueError where nobody asked for them or a value is not finite."""
    features = view.scores.features
    if features is None:
        raise ValueError("scores: features were not asked for in the strategy's needs")
    finite("features", features.unlabelled)
    finite("features", features.labelled)
    return features
