"""What the queried batches hold, against the pool: slices are not equal work."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import cast

import pandas as pd

from albench.report.coverage import chosen_units
from albench.report.palette import order
from albench.results.tables import STUDY_KEYS

MEANS = ["units", "fg_share", "pool_fg_share", "fg_ratio", "empty_share", "pool_empty_share"]
COLUMNS = [*STUDY_KEYS, "strategy", "round", "n_seeds", *MEANS]


def batch_table(queries: pd.DataFrame, pools: Mapping[tuple[str, str, int], pd.DataFrame]) -> pd.DataFrame:
    """Foreground and empty units of every query, the shared start and the ceiling left out.

    Counted with the oracle's labels once all is done, by which no strategy chose. Units without a label, in data whose
    labels are partial, count for nothing; queries of such units alone are left out.

    Parameters
    ----------
    pools
        By data set, protocol and seed: one row a unit, with case, index and ``n_voxels_<label>``. Seeds without one
        are left out.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, round, n_seeds, and as means over seeds: units; fg_share, the share of foreground
        among the batch's voxels, pool_fg_share that of the whole pool, fg_ratio one over the other (NaN in a pool
        without foreground); empty_share and pool_empty_share, of units without foreground.
    """
    rows: list[dict[Hashable, object]] = []
    for run, own in chosen_units(queries).groupby([*STUDY_KEYS, "strategy", "seed", "round"]):
        dataset, protocol, strategy, seed, number = cast(tuple[str, str, str, int, int], run)
        pool = pools.get((dataset, protocol, seed))
        if pool is None:
            continue
        batch = own[["case", "index"]].merge(pool, on=["case", "index"], how="left", validate="many_to_one")
        if not _is_labelled(batch).any():
            continue
        share, empty = _shares(batch)
        of_pool, pool_empty = _shares(pool)
        key: dict[Hashable, object] = {"dataset": dataset, "protocol": protocol, "strategy": strategy, "round": number}
        ratio = share / of_pool if of_pool > 0 else float("nan")
        numbers = (len(own), share, of_pool, ratio, empty, pool_empty)
        rows.append({**key, **dict(zip(MEANS, numbers, strict=True))})
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.DataFrame(rows).groupby([*STUDY_KEYS, "strategy", "round"])
    means = table[MEANS].mean().assign(n_seeds=table.size()).reset_index()
    rank = {name: place for place, name in enumerate(order(list(means["strategy"])))}
    means = means.assign(_rank=means["strategy"].map(rank)).sort_values([*STUDY_KEYS, "_rank", "round"])
    return means.reset_index(drop=True)[COLUMNS]


def _counts(units: pd.DataFrame) -> pd.DataFrame:
    return units[[name for name in units if str(name).startswith("n_voxels_")]]


def _is_labelled(units: pd.DataFrame) -> pd.Series[bool]:
    """Whether any voxel of each unit has a class."""
    return _counts(units).sum(axis=1) > 0


def _shares(units: pd.DataFrame) -> tuple[float, float]:
    """Share of foreground among the voxels, and of units without any."""
    counts = _counts(units)[_is_labelled(units)]
    foreground = counts.drop(columns="n_voxels_0").sum(axis=1)
    return float(foreground.sum() / counts.to_numpy().sum()), float((foreground == 0).mean())
