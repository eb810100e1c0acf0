"""Upper bounds on the best value of facility location, by Lagrangian relaxation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from albench_core.candidates import Goal

_MOST_STEPS = 150
_PATIENCE = 5  # steps without progress after which they get shorter
_SHORTER = 0.7
_ENOUGH = 1e-6  # of the value


def multipliers(
    S: NDArray[np.float32],
    chosen: NDArray[np.float32],
    goal: Goal,
    covered: NDArray[np.float64] | None,
    value: float,
) -> NDArray[np.float64]:
    """Find what each query may count as covered with, at which the bound on the best value is low.

    For any l >= c, c what is covered from the start, f(A) <= sum_q w_q (l_q - c_q) + sum_{a in A} g(a), where g(a) is
    the gain of a alone with l covered. So the first sum and the `budget` largest g of all rows bound what any set has:
    the dual of the linear program of facility location (Cornuejols, Fisher, Nemhauser, Management Science 1977).
    Subgradient steps of Polyak's length lower that bound over the rows of S; it holds for any l, if less tightly, over
    all others.

    Parameters
    ----------
    S
        (n, q) similarities of rows that are likely to be among the best.
    chosen
        (budget, q) similarities of a good choice, from whose best and second best for each query steps begin.
    covered
        c >= 0, (q,).
    value
        Of the choice.

    Returns
    -------
    l (q,) as float32 holds it.
    """
    q = S.shape[1]
    start = np.zeros(q) if covered is None else covered
    weights = np.ones(q) if goal.weights is None else goal.weights
    highest = np.maximum(S.max(axis=0).astype(np.float64), start)
    two = np.sort(np.vstack([start, start, chosen]), axis=0)[-2:]
    here = best = np.asarray(two.mean(axis=0).astype(np.float32), np.float64)
    lowest, length, waited = np.inf, 1.0, 0
    for _ in range(_MOST_STEPS):
        gains = goal.given(S, here).gains(n_threads=goal.n_threads)
        top = np.argsort(-gains, kind="stable")[: chosen.shape[0]]
        found = outlay(here, start, weights) + gains[top].sum()
        waited += 1
        if found < lowest:
            waited = 0 if found < lowest * (1 - _ENOUGH) else waited
            lowest, best = found, here
        slope = 1.0 - np.count_nonzero(S[top] > here, axis=0)
        steepness = float(slope @ slope)
        if steepness == 0.0 or lowest <= value * (1 + _ENOUGH):
            break
        if waited == _PATIENCE:
            length, waited, here = length * _SHORTER, 0, best
            continue
        step = length * (found - value) / steepness * slope / weights
        here = np.clip(here - step, start, highest).astype(np.float32).astype(np.float64)
    return best


def outlay(
    multipliers: NDArray[np.float64], covered: NDArray[np.float64] | None, weights: NDArray[np.float64] | None
) -> float:
    """Sum_q w_q (l_q - c_q): what the bound has whatever the rows."""
    more = multipliers if covered is None else multipliers - covered
    return float(more.sum() if weights is None else weights @ more)


def largest_gains(
    X: NDArray[np.generic], goal: Goal, covered: NDArray[np.float64], budget: int, block_bytes: int = 2**22
) -> NDArray[np.float64]:
    """Gains of rows X (n, d) alone, of which at most the `budget` largest; similarities are made block by block."""
    rows = max(1, block_bytes // (4 * covered.size))
    gains = [
        goal.given(goal.similarity(X[at : at + rows]), covered).gains(n_threads=goal.n_threads)
        for at in range(0, X.shape[0], rows)
    ]
    return np.sort(np.concatenate(gains))[-budget:]
