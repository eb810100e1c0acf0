"""Every strategy against every other at the last round, as data and as the matrix that a page shows."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass

import pandas as pd

from albench.report.palette import order
from albench.report.texts import NONE as DASH
from albench.report.texts import interval_text
from albench.results import CEILING, REFERENCE, STUDY_KEYS
from albench.seeding import generator
from albench.stats import paired_difference

COLUMNS = [*STUDY_KEYS, "strategy", "against", "diff", "low", "high", "n_cases", "n_seeds", "n_pairs"]
LOWER, HIGHER, OPEN, NONE = "lower", "higher", "open", "none"


@dataclass(frozen=True)
class Square:
    """One comparison as shown: the mean difference, its interval, and which of the kinds above it is."""

    text: str
    interval: str
    kind: str
    share: float
    """Size of the difference against the largest of the matrix, 0 to 1."""


def pairwise_table(results: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice differences of all ordered pairs of strategies at the last round, the ceiling left out.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, against, diff (strategy minus against), low and high (95 % bootstrap over cases,
        see :func:`albench.stats.paired_difference`), n_cases, n_seeds, n_pairs. Not corrected for the number of pairs.
    """
    rows: list[dict[Hashable, object]] = []
    for study, own in results.groupby(STUDY_KEYS):
        names = order([name for name in own["strategy"] if name != CEILING])
        for first, second in itertools.combinations(names, 2):
            one, other = (second, first) if first == REFERENCE else (first, second)
            # against the reference: the interval of the summary table, to the last digit
            component = (one, "diff") if other == REFERENCE else (one, other, "pair")
            pair = paired_difference(own, one, generator(*map(str, study), *component), reference=other)
            counts: dict[Hashable, object] = {"n_cases": pair.n_cases, "n_seeds": pair.n_seeds, "n_pairs": pair.n_pairs}
            key: dict[Hashable, object] = dict(zip(STUDY_KEYS, study, strict=True))
            there: dict[Hashable, object] = {"diff": pair.mean, "low": pair.low, "high": pair.high}
            back: dict[Hashable, object] = {"diff": -pair.mean, "low": -pair.high, "high": -pair.low}
            rows.append({**key, "strategy": one, "against": other, **there, **counts})
            rows.append({**key, "strategy": other, "against": one, **back, **counts})
    return pd.DataFrame(rows, columns=COLUMNS)


def matrix(pairs: pd.DataFrame) -> tuple[list[str], list[list[Square | None]]]:
    """Strategies of one study's pairs, and a row of squares for each: it against each of them, None against itself."""
    names = order(list(pairs["strategy"]))
    found = {(row["strategy"], row["against"]): row for _, row in pairs.iterrows()}
    largest = float(pairs["diff"].abs().max()) or 1.0
    return names, [[_square(found.get((name, other)), largest) for other in names] for name in names]


def _square(row: pd.Series | None, largest: float) -> Square | None:
    if row is None:
        return None
    if pd.isna(row["diff"]):
        return Square(DASH, "", NONE, 0.0)
    share = abs(float(row["diff"])) / largest
    text, bracket, ends = interval_text(row["diff"], row["low"], row["high"], sign=True).partition(" [")
    kind = HIGHER if row["low"] > 0 else LOWER if row["high"] < 0 else OPEN
    return Square(text, f"[{ends}" if bracket else "", kind, round(share, 2))
