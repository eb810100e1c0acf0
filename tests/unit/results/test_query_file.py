"""The file of a query: what is written is read, by older readers too; what is damaged is named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from albench.errors import InputError
from albench.results.query import QueriedUnit, Query
from albench.units.pool import Unit

SLICE = QueriedUnit(case="c1", index=4, axis=2, score=0.25, gain=math.nan)
PATCH = QueriedUnit(case="c2", index=0, start=(0, 1, 2), stop=(3, 4, 5))
QUERY = Query(
    dataset="d", strategy="usim-f+n=2", parameters={"n": 2, "q": "sampled"}, seed=3, round=1, units=(SLICE, PATCH)
)
AS_0_1_WROTE_IT = {
    "dataset": "d",
    "strategy": "usim-f+n=2",
    "parameters": {"n": 2, "q": "sampled"},
    "seed": 3,
    "round": 1,
    "units": [
        {"case": "c1", "index": 4, "axis": 2, "score": 0.25, "gain": None},
        {"case": "c2", "index": 0, "start": [0, 1, 2], "stop": [3, 4, 5], "score": None, "gain": None},
    ],
}


def stored(tmp_path: Path, value: Any) -> Path:
    path = tmp_path / "query.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    QUERY.write(tmp_path / "q.json")
    back = Query.read(tmp_path / "q.json")
    assert back == QUERY
    assert back.chosen == [Unit("c1", 4), Unit("c2", 0)]
    assert [unit.place for unit in back.units] == [{"axis": 2}, {"start": [0, 1, 2], "stop": [3, 4, 5]}]
    assert back.units[0].gain is None, "not a number is no number"


def test_the_keys_are_those_of_version_0_1_a_format_and_a_digest(tmp_path: Path) -> None:
    QUERY.write(tmp_path / "q.json")
    found = json.loads((tmp_path / "q.json").read_text())
    assert {key: found[key] for key in AS_0_1_WROTE_IT} == AS_0_1_WROTE_IT
    assert list(found) == ["format", *AS_0_1_WROTE_IT, "digest"]
    assert [list(unit) for unit in found["units"]] == [list(unit) for unit in AS_0_1_WROTE_IT["units"]]  # type: ignore[attr-defined]


def test_a_file_without_a_format_is_of_the_first(tmp_path: Path) -> None:
    assert Query.read(stored(tmp_path, AS_0_1_WROTE_IT)) == QUERY


def test_what_later_versions_add_is_left_alone(tmp_path: Path) -> None:
    units = [{**AS_0_1_WROTE_IT["units"][0], "minutes": 4}]  # type: ignore[index]
    found = Query.read(stored(tmp_path, AS_0_1_WROTE_IT | {"annotator": "x", "units": units}))
    assert found.units == (SLICE,)


def test_a_changed_digit_is_refused(tmp_path: Path) -> None:
    QUERY.write(tmp_path / "q.json")
    text = (tmp_path / "q.json").read_text()
    (tmp_path / "q.json").write_text(text.replace('"index": 4', '"index": 5'))
    with pytest.raises(InputError, match=r"q\.json: expected the content it was written with"):
        Query.read(tmp_path / "q.json")


@pytest.mark.parametrize("version", [3, 1, "2", None])
def test_other_formats_are_refused_by_name(tmp_path: Path, version: object) -> None:
    path = stored(tmp_path, AS_0_1_WROTE_IT | {"format": version})
    with pytest.raises(InputError) as found:
        Query.read(path)
    assert str(found.value).startswith(f"{path}: expected format 2, found {version!r}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "expected a JSON object, found an unreadable file"),
        ("\ufeff\ufffd", "expected a JSON object, found an unreadable file"),
        ([], "expected a JSON object, found list"),
        ({}, "expected key 'dataset', found none"),
        ({"dataset": "d"}, "expected key 'strategy', found dataset"),
        (AS_0_1_WROTE_IT | {"units": 3}, "expected the units of a query, found units: "),
        (AS_0_1_WROTE_IT | {"units": [{"index": 3}]}, r"expected the units of a query, found units\.0\.case: "),
        (AS_0_1_WROTE_IT | {"units": [{"case": "c", "index": "x"}]}, r"found units\.0\.index: "),
        (AS_0_1_WROTE_IT | {"units": [{"case": "c", "index": 1.5}]}, r"found units\.0\.index: "),
        (AS_0_1_WROTE_IT | {"units": [{"case": "c", "index": 1, "start": [1], "stop": [2]}]}, r"units\.0\.start"),
        (AS_0_1_WROTE_IT | {"units": [{"case": "c", "index": 1, "start": [1, 1, 1]}]}, r"both bounds of a patch"),
        (AS_0_1_WROTE_IT | {"seed": "first"}, "found seed: "),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, value: object, message: str) -> None:
    path = stored(tmp_path, value)
    with pytest.raises(InputError, match=message) as found:
        Query.read(path)
    assert str(found.value).startswith(f"{path}: ")
    assert "\n" not in str(found.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: expected a file written by `al-bench run`, found no such file"):
        Query.read(tmp_path / "none.json")


def test_a_number_that_json_has_no_word_for_is_refused(tmp_path: Path) -> None:
    endless = QueriedUnit(case="c", index=0, axis=0, score=math.inf)
    with pytest.raises(ValueError, match="JSON"):
        QUERY.model_copy(update={"units": (endless,)}).write(tmp_path / "q.json")
    assert list(tmp_path.iterdir()) == []
