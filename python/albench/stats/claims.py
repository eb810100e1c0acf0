"""The paper's claims as questions to a study's results, each with its test and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench.results import REFERENCE
from albench.seeding import generator
from albench.stats.crossed import MIN_SEEDS, bootstrap_means, crossed_test, quantile_interval
from albench.stats.grid import DiceGrid
from albench.stats.mixed import MixedModel

ALPHA = 0.05
PAPER_BASELINES = ("random", "entropy", "mcd", "bald", "coreset", "badge", "stb")
"""What Föllmer et al. (MIDL 2024) compare USIM with."""

Verdict = Literal["supported", "not supported", "contradicted", "cannot tell: too few seeds", "cannot tell: no model"]
ENDPOINT: Literal["aubc"] = "aubc"
"""All claims are about the area under the curve, the paper's and nnActive's summary of a curve, fixed beforehand."""


@dataclass(frozen=True)
class Claim:
    """One question and what the data say.

    Attributes
    ----------
    claim, test
        In words.
    estimate, low, high
        Difference in AUBC (mean Dice over the curve) that the claim says is above 0, with its 95 % interval. Of the
        mixed-effects model: mean difference over the rounds it is fitted to.
    p
        One-sided, against the claim being false.
    n_seeds, n_cases, n_strategies
        What it rests on; strategies besides the one in question.
    """

    claim: str
    test: str
    estimate: float
    low: float
    high: float
    p: float
    n_seeds: int
    n_cases: int
    n_strategies: int
    verdict: Verdict


def study_claims(grid: DiceGrid, practicable: Sequence[str], mixed: MixedModel, *name: str) -> list[Claim]:
    """Ask a study whether most of the field beats random and whether USIM beats the baselines.

    Parameters
    ----------
    practicable
        Strategies to count: not those that read ground truth, which nobody could use.
    mixed
        Model of the same runs, for the second opinion on both questions.
    name
        Of the data set and protocol, for random streams.
    """
    known = [strategy for strategy in grid.strategies if strategy in practicable]
    field = [strategy for strategy in known if strategy != REFERENCE]
    baselines = [strategy for strategy in known if strategy in PAPER_BASELINES]
    claims = []
    if REFERENCE in known and len(field) > 1:
        differences = {strategy: {strategy: 1.0, REFERENCE: -1.0} for strategy in field}
        most = len(field) // 2 + 1
        text = f"Most of the field beats {REFERENCE} ({most} of {len(field)} strategies at least)"
        claims.append(at_least(grid, differences, most, text, *name, "most"))
    for text, weights in _averages(known).items():
        claims += [_crossed(grid, weights, text, *name), _modelled(mixed, weights, text)]
    for usim in _usims(known) if len(baselines) > 1 else ():
        differences = {strategy: {usim: 1.0, strategy: -1.0} for strategy in baselines}
        text = f"{usim} beats every one of the paper's baselines"
        claims.append(at_least(grid, differences, len(baselines), text, *name, usim, "every"))
    return claims


def joint_claims(mixed: MixedModel, practicable: Sequence[str]) -> list[Claim]:
    """Ask the model of several studies what `study_claims` asks each on average."""
    known = [strategy for strategy in mixed.strategies if strategy in practicable]
    return [_modelled(mixed, weights, text) for text, weights in _averages(known).items()]


def _usims(known: Sequence[str]) -> list[str]:
    return [strategy for strategy in known if strategy.startswith("usim")]


def _averages(known: Sequence[str]) -> dict[str, dict[str, float]]:
    """Claims about averages of strategies, with their contrasts: what is to be the better counts positive."""
    field = [strategy for strategy in known if strategy != REFERENCE]
    baselines = [strategy for strategy in known if strategy in PAPER_BASELINES]
    claims: dict[str, dict[str, float]] = {}
    if REFERENCE in known and field:
        text = f"The field beats {REFERENCE} on average ({', '.join(field)})"
        claims[text] = dict.fromkeys(field, 1 / len(field)) | {REFERENCE: -1.0}
    for usim in _usims(known) if baselines else ():
        text = f"{usim} beats the paper's baselines on average ({', '.join(baselines)})"
        claims[text] = {usim: 1.0} | dict.fromkeys(baselines, -1 / len(baselines))
    return claims


def at_least(grid: DiceGrid, contrasts: Mapping[str, Mapping[str, float]], u: int, claim: str, *name: str) -> Claim:
    """Test that at least `u` of m contrasts are above 0.

    The partial conjunction test of Benjamini and Heller (Biometrics 2008), valid however the tests depend on each
    other: p = (m - u + 1) times the u-th smallest one-sided p. With u = m it is the intersection-union test, the
    largest p. The estimate is the u-th largest contrast, which is above 0 just where the claim is true. Contradicted
    means that at least m - u + 1 contrasts are below 0, by the same test.
    """
    values = [grid.contrast(weights, ENDPOINT) for weights in contrasts.values()]
    # the seeds and cases that count have to be the same in all
    missing = np.asarray(np.isnan(np.stack(values)).any(axis=0))
    values = [np.where(missing, np.nan, own) for own in values]
    results = [crossed_test(own, generator(*name)) for own in values]
    m = len(values)
    estimate = _largest(np.array([[result.mean for result in results]]), u)[0]
    first = results[0]
    low = high = p = opposite = math.nan
    if first.n_seeds >= MIN_SEEDS and first.n_cases >= 2:
        p = partial_conjunction([result.p_greater for result in results], u)
        opposite = partial_conjunction([1 - result.p_greater for result in results], m - u + 1)
        box = np.ix_(~missing.all(axis=(1, 2)), ~missing.all(axis=(0, 2)))
        # the same stream each time: strategies meet in the same resamples
        draws = np.stack([bootstrap_means(own[box], generator(*name)) for own in values], axis=1)
        df = min(result.df for result in results)
        low, high = quantile_interval(_largest(draws, u), df, first.n_seeds)
    test = "partial conjunction of crossed tests" if u < m else "intersection-union of crossed tests"
    verdict = judge(p, opposite, first.n_seeds)
    return Claim(claim, test, float(estimate), low, high, p, first.n_seeds, first.n_cases, m, verdict)


def partial_conjunction(p: Sequence[float], u: int) -> float:
    """Return p of the claim that at least `u` of the hypotheses are false (Bonferroni form)."""
    ordered = sorted(p)
    return min(1.0, (len(ordered) - u + 1) * ordered[u - 1])


def judge(p: float, opposite: float, n_seeds: int) -> Verdict:
    """Put two one-sided p into words: of the claim, and of its opposite."""
    if n_seeds < MIN_SEEDS:
        return "cannot tell: too few seeds"
    if math.isnan(p):
        return "cannot tell: no model"
    if p < ALPHA:
        return "supported"
    return "contradicted" if opposite < ALPHA else "not supported"


def _largest(values: NDArray[np.float64], u: int) -> NDArray[np.float64]:
    """Return the u-th largest of each row."""
    return np.asarray(np.sort(values, axis=1)[:, -u])


def _crossed(grid: DiceGrid, weights: Mapping[str, float], claim: str, *name: str) -> Claim:
    result = crossed_test(grid.contrast(weights, ENDPOINT), generator(*name, claim))
    return Claim(
        claim=claim,
        test="crossed seeds and cases, quasi-F",
        estimate=result.mean,
        low=result.low,
        high=result.high,
        p=result.p_greater,
        n_seeds=result.n_seeds,
        n_cases=result.n_cases,
        n_strategies=len(weights) - 1,
        verdict=judge(result.p_greater, 1 - result.p_greater, result.n_seeds),
    )


def _modelled(mixed: MixedModel, weights: Mapping[str, float], claim: str) -> Claim:
    known = all(name in mixed.strategies for name in weights)
    effect = mixed.contrast(weights)
    p = effect.p_greater if known else math.nan
    return Claim(
        claim=claim,
        test=f"mixed-effects model ({'converged' if mixed.converged else mixed.note})",
        estimate=effect.estimate,
        low=effect.low,
        high=effect.high,
        p=p,
        n_seeds=mixed.n_seeds,
        n_cases=mixed.n_cases,
        n_strategies=len(weights) - 1,
        verdict=judge(p, 1 - p, mixed.n_seeds),
    )
