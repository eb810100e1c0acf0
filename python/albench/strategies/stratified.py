"""Predictive entropy stratified by predicted class: part of the batch for each foreground class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from albench.scoring.request import Need
from albench.strategies.bald import logarithm
from albench.strategies.base import PoolView, Selection, Strategy, noise_ranked, positive, top


class _Stratified(Strategy):
    """Part of the batch evenly from one list per foreground class, the rest from the list of all."""

    needs = Need.PREDICTIVE_ENTROPY | Need.CLASS_ENTROPY
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    percent: ClassVar[int]

    def _rank(self, scores: NDArray[np.float64], view: PoolView, rng: np.random.Generator) -> NDArray[np.int64]:
        """All units, the most wanted first."""
        return top(scores, scores.size).indices

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Selection:
        """Fill the classes' places, then the others."""
        by_class, overall = view.score("class_entropy"), view.score("predictive_entropy")
        taken: dict[int, float] = {}  # unit to the score it was taken for, in order
        places = places_per_class(self.percent * budget // 100, by_class.shape[1] - 1, rng)
        for scores, wanted in [*zip(by_class[:, 1:].T, places, strict=True), (overall, budget - int(places.sum()))]:
            fresh = [unit for unit in self._rank(scores, view, rng).tolist() if unit not in taken][:wanted]
            taken |= {unit: float(scores[unit]) for unit in fresh}
        return Selection(indices=np.array(list(taken), dtype=np.int64), scores=np.array(list(taken.values())))


def places_per_class(n_places: int, n_classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share out places evenly, the remainder to classes drawn at random; int64 (n_classes,)."""
    places = np.full(n_classes, n_places // n_classes, dtype=np.int64)
    places[rng.choice(n_classes, n_places % n_classes, replace=False)] += 1
    return places


class ClassPe66(_Stratified):
    """Fills floor(0.66 B) places evenly with each class' highest mean of p_c H(p), the rest by plain entropy.

    Places that do not divide evenly go to classes drawn at random. A unit that one list has taken is passed over by
    the others.
    """

    name = "class-pe66"
    summary = "predictive entropy, 66 % of the batch shared out among the predicted classes"
    percent = 66


class ClassPe33(_Stratified):
    """As ``class-pe66`` with floor(0.33 B) places for the classes."""

    name = "class-pe33"
    summary = "predictive entropy, 33 % of the batch shared out among the predicted classes"
    percent = 33


class ClaspPe(_Stratified):
    """Class-stratified predictive entropy whose lists carry power noise that fades from query to query.

    Every list is ranked by log(score) + Gumbel(0, 1 / beta_t) noise, beta_t = beta_end ** (t / (queries - 1)) at query
    t = 0, 1, ...: 1 at first, `beta_end` at last. The published code counts the trainings instead of the queries and
    so never reaches its last value.

    Parameters
    ----------
    beta_end
        Coldness of the last query.
    """

    name = "claspe"
    summary = "class-stratified predictive entropy (66 %) with power noise that fades over the rounds"
    reference = "ClaSP PE, TMLR 2026 (nnActive)"
    percent = 66

    def __init__(self, *, beta_end: float = 100.0) -> None:
        self.beta_end = positive("beta_end", beta_end)

    def beta(self, view: PoolView) -> float:
        """Coldness at the view's query; a chain with one query has its last value."""
        progress = view.query / (view.n_queries - 1) if view.n_queries > 1 else 1.0
        return float(self.beta_end**progress)

    def _rank(self, scores: NDArray[np.float64], view: PoolView, rng: np.random.Generator) -> NDArray[np.int64]:
        return noise_ranked(logarithm(scores), scores.size, rng, self.beta(view)).indices
