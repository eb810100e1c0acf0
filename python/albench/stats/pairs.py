"""All strategies against each other, in pairs that agree in seed, case and round: what every verdict rests on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from albench.results.layout import CEILING
from albench.results.tables import REFERENCE, STUDY_KEYS
from albench.stats.crossed import crossed_test, seed_spread
from albench.stats.grid import ENDPOINTS, DiceGrid, Endpoint, dice_grid
from albench.stats.power import detectable_difference

ALPHA = 0.05
PRIMARY: Endpoint = "aubc"
"""What verdicts are about, fixed beforehand: the paper's and nnActive's summary of a curve."""

Verdict = Literal["better", "worse", "no evidence", "not tested"]


@dataclass(frozen=True)
class Pair:
    """One strategy against another: a row of the pair table, seen from either side.

    Attributes
    ----------
    mean, low, high
        Difference with its 95 % interval, which is that of this pair alone.
    p, p_holm
        Two-sided, of the crossed test; alone and corrected for all pairs of the study.
    detectable
        Smallest difference that so many seeds find with 80 % power, at the spread that the pair has over them
        (`albench.stats.power`): what "no evidence" leaves open.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    n_seeds: int
    n_cases: int
    n_pairs: int
    n_unpaired: int
    detectable: float

    @property
    def verdict(self) -> Verdict:
        """Whether the corrected test tells the two apart, and which is better."""
        if np.isnan(self.p_holm):
            return "not tested"
        if self.p_holm >= ALPHA:
            return "no evidence"
        return "better" if self.mean > 0 else "worse"

    def reversed(self) -> Pair:
        """Seen from the other strategy."""
        about = asdict(self) | {"mean": -self.mean, "low": -self.high, "high": -self.low}
        return Pair(**about)


def pair_table(grid: DiceGrid) -> pd.DataFrame:
    """Test every pair of strategies, once for the area of the curves and once for the last round.

    Returns
    -------
    DataFrame
        One row per endpoint and pair: endpoint, strategy, reference; mean (strategy minus reference), low, high,
        p_two_sided, n_seeds, n_cases, n_pairs, n_unpaired of `crossed_test`; sd_seeds, the standard deviation over
        seeds, and detectable; p_two_sided_holm, corrected over the pairs of the endpoint; and the verdict, for the
        endpoint `PRIMARY` alone.
    """
    # against the reference where it takes part
    names = sorted(grid.strategies, key=lambda name: name == REFERENCE)
    tables = []
    for endpoint in ENDPOINTS:
        rows: list[dict[str, Any]] = []
        for one, other in itertools.combinations(names, 2):
            difference = grid.contrast({one: 1.0, other: -1.0}, endpoint)
            result, sd = crossed_test(difference), seed_spread(difference)
            spread = {"sd_seeds": sd, "detectable": detectable_difference(result.n_seeds, sd)}
            rows.append({"endpoint": endpoint, "strategy": one, "reference": other, **asdict(result), **spread})
        table = pd.DataFrame(rows).rename(columns={"p": "p_two_sided"})
        if rows:
            table["p_two_sided_holm"] = holm(table["p_two_sided"].to_numpy())
            pairs = [_pair(row) for _, row in table.iterrows()]
            table["verdict"] = [pair.verdict if endpoint == PRIMARY else "" for pair in pairs]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def pair_tables(results: pd.DataFrame) -> pd.DataFrame:
    """Pair table of each data set and protocol, with both as columns."""
    curves = results[results["strategy"] != CEILING]
    tables = []
    for (dataset, protocol), own in curves.groupby(STUDY_KEYS):
        table = pair_table(dice_grid(own))
        if len(table):
            tables.append(pd.DataFrame({"dataset": dataset, "protocol": protocol, **table}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*STUDY_KEYS, "endpoint"])


def pairs_of(table: pd.DataFrame, endpoint: Endpoint = PRIMARY) -> Mapping[tuple[str, str], Pair]:
    """Pairs of one study's table by (strategy, the one it is compared with), each in both directions."""
    pairs = {}
    for _, row in table[table["endpoint"] == endpoint].iterrows():
        pair = _pair(row)
        pairs[row["strategy"], row["reference"]] = pair
        pairs[row["reference"], row["strategy"]] = pair.reversed()
    return pairs


def _pair(row: pd.Series[Any]) -> Pair:
    n_seeds, n_cases, n_pairs, n_unpaired = (int(row[f"n_{of}"]) for of in ("seeds", "cases", "pairs", "unpaired"))
    return Pair(
        mean=row["mean"],
        low=row["low"],
        high=row["high"],
        p=row["p_two_sided"],
        p_holm=row["p_two_sided_holm"],
        n_seeds=n_seeds,
        n_cases=n_cases,
        n_pairs=n_pairs,
        n_unpaired=n_unpaired,
        detectable=row["detectable"],
    )


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's correction over the values that are not NaN (Scand J Stat 1979)."""
    corrected = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected
