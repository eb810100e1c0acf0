"""Annotators fill in the query's table with whatever spreadsheet they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from albench.annotation.query_table import query_table
from albench.annotation.status_table import Remark, read_remarks
from albench.errors import InputError
from tests.support.annotation_project import make_project

HEAD = "rank,case,plane,file_axis,file_index,slice,of,score,annotator,role,status,minutes,comment\n"
FIRST = "1,a,axial,k,2,3,9,,,strategy,"
SECOND = "2,a,axial,k,5,6,9,,,strategy,"


def units(tmp_path: Path) -> tuple[object, ...]:
    return make_project(tmp_path / "project", {"a": [2, 5]}).query.units


def read(tmp_path: Path, *contents: str) -> dict[int, Remark]:
    paths = []
    for number, content in enumerate(contents):
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_bytes(content.encode())
    return read_remarks(paths, units(tmp_path))  # type: ignore[arg-type]


def test_as_handed_out_it_says_nothing(tmp_path: Path) -> None:
    query = make_project(tmp_path / "project", {"a": [2, 5]}).query
    path = tmp_path / "query.csv"
    path.write_bytes(query_table(query))
    assert read_remarks([path], query.units) == {}


@pytest.mark.parametrize("change", [str, lambda text: "\ufeff" + text.replace("\n", "\r\n")])
def test_rows(change: object, tmp_path: Path) -> None:
    text = HEAD + FIRST + 'Done ,2.5,"good, a bit ""dark"""\n' + SECOND + "skip,,\n,,,,,,,,,,,,\n"
    assert read(tmp_path, change(text)) == {  # type: ignore[operator]
        1: Remark("done", 2.5, 'good, a bit "dark"'),
        2: Remark("skip"),
    }


def test_other_delimiters(tmp_path: Path) -> None:
    text = (HEAD + FIRST).replace(",", ";") + "later;1,25;\n"
    assert read(tmp_path, text) == {1: Remark("later", 1.25)}
    assert read(tmp_path, text.replace(";", "\t")) == {1: Remark("later", 1.25)}


def test_copies_are_joined(tmp_path: Path) -> None:
    empty = HEAD + FIRST + ",,\n" + SECOND + ",,\n"
    anna, ben = HEAD + FIRST + "done,1,\n" + SECOND + ",,\n", HEAD + FIRST + ",,\n" + SECOND + "done,2,\n"
    assert read(tmp_path, empty, anna, ben, anna) == {1: Remark("done", 1.0), 2: Remark("done", 2.0)}
    with pytest.raises(InputError, match=r"2\.csv: expected the row of rank 1 as in .*1\.csv, found it filled in"):
        read(tmp_path, empty, anna, HEAD + FIRST + "skip,1,\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + FIRST + "finished,,\n", "expected a status of done, skip, later or none at rank 1, found 'finished'"),
        (HEAD + FIRST + "done,soon,\n", "expected minutes at rank 1, a number from 0 on, found 'soon'"),
        (HEAD + FIRST + "done,-1,\n", "found '-1'"),
        (HEAD + FIRST + "done,nan,\n", "found 'nan'"),
        (HEAD + FIRST + "done,1e9,\n", "found '1e9'"),
        (HEAD + FIRST.replace("1,a", "7,a") + "done,,\n", "expected a rank of the query, found '7'"),
        (HEAD + FIRST.replace("1,a", "\u00b2,a") + "done,,\n", "expected a rank of the query"),
        (HEAD + FIRST.replace("k,2", "k,4") + "done,,\n", "expected file_index 2 at rank 1, found '4'"),
        (HEAD.replace("minutes", "time") + FIRST + "done,,\n", "found no column 'minutes'"),
        (HEAD + FIRST + 'done,,"open\n', "expected a table"),
        (HEAD + FIRST + "done,,a\x07b\n", "expected a comment without control characters"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.csv") as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_who_it_was(tmp_path: Path) -> None:
    rows = HEAD + "1,a,axial,k,2,3,9,, ben ,strategy,,,\n" + "2,a,axial,k,5,6,9,,'=cy,strategy,done,,'=1+1\n"
    assert read(tmp_path, rows) == {1: Remark(annotator="ben"), 2: Remark("done", None, "=1+1", "=cy")}
    with pytest.raises(InputError, match="expected the name of an annotator at rank 1"):
        read(tmp_path, HEAD + f"1,a,axial,k,2,3,9,,{'b' * 201},strategy,done,,\n")
    named = make_project(tmp_path / "named", {"a": [2, 5]}, annotators=("anna",)).query
    path = tmp_path / "named.csv"
    path.write_bytes(query_table(named))
    assert read_remarks([path], named.units) == {}  # whom the query asks says nothing new
    path.write_bytes(query_table(named, {2: Remark("done", 1.25, "dark", "ben")}))
    assert read_remarks([path], named.units) == {2: Remark("done", 1.25, "dark", "ben")}


def test_who_it_was_is_in_the_ledger(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]}, annotators=("anna",))
    project.annotate()
    (project.folder / "query.csv").write_bytes(query_table(project.query, {2: Remark(annotator="ben")}))
    assert {entry.rank: entry.annotator for entry in project.take().entries} == {1: "anna", 2: "ben"}
