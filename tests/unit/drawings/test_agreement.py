"""What two annotators drew of the same units is compared where both are done and have labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albench.annotation.agreement import ClassOverlap
from albench.drawings.agreement import compared_units
from tests.support.annotation_project import IGNORE, make_project
from tests.unit.drawings.test_compose import SLICES, Drawn


def test_compared(tmp_path: Path) -> None:
    drawn = Drawn(make_project(tmp_path, SLICES), "anna", "ben", overlap=2)
    one, other = drawn.assignment.seconds
    shape = drawn.drawings.shape(one)
    first = np.zeros(shape)
    first[:4, :5] = 1
    first[9:, :] = 2
    second = np.zeros(shape)
    second[2:6, :5] = 1
    second[3, 0] = IGNORE
    drawn.draw(one, first)

    def compared() -> list[object]:
        return list(compared_units(drawn.drawings, drawn.first, drawn.assignment))

    assert compared() == []  # one alone
    drawn.draw(one, second, who=drawn.assignment.seconds[one], status="later")
    drawn.draw(other)
    assert compared() == []
    drawn.draw(one, second, who=drawn.assignment.seconds[one])
    (unit,) = compared_units(drawn.drawings, drawn.first, drawn.assignment)
    assert (unit.rank, unit.first, unit.second) == (one, drawn.assignment.owner(one), drawn.assignment.seconds[one])
    assert unit.case == drawn.handed.by_rank[one].case and unit.place.startswith("slice ")
    overlap = unit.classes["organ"]
    assert overlap == ClassOverlap(first=19, second=19, both=9) and overlap.dice == 18 / 38
    assert unit.classes["tumour"] == ClassOverlap(first=60, second=0, both=0)
    drawn.draw(other, who=drawn.assignment.seconds[other])
    assert [each.rank for each in compared_units(drawn.drawings, drawn.first, drawn.assignment)] == [one, other]
