"""Costs by the minutes of a ledger: whose units, which of their rows, and how many slices a patch has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from albench.annotation.ledger import Entry
from albench.annotation.measured_cost import measured_costs
from albench.results.query import QueriedUnit
from tests.support.annotation_project import QUERY, make_project


def entry(rank: int, minutes: float | None, **changes: Any) -> Entry:
    texts = {"imported": "", "case": "a", "role": "strategy", "place": f"slice {rank} along k", "comment": ""}
    said = {"query": QUERY, "annotator": "anna", "state": "done", **texts, **changes}
    return Entry(rank=rank, minutes=minutes, **said)  # type: ignore[arg-type]


def seconds(cost: Any) -> list[float]:
    return [part.seconds for part in cost.fitted.costs.values()]


def test_which_rows_count() -> None:
    rows = [
        entry(1, 9.0),
        entry(1, 0.5),  # the last one holds
        entry(2, 1.0, foreground=3000),
        entry(3, None),
        entry(4, 0.0),
        entry(5, 3.0, state="partial"),
        entry(6, 3.0, state="skip"),
        entry(0, 0.5, role="extra"),
    ]
    (cost,) = measured_costs(rows, [])
    assert cost.annotator == "" and cost.fitted.n_units == 3
    assert seconds(cost) == pytest.approx([30, 0.01, 0])
    assert cost.setting == "annotation_cost: {slice_s: 30, foreground_voxel_s: 0.01, border_voxel_s: 0}"
    assert str(cost.lacking).startswith("3 timed units, of 30 that are needed: ten for each of three costs")
    assert measured_costs([entry(1, None)], []) == []


def test_each_annotator() -> None:
    rows = [entry(rank, 0.99 + 0.01 * (rank % 3)) for rank in range(1, 31)]
    rows += [entry(rank, 2.0, annotator="ben") for rank in range(31, 61)]
    every, anna, ben = measured_costs(rows, [])
    assert [each.annotator for each in (every, anna, ben)] == ["", "anna", "ben"]
    assert [seconds(each)[0] for each in (every, anna, ben)] == pytest.approx([90, 60, 120])
    assert every.lacking is anna.lacking is None and anna.as_json()["is_enough"]
    assert anna.as_json()["intervals"]["slice_s"] == pytest.approx([60, 60], abs=0.3)
    assert ben.lacking == "30 units with 1 different time: shared out by --minutes rather than measured"
    assert not ben.as_json()["is_enough"]


def test_patches_have_slices(tmp_path: Path) -> None:
    def unit(case: str, index: int) -> QueriedUnit:
        return QueriedUnit(case=case, index=index, start=(0, 0, 0), stop=(4, 6, 7))

    query = make_project(tmp_path, {"a": [0]}, units=unit).query
    (cost,) = measured_costs([entry(1, 2.0, place="patch 1:7, 1:6, 1:4")], [query])
    assert seconds(cost) == pytest.approx([30, 0, 0])  # four slices along its shortest edge


def test_the_setting_is_one(tmp_path: Path) -> None:
    import yaml

    from albench.config import CostSettings

    (cost,) = measured_costs([entry(1, 0.5), entry(2, 1.0, foreground=3333, border=17)], [])
    read = CostSettings.model_validate(yaml.safe_load(cost.setting)["annotation_cost"])
    assert read.slice_s == pytest.approx(30, rel=0.01)
