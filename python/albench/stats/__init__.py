"""Scores of learning curves, and how far apart strategies are, with few seeds in mind: one idea a file.

Functions that draw random numbers take their generator: a report is the same each time it is built.
"""

from albench.stats.bootstrap import Interval, bootstrap_mean
from albench.stats.curves import aubc, curve_scores, share_of_ceiling
from albench.stats.difference import PairedDifference, paired_difference

__all__ = [
    "Interval",
    "PairedDifference",
    "aubc",
    "bootstrap_mean",
    "curve_scores",
    "paired_difference",
    "share_of_ceiling",
]
