"""Which cases belong together: as the data set says, by names, or by a pattern."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from albench.data import Case, Dataset, load_dataset
from albench.data.groups import case_groups
from albench.errors import InputError


def named(phantom: Dataset, *names: str) -> Dataset:
    files = phantom.cases[0]
    return replace(phantom, cases=tuple(Case(name, files.images, files.label) for name in sorted(names)))


@pytest.mark.parametrize(
    ("names", "group_by", "expected"),
    [
        (("patient001_frame01", "patient001_frame12", "patient002_frame01"), "auto", 2),
        (("sub-A_ses-1_T1w", "sub-A_ses-2_T1w", "sub-B_ses-1_T1w"), "auto", 2),
        (("patient001_frame01", "patient002_frame01"), "auto", 0),  # a scan each
        (("patient001_frame01", "patient001_frame12", "other"), "auto", 0),
        (("patient001_frame01", "patient001_frame12"), "none", 0),
        (("a1x", "a2x", "b1x"), r"^([a-z])\d", 2),
    ],
)
def test_names_tell_groups(names: tuple[str, ...], group_by: str, expected: int, phantom: Dataset) -> None:
    found = case_groups(named(phantom, *names), group_by)
    assert len(set(found.groups.values())) == expected
    assert (found.note == "") == (expected == 0) == (found.digest is None)
    if expected:
        assert set(found.groups) == set(names)
        assert found.note.startswith(f"{len(names)} cases of {expected} groups")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "expected a regular expression, found none"),
        ("case", "one group in parentheses, found 0"),
        ("(a)(b)", "one group in parentheses, found 2"),
        (r"(z+)\d", "expected a group in every case's name, found none in"),
    ],
)
def test_a_bad_pattern_is_named(pattern: str, message: str, phantom: Dataset) -> None:
    with pytest.raises(InputError, match=message):
        case_groups(phantom, pattern)


def test_the_digest_is_of_who_belongs_together(phantom: Dataset) -> None:
    first, second, third = phantom.case_names[:3]

    def digest(groups: dict[str, str]) -> str | None:
        return case_groups(replace(phantom, groups=groups), "auto").digest

    assert digest({first: "a", second: "a"}) == digest({first: "b", second: "b"})
    assert digest({first: "a", second: "a"}) != digest({first: "a", third: "a"})
    assert digest({first: "a", second: "b"}) is None


@pytest.fixture
def copied(phantom: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom.root, tmp_path / "copy"))


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def test_groups_come_from_the_description_or_a_table(copied: Path, phantom: Dataset) -> None:
    first, second, third = phantom.case_names[:3]
    assert load(copied).groups is None
    (copied / "groups.csv").write_text(f"case,group\n{first},7\n{second},7\n")
    dataset = load(copied)
    assert dataset.groups == {first: "7", second: "7"}
    found = case_groups(dataset, "auto")
    assert found.groups[first] == found.groups[second] != found.groups[third]
    assert found.note.endswith("as the data set says")
    description = json.loads((copied / "dataset.json").read_text()) | {"groups": {first: 7, third: 7}}
    (copied / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match="found both"):
        load(copied)
    (copied / "groups.csv").unlink()
    assert load(copied).groups == {first: "7", third: "7"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,patient\na,b\n", "expected the columns case, group"),
        ("case,group\nnobody,1\n", "found nobody, which is none"),
        ("case,group\n{0},1\n{0},2\n", "expected a case with one group in line 3"),
        ("case,group\n{0},\n", "expected a case with one group in line 2"),
    ],
)
def test_a_bad_table_is_named(table: str, message: str, copied: Path, phantom: Dataset) -> None:
    (copied / "groups.csv").write_text(table.format(phantom.case_names[0]))
    with pytest.raises(InputError, match=message):
        load(copied)


@pytest.mark.parametrize("entry", [["a"], {"a": ["b"]}, "a"])
def test_a_bad_entry_is_named(entry: object, copied: Path) -> None:
    description = json.loads((copied / "dataset.json").read_text()) | {"groups": entry}
    (copied / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match='expected "groups" as'):
        load(copied)
