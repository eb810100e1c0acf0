"""Predictive entropy stratified by predicted class: part of the batch for each foreground class."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench.errors import InputError
from albench.scoring.request import Need
from albench.strategies.bald import logarithm
from albench.strategies.base import Choice, Look, PoolView, Strategy, noise_ranked, one_of, positive, top

Schedule = Literal["exponential", "smooth-sigmoid", "sharp-sigmoid"]
Variant = Literal["corrected", "published"]
_TEMPERATURES = {"smooth-sigmoid": 2.0, "sharp-sigmoid": 0.5}
_REACH = 6.0  # the sigmoids run from -6 to 6, in units of their temperature


class _Stratified(Strategy):
    """Part of the batch evenly from one list per foreground class, the rest from the list of all."""

    needs = Need.PREDICTIVE_ENTROPY | Need.CLASS_ENTROPY
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    percent: int

    def _rank(self, scores: NDArray[np.float64], view: PoolView, rng: np.random.Generator) -> NDArray[np.int64]:
        """All units, the most wanted first."""
        return top(scores, scores.size).indices

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Fill the classes' places, then the others."""
        by_class, overall = view.score("class_entropy"), view.score("predictive_entropy")
        taken: dict[int, float] = {}  # unit to the score it was taken for, in order
        places = places_per_class(self.percent * budget // 100, by_class.shape[1] - 1, rng)
        for scores, wanted in [*zip(by_class[:, 1:].T, places, strict=True), (overall, budget - int(places.sum()))]:
            fresh = [unit for unit in self._rank(scores, view, rng).tolist() if unit not in taken][:wanted]
            taken |= {unit: float(scores[unit]) for unit in fresh}
        return Choice(indices=np.array(list(taken), dtype=np.int64), scores=np.array(list(taken.values())))


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
    look = Look("class-entropy", ">", ":")
    summary = "predictive entropy, 66 % of the batch shared out among the predicted classes"
    percent = 66


class ClassPe33(_Stratified):
    """As ``class-pe66`` with floor(0.33 B) places for the classes."""

    name = "class-pe33"
    look = Look("class-entropy", "<", ":")
    summary = "predictive entropy, 33 % of the batch shared out among the predicted classes"
    percent = 33


class _ClassPower(_Stratified):
    """Ranks every list by log(score) + Gumbel(0, 1 / beta) noise.

    Parameters
    ----------
    beta
        Coldness.
    """

    def __init__(self, *, beta: float = 1.0) -> None:
        self.beta = positive("beta", beta)

    def _rank(self, scores: NDArray[np.float64], view: PoolView, rng: np.random.Generator) -> NDArray[np.int64]:
        return noise_ranked(logarithm(scores), scores.size, rng, self.beta).indices


class ClassPowerPe66(_ClassPower):
    """As ``class-pe66``, every list ranked by log(score) + Gumbel(0, 1 / beta) noise.

    Parameters
    ----------
    beta
        Coldness: near 0 a random draw, large the plain ranking. Published: 1.
    """

    name = "class-power-pe66"
    look = Look("class-entropy", ">", "-.")
    summary = "class-stratified predictive entropy (66 %) with power noise"
    percent = 66


class ClassPowerPe33(_ClassPower):
    """As ``class-power-pe66`` with floor(0.33 B) places for the classes.

    Parameters
    ----------
    beta
        Coldness: near 0 a random draw, large the plain ranking. Published: 1.
    """

    name = "class-power-pe33"
    look = Look("class-entropy", "<", "-.")
    summary = "class-stratified predictive entropy (33 %) with power noise"
    percent = 33


class ClaspPe(_Stratified):
    """Class-stratified predictive entropy whose lists carry power noise that fades from query to query.

    Every list is ranked by log(score) + Gumbel(0, 1 / beta_t) noise, with beta_t rising from 1 to `beta_end`: at query
    t = 0, 1, ... of a chain, beta_t = beta_end ** x with x = t / (queries - 1), or a sigmoid of x scaled to the same
    ends.

    Parameters
    ----------
    beta_end
        Coldness at the end of the schedule.
    schedule
        ``exponential``; ``smooth-sigmoid`` and ``sharp-sigmoid`` rise about the middle of the chain, as
        1 / (1 + exp(-z / T)) over z = -6 to 6 with T = 2 and 0.5.
    variant
        ``corrected``: the last query has `beta_end`; ``published``: the schedule is cut into as many steps as there are
        trainings, one more than queries, so that no query has its last value: 1, 3.2, 10, 31.6 in a chain of four.
    percent
        Share of the batch for the classes, in per cent.
    """

    name = "claspe"
    look = Look("class-entropy", "h", "--")
    summary = "class-stratified predictive entropy (66 %) with power noise that fades over the rounds"
    reference = "ClaSP PE, TMLR 2026 (nnActive)"
    scheduled = True

    def __init__(
        self,
        *,
        beta_end: float = 100.0,
        schedule: Schedule = "exponential",
        variant: Variant = "corrected",
        percent: int = 66,
    ) -> None:
        self.beta_end = positive("beta_end", beta_end)
        self.schedule = one_of("schedule", schedule, ("exponential", *_TEMPERATURES))
        self.variant = one_of("variant", variant, ("corrected", "published"))
        if not 0 <= percent <= 100:
            raise InputError(f"parameter percent: expected a number in 0..100, got {percent}")
        self.percent = percent

    def beta(self, view: PoolView) -> float:
        """Coldness at the view's query; one that is the whole schedule has its last value."""
        if view.n_queries is None:
            raise ValueError("n_queries: expected the number of the chain's queries, got None")
        last = view.n_queries if self.variant == "published" else view.n_queries - 1
        progress = view.query_number / last if last else 1.0
        if self.schedule == "exponential":
            return float(self.beta_end**progress)
        low, here, high = 1 / (1 + np.exp(-_REACH * np.array([-1, 2 * progress - 1, 1]) / _TEMPERATURES[self.schedule]))
        return float(1 + (self.beta_end - 1) * (here - low) / (high - low))

    def _rank(self, scores: NDArray[np.float64], view: PoolView, rng: np.random.Generator) -> NDArray[np.int64]:
        return noise_ranked(logarithm(scores), scores.size, rng, self.beta(view)).indices
