"""The table of two annotators' agreement: there and back, and unit by unit against a count by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.annotation.agreement import (
    ClassOverlap,
    ComparedUnit,
    agreement_bytes,
    pair_agreements,
    read_agreement,
)
from albench.errors import InputError

overlaps = st.tuples(*[st.integers(0, 50)] * 3).map(
    lambda each: ClassOverlap(each[0] + each[2], each[1] + each[2], each[2])
)
names = st.sampled_from(["anna", "=ben", "cy, the 3rd", 'd"e', "é"])
units = st.builds(
    ComparedUnit,
    rank=st.integers(1, 9),
    case=names,
    place=st.just("slice 3 along k"),
    first=names,
    second=names,
    classes=st.dictionaries(names, overlaps, min_size=1),
)
many = st.lists(units, max_size=6, unique_by=lambda unit: unit.rank)


@settings(max_examples=25, deadline=None)
@given(compared=many)
def test_there_and_back(compared: list[ComparedUnit], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("table") / "agreement.csv"
    path.write_bytes(agreement_bytes(compared))
    assert read_agreement(path) == compared
    assert read_agreement(path.with_name("none.csv")) == []


@settings(max_examples=60, deadline=None)
@given(compared=many)
def test_pairs(compared: list[ComparedUnit]) -> None:
    pairs = pair_agreements(compared)
    assert sum(pair.n_units for pair in pairs) == len(compared)
    for pair in pairs:
        own = [unit for unit in compared if sorted((unit.first, unit.second)) == sorted(pair.annotators)]
        for name, dice in pair.dice.items():
            parts = [unit.classes[name] for unit in own if name in unit.classes]
            size = sum(part.first + part.second for part in parts)
            assert (dice is None) == (size == 0) == (pair.intervals[name] is None)
            if dice is not None:
                assert dice == pytest.approx(2 * sum(part.both for part in parts) / size)
                low, high = pair.intervals[name] or (1, 0)
                assert low - 1e-9 <= dice <= high + 1e-9


@pytest.mark.parametrize(
    "text",
    [
        "rank,case\n1,a\n",
        'rank,case,place,first,second,class,first_voxels,second_voxels,both_voxels,dice\n1,a,b,c,d,"e\n',
        "rank,case,place,first,second,class,first_voxels,second_voxels,both_voxels,dice\n1,a,b,c,d,e,3,2,4,1\n",
        "rank,case,place,first,second,class,first_voxels,second_voxels,both_voxels,dice\n1,a,b,c,d,e,x,2,4,1\n",
        "rank,case,place,first,second,class,first_voxels,second_voxels,both_voxels,dice\n1,a\n",
    ],
)
def test_damage_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "agreement.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"agreement\.csv: expected a table of agreement"):
        read_agreement(path)
