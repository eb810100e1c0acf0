"""One model of all runs: Dice by strategy and budget, with random cases, seeds and chains."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec
from threadpoolctl import threadpool_limits

from albench.results import REFERENCE
from albench.stats.crossed import MIN_SEEDS
from albench.stats.grid import DiceGrid, nan_mean

MAX_ROWS = 5000
"""Rows of a fit, by leaving rounds out: a fit of this size takes a few seconds."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A contrast of strategies: estimate with its standard error, 95 % interval and two- and one-sided p."""

    estimate: float
    error: float
    low: float
    high: float
    p: float
    p_greater: float


@dataclass(frozen=True, eq=False)
class MixedModel:
    """A fitted model, or why there is none.

    Attributes
    ----------
    strategies
        First the reference, whose effect is 0.
    effects, covariance
        Of the other strategies against it; float64 (n,) and (n, n).
    df
        Degrees of freedom of the chains, (strategies - 1) (seeds - 1), summed over studies: those of a balanced
        split-plot analysis, where a chain is what gets a strategy.
    deviations
        Standard deviation of each random effect and of the rest.
    n_rows, n_seeds, n_cases, rounds
        What the fit rests on; `rounds` are their numbers in the first study.
    converged
        Whether the optimiser and the standard errors say so.
    note
        Why there is no fit, or what the optimiser remarked.
    """

    strategies: tuple[str, ...]
    effects: Values
    covariance: Values
    df: int
    deviations: Mapping[str, float]
    n_rows: int
    n_seeds: int
    n_cases: int
    rounds: tuple[int, ...]
    converged: bool
    note: str

    def contrast(self, weights: Mapping[str, float]) -> Effect:
        """Weighted sum of strategies' effects; t with `df` degrees of freedom. NaN where the fit did not converge."""
        vector = np.array([weights.get(name, 0.0) for name in self.strategies[1:]])
        if not self.converged:
            return Effect(*[math.nan] * 6)
        estimate = float(vector @ self.effects)
        error = math.sqrt(float(vector @ self.covariance @ vector))
        half = float(stats.t.ppf(0.975, self.df)) * error
        t = estimate / error if error > 0 else math.nan
        p, greater = 2 * float(stats.t.sf(abs(t), self.df)), float(stats.t.sf(t, self.df))
        return Effect(estimate, error, estimate - half, estimate + half, p, greater)


def fit_mixed(grids: Sequence[DiceGrid]) -> MixedModel:
    """Fit Dice ~ strategy + budget + (1 | case) + (1 | seed) + (1 | chain) by REML.

    Dice is the mean over a case's classes; budget is a category, one a study and round, so that no shape of the curve
    is assumed; cases, seeds and chains are those of their study. The chain (one strategy on one seed) is needed: all
    that a chain's cases and rounds share would otherwise count as that many confirmations. The first round, which all
    strategies share, is left out where there are others. What differs between cases in how a strategy helps them is
    not modelled: `crossed_test` is.

    Parameters
    ----------
    grids
        Studies to model together; only strategies that all of them have are used.
    """
    common = [name for name in grids[0].strategies if all(name in grid.strategies for grid in grids)]
    strategies = tuple(sorted(common, key=lambda name: (name != REFERENCE, common.index(name))))
    n_seeds = min(len(grid.seeds) for grid in grids)
    n_cases = sum(len(grid.cases) for grid in grids)
    if len(strategies) < 2:
        return _no_fit(strategies, n_seeds, n_cases, "fewer than 2 strategies in all studies")
    if n_seeds < MIN_SEEDS:
        return _no_fit(strategies, n_seeds, n_cases, f"fewer than {MIN_SEEDS} seeds")
    dice, factors, rounds = _rows(grids, strategies)
    fixed = np.column_stack([_dummies(factors["budget"]), _dummies(factors["strategy"], len(strategies))[:, 1:]])
    names = ["case", "seed", "chain"]
    mats = [_dummies(factors[name]) for name in names]
    labels = [[[str(level) for level in range(mat.shape[1])]] for mat in mats]
    model = MixedLM(dice, fixed, np.ones(dice.size), exog_vc=VCSpec(names, labels, [[mat] for mat in mats]))
    # Powell first: with a variance near 0, L-BFGS stops early and says that it has converged. One thread: the matrices
    # are small, and threads that wait for each other take longer.
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        warnings.simplefilter("always")
        fit = model.fit(reml=True, method=["powell", "bfgs"])
    n_effects = len(strategies) - 1
    covariance = np.asarray(fit.cov_params())[: fixed.shape[1], : fixed.shape[1]][-n_effects:, -n_effects:]
    sound = bool(np.isfinite(covariance).all() and (np.diag(covariance) > 0).all())
    remarks = sorted({str(warning.message).split(".")[0].split("\n")[0] for warning in caught})
    return MixedModel(
        strategies=strategies,
        effects=np.asarray(fit.fe_params)[-n_effects:],
        covariance=covariance,
        df=sum((len(strategies) - 1) * (len(grid.seeds) - 1) for grid in grids),
        deviations=dict(zip([*names, "rest"], np.sqrt([*fit.vcomp, fit.scale]).tolist(), strict=True)),
        n_rows=int(dice.size),
        n_seeds=n_seeds,
        n_cases=n_cases,
        rounds=rounds,
        converged=bool(fit.converged) and sound,
        note="; ".join(remarks),
    )


def _no_fit(strategies: tuple[str, ...], n_seeds: int, n_cases: int, why: str) -> MixedModel:
    n = max(0, len(strategies) - 1)
    return MixedModel(
        strategies, np.full(n, np.nan), np.full((n, n), np.nan), 0, {}, 0, n_seeds, n_cases, (), False, why
    )


def _rows(
    grids: Sequence[DiceGrid], strategies: Sequence[str]
) -> tuple[Values, dict[str, NDArray[np.int64]], tuple[int, ...]]:
    """Dice of every run and case, with the level of each factor; and the rounds of the first study that are used."""
    room = MAX_ROWS // len(grids)
    dice, factors = [], []
    first: tuple[int, ...] = ()
    offset = np.zeros(4, dtype=np.int64)
    for grid in grids:
        rows = [grid.strategies.index(name) for name in strategies]
        later = np.arange(min(1, len(grid.rounds) - 1), len(grid.rounds))
        n_kept = min(len(later), max(1, room // (len(rows) * len(grid.seeds) * len(grid.cases))))
        # the last round is always there
        kept = later[::-1][np.linspace(0, len(later) - 1, n_kept).round().astype(int)][::-1]
        first = first or tuple(grid.rounds[i] for i in kept)
        values = nan_mean(grid.dice[rows][:, :, kept], 4)
        strategy, seed, number, case = np.indices(values.shape)
        levels = np.stack([case, seed, strategy * len(grid.seeds) + seed, number]).reshape(4, -1) + offset[:, None]
        dice.append(values.ravel())
        factors.append(np.vstack([levels, strategy.reshape(1, -1)]))
        offset = levels.max(axis=1) + 1
    joined, levels = np.concatenate(dice), np.concatenate(factors, axis=1)
    present = ~np.isnan(joined)
    names = ["case", "seed", "chain", "budget", "strategy"]
    return joined[present], dict(zip(names, levels[:, present], strict=True)), first


def _dummies(levels: NDArray[np.int64], n: int | None = None) -> Values:
    """One column a level that occurs, or one for each of `n`; float64 (rows, levels)."""
    own = levels if n else np.unique(levels, return_inverse=True)[1]
    return np.eye(n or int(own.max()) + 1)[own]
