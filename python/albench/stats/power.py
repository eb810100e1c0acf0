"""What a number of seeds can tell apart: power of the paired t-test over seeds of differences in AUBC.

The crossed test of a report has other cases in mind, too, and so at most this power; where seeds vary far more than
cases, as in the studies that the stored spreads are from, the two are close.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Any

from statsmodels.stats.power import TTestPower

from albench.results.registered import RegisteredClaim
from albench.stats import sequential
from albench.stats.grid import Endpoint

POWER, ALPHA = 0.8, 0.05
DIFFERENCES = (0.01, 0.005)
"""Differences in AUBC that the seeds needed are told for."""

SPREADS: dict[tuple[str, Endpoint], float] = {
    ("quick", "aubc"): 0.011,
    ("screen", "final"): 0.01,
    ("screen", "aubc"): 0.005,
}
"""By protocol and endpoint: standard deviation over seeds of a paired difference. quick: `usim-f` less `random` on
hippocampus with a start and queries of 10 slices, five seeds (benchmarks/results/usim); `claspe` had 0.012. screen: the
same pair in a trial of six seeds; `claspe` had 0.024, two good strategies 0.015 between them. The AUBC of two rounds of
which the first is shared is half of the last one's difference."""


@dataclass(frozen=True)
class Power:
    """What a study can find, at 80 % power by a two-sided test at 5 % of one comparison.

    Attributes
    ----------
    sd
        Standard deviation over seeds that is reckoned with.
    detectable
        Smallest difference in AUBC that the planned seeds find; NaN with a single seed.
    seeds_needed
        By difference.
    """

    sd: float
    detectable: float
    seeds_needed: dict[float, int]

    def as_json(self) -> dict[str, Any]:
        """All fields by name, None where nothing can be found."""
        detectable = None if math.isnan(self.detectable) else self.detectable
        needed = {f"{difference:g}": n for difference, n in self.seeds_needed.items()}
        return {"sd": self.sd, "detectable": detectable, "seeds_needed": needed}

    def as_text(self) -> str:
        """Return a line for people."""
        detected = (
            "nothing with a single seed"
            if math.isnan(self.detectable)
            else f"a difference in AUBC of {self.detectable:.3f}"
        )
        needed = ", ".join(
            f"{difference:g} needs {n} {'seed' if n == 1 else 'seeds'}" for difference, n in self.seeds_needed.items()
        )
        return f"{detected} with 80 % power (two-sided 5 %, one comparison, SD over seeds {self.sd:g}); {needed}"


@dataclass(frozen=True)
class ClaimPower:
    """What a study can say of a registered claim.

    Attributes
    ----------
    sd
        Standard deviation over seeds that is reckoned with.
    source
        Where that is from, in words.
    n_seeds
        Planned.
    """

    claim: RegisteredClaim
    sd: float
    source: str
    n_seeds: int

    @property
    def detectable(self) -> float:
        """Smallest difference that the looks up to the planned seeds show with 80 % power; NaN where there is none."""
        return sequential.detectable(self.sd, self.claim.looks, self.claim.alpha, self.n_seeds)

    @property
    def seeds_needed(self) -> int:
        """Seeds of a last look that shows the smallest difference of interest with 80 % power."""
        return sequential.seeds_needed(self.claim.smallest, self.sd, self.claim.looks, self.claim.alpha)

    def as_json(self) -> dict[str, Any]:
        """All fields by name, None where nothing can be found."""
        detectable = None if math.isnan(self.detectable) else self.detectable
        about = {"claim": self.claim.model_dump(mode="json"), "sd": self.sd, "source": self.source}
        return {**about, "n_seeds": self.n_seeds, "detectable": detectable, "seeds_needed": self.seeds_needed}

    def as_text(self) -> str:
        """Return a line for people."""
        claim = self.claim
        looks = ", ".join(map(str, claim.looks))
        found = "has no look" if math.isnan(self.detectable) else f"shows a difference of {self.detectable:.3f}"
        return (
            f"{claim.strategy} over {claim.against}, {claim.endpoint}: with {self.n_seeds} seeds {found} with 80 % "
            f"power (one-sided {100 * claim.alpha:g} % over looks at {looks}; SD over seeds {self.sd:.2g}, "
            f"{self.source}); {claim.smallest:g} needs {self.seeds_needed}"
        )


def power_of(n_seeds: int, sd: float) -> Power:
    """Say what `n_seeds` can find where paired differences have standard deviation `sd` over seeds."""
    return Power(sd, detectable_difference(n_seeds, sd), {each: seeds_needed(each, sd) for each in DIFFERENCES})


def detectable_difference(n_seeds: int, sd: float) -> float:
    """Smallest difference that `n_seeds` find with 80 % power; NaN with fewer than two."""
    return math.nan if n_seeds < 2 else _effect(n_seeds) * sd


@cache
def _effect(n_seeds: int) -> float:
    """Return the smallest difference in standard deviations."""
    return float(TTestPower().solve_power(effect_size=None, nobs=n_seeds, alpha=ALPHA, power=POWER))


def seeds_needed(difference: float, sd: float) -> int:
    """Seeds with which `difference` is found with 80 % power; at least 2."""

    def finds(n: int) -> bool:
        return bool(TTestPower().power(difference / sd, n, ALPHA) >= POWER)

    enough = 2
    while not finds(enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=2, key=finds)
