"""How far a strategy is from the reference at the last round, on the same cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from albench.results import CEILING, REFERENCE
from albench.stats.bootstrap import N_RESAMPLES
from albench.stats.grid import nan_mean


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
    return nan_mean(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0), 1)
