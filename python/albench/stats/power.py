"""What a number of seeds can tell apart: power of the paired t-test over seeds of differences in AUBC.

The crossed test of a report has other cases in mind, too, and so at most this power; where seeds vary far more than
cases, as in the studies that the stored spreads are from, the two are close.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from statsmodels.stats.power import TTestPower

POWER, ALPHA = 0.8, 0.05
DIFFERENCES = (0.01, 0.005)
"""Differences in AUBC that the seeds needed are told for."""

SPREADS = {"quick": 0.011}
"""By protocol: standard deviation over seeds of a paired difference in AUBC. quick: `usim-f` less `random` on
hippocampus with a start and queries of 10 slices, five seeds (benchmarks/results/usim); `claspe` had 0.012."""


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


def power_of(n_seeds: int, sd: float) -> Power:
    """Say what `n_seeds` can find where paired differences have standard deviation `sd` over seeds."""
    return Power(sd, detectable_difference(n_seeds, sd), {each: seeds_needed(each, sd) for each in DIFFERENCES})


def detectable_difference(n_seeds: int, sd: float) -> float:
    """Smallest difference that `n_seeds` find with 80 % power; NaN with fewer than two."""
    if n_seeds < 2:
        return math.nan
    effect = TTestPower().solve_power(effect_size=None, nobs=n_seeds, alpha=ALPHA, power=POWER)
    return float(effect) * sd


def seeds_needed(difference: float, sd: float) -> int:
    """Seeds with which `difference` is found with 80 % power; at least 2."""

    def finds(n: int) -> bool:
        return bool(TTestPower().power(difference / sd, n, ALPHA) >= POWER)

    enough = 2
    while not finds(enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=2, key=finds)
