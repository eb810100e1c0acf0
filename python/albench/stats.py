"""Scores of a learning curve, and how far apart two strategies are, with few seeds in mind.

Nothing here invents spread: what rests on one seed has no interval, and a curve with a missing round has no
area. Functions that draw random numbers take their generator: a report is the same each time it is built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from albench.results import CEILING, REFERENCE, STUDY_KEYS

N_RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; both ends are NaN where ``n`` is too small for one."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """Mean Dice difference, strategy minus reference, over pairs equal in seed, case and class.

    ``n_unpaired`` counts rows left out because one side is missing or NaN (the class is absent from the
    reference and from one of the two predictions).
    """

    mean: float
    low: float
    high: float
    n_cases: int
    n_seeds: int
    n_pairs: int
    n_unpaired: int


def aubc(dice: npt.ArrayLike) -> float:
    """Area under a budget curve: trapezoid at equal spacing, normalised: a constant gives itself.

    Parameters
    ----------
    dice
        Mean Dice of the rounds in order, shape (rounds,). Fewer than two, or a NaN among them, give NaN.
    """
    y = np.asarray(dice, dtype=np.float64)
    if y.ndim != 1:
        raise ValueError(f"dice: expected shape (rounds,), got {y.shape}")
    if y.size < 2:
        return float("nan")
    return float((y[0] / 2 + y[1:-1].sum() + y[-1] / 2) / (y.size - 1))


def curve_scores(curves: pd.DataFrame) -> pd.DataFrame:
    """AUBC and final Dice of every strategy and seed.

    Parameters
    ----------
    curves
        Output of :func:`albench.results.mean_dice`.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, seed, aubc, final_dice. A seed that lacks a round which others
        of its data set and protocol have (a study still running) has NaN: the area of a shorter
        curve compares with nothing. The ceiling has a final Dice and no area.
    """
    rows = []
    for study, of_study in curves.groupby(STUDY_KEYS):
        rounds = np.sort(of_study.loc[of_study["strategy"] != CEILING, "round"].unique())
        for (strategy, seed), curve in of_study.groupby(["strategy", "seed"]):
            if strategy == CEILING:
                area, final = float("nan"), float(curve.sort_values("round")["dice"].iloc[-1])
            else:
                y = curve.set_index("round")["dice"].reindex(rounds).to_numpy()
                area, final = aubc(y), float(y[-1])
            rows.append((*study, strategy, seed, area, final))
    return pd.DataFrame(rows, columns=[*STUDY_KEYS, "strategy", "seed", "aubc", "final_dice"])


def bootstrap_mean(
    values: npt.ArrayLike, rng: np.random.Generator, level: float = 0.95, n_resamples: int = N_RESAMPLES
) -> Interval:
    """Average the values that are not NaN, with a percentile bootstrap interval where n is at least 2.

    With a handful of values the interval is too narrow (it cannot leave their range): say so beside it.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[~np.isnan(x)]
    nan = float("nan")
    if x.size == 0:
        return Interval(nan, nan, nan, 0)
    if x.size == 1:
        return Interval(float(x[0]), nan, nan, 1)
    means = x[rng.integers(x.size, size=(n_resamples, x.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(x.mean()), float(low), float(high), int(x.size))


def share_of_ceiling(final: pd.Series, ceiling: pd.Series) -> float:
    """Mean final Dice as a share of the ceiling's, over the seeds that have both.

    Parameters
    ----------
    final, ceiling
        Final Dice by seed (the index).
    """
    both = pd.concat([final.rename("final"), ceiling.rename("ceiling")], axis=1, join="inner").dropna()
    if both.empty or both["ceiling"].mean() == 0:
        return float("nan")
    return float(both["final"].mean() / both["ceiling"].mean())


def paired_difference(
    results: pd.DataFrame,
    strategy: str,
    rng: np.random.Generator,
    *,
    reference: str = REFERENCE,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> PairedDifference:
    """Compare a strategy with the reference at the last round, case by case.

    Pairs agree in seed, case and class. They are averaged over seeds, then over cases, then over
    classes, as the mean Dice is: without NaN, and with the same cases in every seed, the result is
    the difference of the two means. The interval resamples cases: it says how far the finding holds
    for other cases, not for other seeds.

    Parameters
    ----------
    results
        Rows of one data set and protocol.
    """
    curves = results[results["strategy"] != CEILING]
    last = curves[curves["round"] == curves["round"].max()]
    pair_keys = ["seed", "case", "label"]
    ours, theirs = (
        last.loc[(last["strategy"] == name) & (last["label"] > 0)].set_index(pair_keys)["dice"]
        for name in (strategy, reference)
    )
    joined = pd.concat([ours.rename("ours"), theirs.rename("theirs")], axis=1)
    pairs = joined.dropna()
    # NaN on both sides is agreement that there is nothing to find, no pair lost
    n_unpaired = int(joined.isna().sum(axis=1).eq(1).sum())
    nan = float("nan")
    if pairs.empty:
        return PairedDifference(nan, nan, nan, 0, 0, 0, n_unpaired)
    difference = (pairs["ours"] - pairs["theirs"]).rename("dice").reset_index()
    matrix = difference.pivot_table(index="case", columns="label", values="dice").to_numpy(dtype=np.float64)
    n_cases = matrix.shape[0]
    mean = float(_class_mean(np.ones((1, n_cases)), matrix)[0])
    low = high = nan
    if n_cases >= 2:
        draws = rng.multinomial(n_cases, np.full(n_cases, 1 / n_cases), size=n_resamples)
        resampled = _class_mean(draws.astype(np.float64), matrix)
        low, high = (float(q) for q in np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2]))
    seeds = pairs.index.get_level_values("seed").nunique()
    return PairedDifference(mean, low, high, n_cases, int(seeds), len(pairs), n_unpaired)


def _class_mean(weights: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over classes of the weighted mean over cases, NaN left out.

    Weights (draws, cases) and matrix (cases, classes) give (draws,).
    """
    present = ~np.isnan(matrix)
    counts = weights @ present
    sums = weights @ np.where(present, matrix, 0.0)
    # a draw may hold no case of a rare class: that class is then left out, as in the mean Dice
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    n_classes = (counts > 0).sum(axis=1)
    total = means.sum(axis=1)
    mean: npt.NDArray[np.float64] = np.full_like(total, np.nan)
    np.divide(total, n_classes, out=mean, where=n_classes > 0)
    return mean
