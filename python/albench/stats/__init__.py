"""Scores of learning curves, and how far apart strategies are, with few seeds in mind: one idea a file.

Nothing here draws random numbers but from a generator that is given: a report is the same each time it is built.
"""

from albench.stats.curves import aubc, curve_scores, share_of_ceiling
from albench.stats.intervals import Interval, mean_interval

__all__ = [
    "Interval",
    "aubc",
    "curve_scores",
    "mean_interval",
    "share_of_ceiling",
]
