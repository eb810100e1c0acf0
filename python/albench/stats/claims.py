"""The paper's claims as questions to a study's results, each with its test and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from albench.results.tables import REFERENCE
from albench.stats.crossed import MIN_SEEDS, crossed_test
from albench.stats.grid import DiceGrid
from albench.stats.intervals import mean_interval, paired_t
from albench.stats.pairs import ALPHA, PRIMARY, Pair, holm

PAPER_BASELINES = ("random", "entropy", "mcd", "bald", "coreset", "badge", "stb")
"""What Föllmer et al. (MIDL 2024) compare USIM with."""
MIN_DATASETS = 3
"""With fewer, their spread says next to nothing about data sets that are not there, and each speaks for itself."""

Verdict = Literal["supported", "not supported", "contradicted", "cannot tell: too few seeds or cases"]
Pairs = Mapping[tuple[str, str], Pair]


@dataclass(frozen=True)
class Claim:
    """One question and what the data say.

    Attributes
    ----------
    claim, test
        In words.
    estimate, low, high
        Difference in AUBC (mean Dice over the curve) that the claim says is above 0, with its 95 % interval.
    p_two_sided, p_two_sided_holm
        Of that difference; corrected for all pairs of the study where the claim is about single strategies, else for
        the claims about averages of the same data.
    n_seeds, n_cases, n_strategies
        What it rests on; strategies besides the one in question.
    """

    claim: str
    test: str
    estimate: float
    low: float
    high: float
    p_two_sided: float
    p_two_sided_holm: float
    n_seeds: int
    n_cases: int
    n_strategies: int

    @property
    def verdict(self) -> Verdict:
        """Supported or contradicted where the corrected p is below 0.05, by the sign of the estimate."""
        if math.isnan(self.p_two_sided_holm):
            return "cannot tell: too few seeds or cases"
        if self.p_two_sided_holm >= ALPHA:
            return "not supported"
        return "supported" if self.estimate > 0 else "contradicted"

    def row(self) -> dict[str, object]:
        """Return fields and verdict."""
        return asdict(self) | {"verdict": self.verdict}


def study_claims(grid: DiceGrid, pairs: Pairs, practicable: Sequence[str]) -> list[Claim]:
    """Ask a study whether most of the field beats random and whether USIM beats the baselines.

    Parameters
    ----------
    pairs
        Of the same study's pair table, as `pairs_of` gives them.
    practicable
        Strategies to count: not those that read ground truth, which nobody could use.
    """
    known = [strategy for strategy in grid.strategies if strategy in practicable]
    field = [strategy for strategy in known if strategy != REFERENCE]
    baselines = [strategy for strategy in known if strategy in PAPER_BASELINES]
    claims = []
    # a field or a baseline alone is a pair: the pair table has asked that
    if REFERENCE in known and len(field) > 1:
        most = len(field) // 2 + 1
        text = f"Most of the field beats {REFERENCE} ({most} of {len(field)} strategies at least)"
        claims.append(at_least(pairs, [(strategy, REFERENCE) for strategy in field], most, text))
    for usim in _usims(known) if len(baselines) > 1 else ():
        text = f"{usim} beats every one of the paper's baselines"
        claims.append(at_least(pairs, [(usim, strategy) for strategy in baselines], len(baselines), text))
    return claims + _corrected([_crossed(grid, weights, text) for text, weights in _averages(known, 2).items()])


def joint_claims(grids: Sequence[DiceGrid], practicable: Sequence[str]) -> list[Claim]:
    """Ask several data sets under one protocol together what `study_claims` asks each on average.

    Parameters
    ----------
    grids
        One a data set, `MIN_DATASETS` at least; only strategies that all of them have are used.
    """
    common = [name for name in grids[0].strategies if all(name in grid.strategies for grid in grids)]
    known = [name for name in common if name in practicable]
    return _corrected([_joint(grids, weights, text) for text, weights in _averages(known, 1).items()])


def _usims(known: Sequence[str]) -> list[str]:
    return [strategy for strategy in known if strategy.startswith("usim")]


def _averages(known: Sequence[str], fewest: int) -> dict[str, dict[str, float]]:
    """Claims about averages of at least so many strategies, with their contrasts: the better one counts positive."""
    field = [strategy for strategy in known if strategy != REFERENCE]
    baselines = [strategy for strategy in known if strategy in PAPER_BASELINES]
    claims: dict[str, dict[str, float]] = {}
    if REFERENCE in known and len(field) >= fewest:
        text = f"The field beats {REFERENCE} on average ({', '.join(field)})"
        claims[text] = dict.fromkeys(field, 1 / len(field)) | {REFERENCE: -1.0}
    for usim in _usims(known) if len(baselines) >= fewest else ():
        text = f"{usim} beats the paper's baselines on average ({', '.join(baselines)})"
        claims[text] = {usim: 1.0} | dict.fromkeys(baselines, -1 / len(baselines))
    return claims


def at_least(pairs: Pairs, wanted: Sequence[tuple[str, str]], u: int, claim: str) -> Claim:
    """Ask whether at least `u` of the pairs are above 0.

    Ordered from the surest gain to the surest loss, the u-th pair decides, with its own numbers: where the pair table
    calls it better, so it does `u` pairs. As Holm's correction holds for all pairs at once, a false claim is supported
    in at most 5 % of studies.
    """
    chosen = [pairs[pair] for pair in wanted]
    # one-sided p of a loss against a gain; untested pairs by their mean
    order = sorted(range(len(chosen)), key=lambda i: (_loss(chosen[i]), -chosen[i].mean))
    decisive = order[u - 1]
    pair = chosen[decisive]
    # an untested pair leaves the claim open, whatever the others say
    p, corrected = (pair.p, pair.p_holm) if not any(np.isnan(own.p) for own in chosen) else (math.nan, math.nan)
    test = f"corrected pairs; {' against '.join(wanted[decisive])} decides"
    counts = (pair.n_seeds, pair.n_cases, len(chosen))
    return Claim(claim, test, pair.mean, pair.low, pair.high, p, corrected, *counts)


def _loss(pair: Pair) -> float:
    if np.isnan(pair.p):
        return 0.5
    return pair.p / 2 if pair.mean > 0 else 1 - pair.p / 2


def _crossed(grid: DiceGrid, weights: Mapping[str, float], claim: str) -> Claim:
    tested = crossed_test(grid.contrast(weights, PRIMARY))
    ends = (tested.mean, tested.low, tested.high, tested.p, math.nan)
    return Claim(claim, "crossed seeds and cases", *ends, tested.n_seeds, tested.n_cases, len(weights) - 1)


def _joint(grids: Sequence[DiceGrid], weights: Mapping[str, float], claim: str) -> Claim:
    """Test a contrast over data sets: their estimates are the sample.

    Student's t speaks of other data sets like these, whether a strategy helps some more than others or not, and holds
    its level however unlike their errors are (Ibragimov and Müller, J Bus Econ Stat 2010).
    """
    tests = [crossed_test(grid.contrast(weights, PRIMARY)) for grid in grids]
    means = np.array([own.mean for own in tests])
    n_seeds = min(own.n_seeds for own in tests)
    over = mean_interval(means)
    tested = (over.low, over.high, paired_t(means)) if n_seeds >= MIN_SEEDS else (math.nan,) * 3
    counts = (n_seeds, sum(own.n_cases for own in tests), len(weights) - 1)
    return Claim(claim, f"Student's t over {len(tests)} data sets", over.mean, *tested, math.nan, *counts)


def _corrected(claims: Sequence[Claim]) -> list[Claim]:
    corrected = holm(np.array([claim.p_two_sided for claim in claims]))
    return [replace(claim, p_two_sided_holm=float(p)) for claim, p in zip(claims, corrected, strict=True)]
