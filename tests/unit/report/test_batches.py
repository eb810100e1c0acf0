"""What batches hold against the pool, on queries that are counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from albench.report.batches import COLUMNS, batch_table


def test_shares_are_those_counted_by_hand() -> None:
    pool = pd.DataFrame(
        [("a", 0, 90, 10, 0), ("a", 1, 100, 0, 0), ("b", 0, 60, 20, 20), ("b", 1, 100, 0, 0)],
        columns=["case", "index", "n_voxels_0", "n_voxels_1", "n_voxels_2"],
    )
    rows = [("s", 0, 0, "a", 0), ("s", 0, 1, "b", 0), ("s", 0, 1, "a", 1), ("full", 0, 1, "a", 0), ("s", 1, 1, "a", 0)]
    queries = pd.DataFrame(rows, columns=["strategy", "seed", "round", "case", "index"])
    queries = queries.assign(dataset="d", protocol="p")
    (row,) = batch_table(queries, {("d", "p", 0): pool}).to_dict("records")
    assert list(row) == COLUMNS
    assert (row["strategy"], row["round"], row["n_seeds"], row["units"]) == ("s", 1, 1, 2)
    assert (row["fg_share"], row["pool_fg_share"]) == (40 / 200, 50 / 400)
    assert row["fg_ratio"] == pytest.approx(1.6)
    assert (row["empty_share"], row["pool_empty_share"]) == (0.5, 0.5)
    assert batch_table(queries, {}).empty


def test_units_without_a_label_count_for_nothing() -> None:
    pool = pd.DataFrame(
        [("a", 0, 90, 10), ("a", 1, 0, 0), ("b", 0, 100, 0), ("b", 1, 0, 0)],
        columns=["case", "index", "n_voxels_0", "n_voxels_1"],
    )
    rows = [("s", 0, 1, "a", 0), ("s", 0, 1, "a", 1), ("s", 0, 2, "b", 1)]
    queries = pd.DataFrame(rows, columns=["strategy", "seed", "round", "case", "index"])
    (row,) = batch_table(queries.assign(dataset="d", protocol="p"), {("d", "p", 0): pool}).to_dict("records")
    assert (row["round"], row["units"]) == (1, 2)
    assert (row["fg_share"], row["pool_fg_share"]) == (0.1, 10 / 200)
    assert (row["empty_share"], row["pool_empty_share"]) == (0.0, 0.5)
