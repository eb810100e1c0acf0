"""What a uniform sample of annotated units tells of a model's Dice on the whole pool, where nobody has a test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from albench_core.arguments import integer, plain, wrong

Values = NDArray[np.float64]

LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class AuditedDice:
    """An estimate of the pool's Dice with its 95 % interval.

    Attributes
    ----------
    dice, low, high
        NaN where no audited unit has any of the class.
    n_informative
        Audited units that have any of it, in the annotation or the prediction; the others say nothing.
    """

    dice: float
    low: float
    high: float
    n_informative: int


@dataclass(frozen=True)
class Audit:
    """Of each class, and of the mean over the classes that any audited unit has."""

    classes: tuple[AuditedDice, ...]
    mean: AuditedDice


def audit_dice(
    true_positives: ArrayLike, false_positives: ArrayLike, false_negatives: ArrayLike, n_units: int | None = None
) -> Audit:
    """Estimate a model's Dice on a pool of units, voxels of all units put together, from an audit of some.

    Parameters
    ----------
    true_positives, false_positives, false_negatives
        (m, C) at least 0: voxels of each class, background left out, in each audited unit. These have to be drawn
        uniformly without replacement from all units of the pool, whatever case they are of: then units of one case may
        be as alike as they like, the interval is one over draws of the audit.
    n_units
        N, units of the pool, m to any number. None: not known, taken for many; of a small pool the interval is then
        somewhat longer than it would have to be.

    Raises
    ------
    InputError
        Naming the argument: a wrong shape, no unit, or numbers that are not finite or below 0.

    Notes
    -----
    With y = 2 TP and x = 2 TP + FP + FN of a unit the pool's Dice is the ratio of their totals, and r = sum y / sum x
    over the audit estimates it: consistent, its bias of order 1 / m (Cochran, Sampling Techniques, 1977, chapter 6).
    The variance is the jackknife's times the finite population correction (Wolter, Introduction to Variance Estimation,
    2007, chapter 4), (1 - m / N) (m - 1) / m sum_j (r_(j) - r)^2, r_(j) being r without unit j; linearised ones are too
    small for audits of ten units. Of the mean over classes the deviations are the classes' mean deviations.

    The interval is Student's on the scale log(r / (1 - r)), which keeps it within 0 and 1 and makes it longer on the
    side of 0.5 (Korn and Graubard, Survey Methodology, 1998). Few large units tell less than many of one size: where
    squared residuals go with size, which is where r is the best estimator, Satterthwaite's degrees of freedom
    (Biometrics Bulletin, 1946) are (sum x)^2 / sum x^2, one of which r itself takes.

    Where all units have the very same Dice, 1 say, there is no spread to go by. Then with k units that have the class,
    at least a share g = 1 - (1 - m / N) (1 - 0.025^(1 / k)) of the pool is as they are, as far as one in forty audits
    could miss others (Clopper and Pearson, Biometrika, 1934), and the rest may be anything: the interval is g r to
    g r + 1 - g. That is also what a single unit gives, 0.025 r to 0.975 + 0.025 r in a large pool. An audit of all
    units has no error.
    """
    counts = [
        _counts("true_positives", true_positives),
        _counts("false_positives", false_positives),
        _counts("false_negatives", false_negatives),
    ]
    for name, values in zip(("false_positives", "false_negatives"), counts[1:], strict=True):
        if values.shape != counts[0].shape:
            raise wrong(name, f"shape {counts[0].shape}, as true_positives has", f"shape {values.shape}")
    m = len(counts[0])
    unaudited = 1.0 if n_units is None else 1 - m / integer("n_units", n_units, m, 2**62)
    hits = 2 * counts[0]
    sizes = hits + counts[1] + counts[2]
    classes = [_Ratio(hits[:, c], sizes[:, c], unaudited) for c in range(hits.shape[1])]
    seen = [ratio for ratio in classes if ratio.n_informative > 0]
    return Audit(tuple(ratio.audited() for ratio in classes), _mean(seen, unaudited))


def _counts(argument: str, values: ArrayLike) -> Values:
    given = plain(argument, values)
    if given.ndim != 2 or 0 in given.shape:
        raise wrong(argument, "shape (m, C), at least one unit and one class", f"shape {given.shape}")
    if given.dtype.kind not in "fiu" or not np.isfinite(given).all() or (given < 0).any():
        raise wrong(argument, "numbers of voxels, finite and at least 0", f"dtype {given.dtype} with others")
    return given.astype(np.float64)


class _Ratio:
    """One class: the ratio of two totals over the audited units.

    Parameters
    ----------
    hits, sizes
        float64 (m,): y and x.
    unaudited
        1 - m / N.
    """

    def __init__(self, hits: Values, sizes: Values, unaudited: float) -> None:
        self.n_informative = int((sizes > 0).sum())
        self.unaudited = unaudited
        self.shares = sizes / max(sizes.sum(), 1)
        self.dice = float(hits.sum() / sizes.sum()) if self.n_informative else np.nan
        others = sizes.sum() - sizes
        # r - r_(j); exact zeros where all units have one Dice, be it as fractions of different sizes.
        alike = bool((hits * sizes.sum() == hits.sum() * sizes).all())
        self.deviations = np.zeros(len(hits))
        if not alike:
            self.deviations = (hits - self.dice * sizes) / others

    @property
    def has_spread(self) -> bool:
        """Whether units differ, and none of them holds so much of the class that its own deviation is lost in it."""
        return bool(self.deviations.any()) and _freedom(self.shares) >= 1

    def audited(self) -> AuditedDice:
        """Estimate and interval."""
        if self.n_informative == 0:
            return AuditedDice(np.nan, np.nan, np.nan, 0)
        if not self.deviations.any():
            as_seen = 1 - self.unaudited * (1 - _TAIL ** (1 / self.n_informative))
            return AuditedDice(self.dice, as_seen * self.dice, as_seen * self.dice + 1 - as_seen, self.n_informative)
        return AuditedDice(
            self.dice, *_interval(self.dice, self.deviations, self.shares, self.unaudited), self.n_informative
        )


def _mean(seen: list[_Ratio], unaudited: float) -> AuditedDice:
    """Mean over classes; those without spread widen its interval by as much as theirs is wide."""
    if not seen:
        return AuditedDice(np.nan, np.nan, np.nan, 0)
    dice = float(np.mean([ratio.dice for ratio in seen]))
    low = high = dice
    shares = np.mean([ratio.shares for ratio in seen], axis=0)
    if spread := [ratio for ratio in seen if ratio.has_spread]:
        deviations = np.sum([ratio.deviations for ratio in spread], axis=0) / len(seen)
        low, high = _interval(dice, deviations, np.mean([ratio.shares for ratio in spread], axis=0), unaudited)
    for ratio in seen:
        if not ratio.has_spread:
            own = ratio.audited()
            low, high = low - (own.dice - own.low) / len(seen), high + (own.high - own.dice) / len(seen)
    return AuditedDice(dice, max(low, 0.0), min(high, 1.0), int((shares > 0).sum()))


def _freedom(shares: Values) -> float:
    """Degrees of freedom of a variance over units that hold `shares` of a total, by Satterthwaite."""
    return float(1 / np.square(shares).sum() - 1)


def _interval(dice: float, deviations: Values, shares: Values, unaudited: float) -> tuple[float, float]:
    """Student's interval on the scale of log odds; `shares` (m,) add up to 1."""
    m = len(deviations)
    error = np.sqrt(unaudited * (m - 1) / m * np.square(deviations).sum())
    half = stats.t.ppf(1 - _TAIL, _freedom(shares)) * error / (dice * (1 - dice))
    low, high = special.expit(special.logit(dice) + np.array([-half, half]))
    return float(low), float(high)
