"""Claims that were registered before a study ran: where each stands at the looks that were planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.results.registered import RegisteredClaim
from albench.stats.crossed import crossed_test, margin, seed_spread, variance_components
from albench.stats.grid import dice_grid
from albench.stats.sequential import conditional_power, detectable, nominal_levels

FUTILE = 0.1
"""Conditional power below which a claim is called out of reach. It is told, and stops nothing: the level holds either
way."""

Decision = Literal["shown", "not shown yet", "not shown", "cannot be reached", "no look yet"]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """Where a claim stands.

    Attributes
    ----------
    classes
        Labels that count.
    n_finished
        Seeds, from 0 on without a gap, in which both strategies are done.
    n_seeds
        Seeds of the look that counts: the one that showed the claim, else the last one reached; 0 for none.
    mean, low, high
        Difference in Dice at that look, with an interval that holds at all looks together (repeated confidence
        interval): it leaves 0 out just where the look shows that the strategies differ.
    p, boundary
        Two-sided p of the crossed test, and the p below which a gain is shown at this look.
    conditional_power
        Chance of being shown by the last look if from here on the smallest difference of interest is true; NaN
        where nothing is open.
    detectable
        Smallest difference that all looks together find with 80 % power, at the standard deviation `sd` over seeds.
    """

    claim: RegisteredClaim
    classes: tuple[int, ...]
    n_finished: int
    n_seeds: int
    mean: float
    low: float
    high: float
    p: float
    boundary: float
    sd: float
    conditional_power: float
    detectable: float

    @property
    def shown(self) -> bool:
        """Whether the look shows a gain."""
        return self.p <= self.boundary and self.mean > 0

    @property
    def decision(self) -> Decision:
        """In words."""
        if not self.n_seeds:
            return "no look yet"
        if self.shown:
            return "shown"
        if self.n_seeds == self.claim.looks[-1]:
            return "not shown"
        return "cannot be reached" if self.conditional_power < FUTILE else "not shown yet"

    def row(self) -> dict[str, Any]:
        """All fields, for a table; those of the claim among them, and the decision."""
        own = {name: value for name, value in asdict(self).items() if name != "claim"}
        words = {"looks": " ".join(map(str, self.claim.looks)), "counted_classes": " ".join(map(str, self.classes))}
        own.pop("classes")
        return self.claim.model_dump(exclude={"test"}) | own | words | {"decision": self.decision}


def standing(results: pd.DataFrame, claim: RegisteredClaim, n_rounds: int) -> Standing:
    """Say where a claim stands.

    Parameters
    ----------
    results
        Rows of one data set and protocol.
    n_rounds
        Trainings of a chain, as the study's settings have them: a chain that still runs counts for nothing.
    """
    n_finished = finished_seeds(results, claim, n_rounds)
    reached = [look for look in claim.looks if look <= n_finished]
    levels = nominal_levels(claim.looks, claim.alpha)
    nan = math.nan
    found = Standing(claim, (), n_finished, 0, nan, nan, nan, nan, 2 * levels[0], nan, nan, nan)
    if not reached:
        return found
    labels = counted_labels(results, claim)
    for look, level in zip(reached, levels, strict=False):
        found = _at(difference(results, claim, range(look), labels), claim, labels, n_finished, look, level)
        if found.shown:
            break
    return found


def _at(
    values: Values, claim: RegisteredClaim, labels: tuple[int, ...], n_finished: int, look: int, level: float
) -> Standing:
    tested = crossed_test(values)
    sd = seed_spread(values)
    half = math.nan if math.isnan(tested.p) else margin(variance_components(values), 2 * level)
    rest, open_ = math.nan, look < claim.looks[-1] and not (tested.p <= 2 * level and tested.mean > 0)
    if open_ and sd > 0:
        rest = conditional_power(tested.mean, sd, look, claim.looks, claim.alpha, claim.smallest)
    least = detectable(sd, claim.looks, claim.alpha) if sd > 0 else math.nan
    ends = tested.mean - half, tested.mean + half
    return Standing(claim, labels, n_finished, look, tested.mean, *ends, tested.p, 2 * level, sd, rest, least)


def finished_seeds(results: pd.DataFrame, claim: RegisteredClaim, n_rounds: int) -> int:
    """Count the seeds from 0 on in which both strategies have every round, up to the first in which one lacks some."""
    done = set(_whole_seeds(results, claim, n_rounds))
    return next(n for n in range(len(done) + 1) if n not in done)


def _whole_seeds(results: pd.DataFrame, claim: RegisteredClaim, n_rounds: int) -> list[int]:
    both = results[results["strategy"].isin([claim.strategy, claim.against])]
    rounds = both.groupby(["seed", "strategy"])["round"].nunique()
    whole = rounds[rounds >= n_rounds].groupby("seed").size()
    return sorted(int(seed) for seed in whole.index[whole == 2])


def counted_labels(results: pd.DataFrame, claim: RegisteredClaim) -> tuple[int, ...]:
    """Foreground labels that a claim is about.

    Those with the smallest mean Dice in round 0, which all strategies share, over the seeds of the first look; so that
    neither strategy, nor a later look, has a say in which they are.
    """
    first = results[
        (results["round"] == 0)
        & (results["strategy"] == claim.against)
        & (results["label"] > 0)
        & (results["seed"] < claim.looks[0])
    ]
    means = first.groupby(["label", "seed"])["dice"].mean().groupby("label").mean()
    order = means.sort_values(kind="stable").index
    return tuple(sorted(int(label) for label in order[: claim.n_worst]))


def difference(results: pd.DataFrame, claim: RegisteredClaim, seeds: Sequence[int], labels: Sequence[int]) -> Values:
    """Paired differences of a claim's strategies.

    Returns
    -------
    ndarray
        float64 (seeds, cases, labels), as `albench.stats.grid.DiceGrid.contrast`.
    """
    rows = results[
        results["strategy"].isin([claim.strategy, claim.against])
        & results["seed"].isin(seeds)
        & results["label"].isin(labels)
    ]
    return dice_grid(rows).contrast({claim.strategy: 1.0, claim.against: -1.0}, claim.endpoint)


def pilot_spread(results: pd.DataFrame, claim: RegisteredClaim) -> float:
    """Return the standard deviation over a pilot's seeds of what a claim is about.

    Parameters
    ----------
    results
        Rows of one data set and protocol. NaN where fewer than two of its seeds have both strategies.
    """
    seeds = _whole_seeds(results, claim, results["round"].nunique())
    if len(seeds) < 2:
        return math.nan
    return seed_spread(difference(results, claim, seeds, counted_labels(results, claim)))
