"""Which classes the annotated units hold."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import cast

import pandas as pd

from albench.report.palette import order
from albench.results.layout import CEILING
from albench.results.tables import STUDY_KEYS

_MEANS = ["units", "unit_share", "voxels", "pool_share"]
COLUMNS = [*STUDY_KEYS, "strategy", "n_seeds", "label", "label_name", *_MEANS]


def class_coverage(
    queries: pd.DataFrame, pools: Mapping[tuple[str, str, int], pd.DataFrame], results: pd.DataFrame
) -> pd.DataFrame:
    """Annotated units and voxels of every foreground class, start included, the ceiling left out.

    Parameters
    ----------
    pools
        By data set, protocol and seed: one row a unit, with case, index and ``n_voxels_<label>``. Seeds without one
        are left out.
    results
        Names the labels.

    Returns
    -------
    DataFrame
        dataset, protocol, strategy, n_seeds, label, label_name, and as means over seeds: units (annotated ones that
        hold the class), unit_share (of all annotated ones), voxels, pool_share (of the class's voxels in the pool).
    """
    names = results[[*STUDY_KEYS, "label", "label_name"]].drop_duplicates([*STUDY_KEYS, "label"])
    rows: list[dict[Hashable, object]] = []
    chosen = queries[queries["strategy"] != CEILING]
    for run, own in chosen.groupby([*STUDY_KEYS, "strategy", "seed"]):
        dataset, protocol, strategy, seed = cast(tuple[str, str, str, int], run)
        pool = pools.get((dataset, protocol, seed))
        if pool is None:
            continue
        annotated = own[["case", "index"]].merge(pool, on=["case", "index"], how="left", validate="many_to_one")
        in_study = names[(names["dataset"] == dataset) & (names["protocol"] == protocol) & (names["label"] > 0)]
        for label, name in zip(in_study["label"], in_study["label_name"], strict=True):
            column = f"n_voxels_{label}"
            if column not in pool:
                continue
            total = pool[column].sum()
            held, voxels = int((annotated[column] > 0).sum()), int(annotated[column].sum())
            key: dict[Hashable, object] = {"dataset": dataset, "protocol": protocol, "strategy": strategy}
            key |= {"seed": seed, "label": label, "label_name": name}
            share = voxels / total if total > 0 else float("nan")
            rows.append({**key, "units": held, "unit_share": held / len(own), "voxels": voxels, "pool_share": share})
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.DataFrame(rows).groupby([*STUDY_KEYS, "strategy", "label", "label_name"], as_index=False)
    means = table[_MEANS].mean().assign(n_seeds=table["seed"].nunique()["seed"])
    rank = {name: number for number, name in enumerate(order(list(means["strategy"])))}
    means = means.assign(_rank=means["strategy"].map(rank)).sort_values([*STUDY_KEYS, "_rank", "label"])
    return means.reset_index(drop=True)[COLUMNS]
