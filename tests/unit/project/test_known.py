"""What was asked, skipped or excluded is not asked again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from albench.errors import InputError
from albench.project.known import Exclusions, read_exclusions, require_cases, without
from albench.results.query import QueriedUnit, Query
from albench.units.pool import Pool, Unit, patch_grid, slice_boxes

CASES = ("a", "b")


def slices() -> Pool:
    starts, stops = slice_boxes((4, 5, 6), 0, 0, 4)
    units = tuple(Unit(case, index) for case in CASES for index in range(4))
    zero = np.zeros((8, 2), dtype=np.int64)
    return Pool(units, dict.fromkeys(CASES, 0), zero, zero, np.tile(starts, (2, 1)), np.tile(stops, (2, 1)))


def patches() -> Pool:
    starts, stops = patch_grid([(0, 8), (0, 8), (0, 8)], (4, 8, 8), "overlapping")
    units = tuple(Unit("a", index) for index in range(len(starts)))
    zero = np.zeros((len(starts), 2), dtype=np.int64)
    return Pool(units, {}, zero, zero, starts, stops, zero, zero)


def query(units: tuple[QueriedUnit, ...]) -> Query:
    return Query(dataset="d", strategy="random", seed=0, round=1, units=units)


def test_slices_are_told_by_case_axis_and_index() -> None:
    asked = (QueriedUnit(case="a", index=1, axis=0), QueriedUnit(case="b", index=2, axis=1))
    left = without(slices(), slices().units, Exclusions(asked, frozenset()))
    assert set(slices().units) - set(left) == {Unit("a", 1)}


def test_patches_that_share_a_voxel_are_not_asked() -> None:
    pool = patches()
    asked = QueriedUnit(case="a", index=0, start=(0, 0, 0), stop=(4, 8, 8))
    assert [unit.index for unit in without(pool, pool.units, Exclusions((asked,), frozenset()))] == [2]


def test_cases_and_files_of_queries(tmp_path: Path) -> None:
    pool = slices()
    query((QueriedUnit(case="a", index=0, axis=0),)).write(tmp_path / "q" / "query.json")
    (tmp_path / "t.csv").write_text("case,file_axis,file_index\na,k,3\nb,j,1\n")
    given = read_exclusions([str(tmp_path / "q"), str(tmp_path / "t.csv"), "b"])
    assert [unit.index for unit in without(pool, pool.units, given)] == [1, 2]
    again = read_exclusions([str(tmp_path / "q" / "query.json")])
    assert len(without(pool, pool.units, again)) == 7


def test_what_excludes_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("case,where\na,3\n")
    for text in (str(tmp_path / "t.csv"), "nobody", str(tmp_path)):
        with pytest.raises(InputError, match=r"--exclude|expected a query's table"):
            require_cases(read_exclusions([text]), CASES)
