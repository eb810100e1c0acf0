"""Which cases and slices the strategies annotated, from the queries they left."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import pandas as pd

from albench.report.palette import order
from albench.results.layout import CEILING
from albench.results.tables import STUDY_KEYS


@dataclass(frozen=True)
class Annotated:
    """Units one strategy had annotated with one seed: ``(case, "3, 9, 12")`` by case."""

    strategy: str
    seed: int
    n_units: int
    cases: list[tuple[str, str]]


def coverage_table(queries: pd.DataFrame) -> pd.DataFrame:
    """Spread of the annotated units over cases, start included.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, n_seeds, and as means over seeds: units, cases (touched), pool_cases,
        case_share (touched, of pool_cases), most_units_in_a_case. Where the ceiling left no query to
        count the pool's cases by, pool_cases are those that any strategy touched with that seed.
    """
    rows: list[dict[Hashable, object]] = []
    for study, of_study in queries.groupby(STUDY_KEYS):
        of_pool = of_study[of_study["strategy"] == CEILING].groupby("seed")["case"].nunique()
        pool_cases = of_pool.combine_first(of_study.groupby("seed")["case"].nunique())
        for strategy in order([name for name in of_study["strategy"] if name != CEILING]):
            own = of_study[of_study["strategy"] == strategy]
            by_seed = own.groupby("seed")
            cases = by_seed["case"].nunique()
            pool = pool_cases.reindex(cases.index)
            rows.append(
                {
                    **dict(zip(STUDY_KEYS, study, strict=True)),
                    "strategy": strategy,
                    "n_seeds": len(cases),
                    "units": by_seed.size().mean(),
                    "cases": cases.mean(),
                    "pool_cases": pool.mean(),
                    "case_share": (cases / pool).mean(),
                    "most_units_in_a_case": own.groupby(["seed", "case"]).size().groupby("seed").max().mean(),
                }
            )
    columns = [*STUDY_KEYS, "strategy", "n_seeds", "units", "cases", "pool_cases", "case_share"]
    return pd.DataFrame(rows, columns=[*columns, "most_units_in_a_case"])


def chosen_units(queries: pd.DataFrame) -> pd.DataFrame:
    """Units that strategies chose: without the shared start (round 0) and without the ceiling."""
    return queries[(queries["round"] > 0) & (queries["strategy"] != CEILING)]


def annotated_units(queries: pd.DataFrame) -> list[Annotated]:
    """All units of each strategy and seed of one study, start included, ceiling left out."""
    annotated = []
    for strategy in order([name for name in queries["strategy"] if name != CEILING]):
        for seed, own in queries[queries["strategy"] == strategy].groupby("seed"):
            cases = [
                (str(case), ", ".join(map(str, sorted(indices)))) for case, indices in own.groupby("case")["index"]
            ]
            annotated.append(Annotated(strategy, int(str(seed)), len(own), cases))
    return annotated
