"""Labels are taken over all or none, once, with a record of each unit, and given back byte by byte."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albench.annotation.backup import undo
from albench.annotation.ledger import Entry, audit_counts, ledger_bytes, read_ledger
from albench.annotation.overview import overview
from albench.data import find_problems, load_dataset
from albench.errors import InputError
from albench.machine.journal import settle
from tests.support.annotation_project import IGNORE, QUERY, Project, make_project
from tests.unit.machine.test_journal import dies_at, snapshot


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction", audited=[("b", 4)])
    made.annotate()
    return made


def fill_in(project: Project, **cells: str) -> None:
    """Fill in the first row of the query's table."""
    path = project.folder / "query.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0] |= cells
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_what_is_written(project: Project) -> None:
    report = project.take()
    for case in "ab":
        assert (project.imported(case) == project.answer(case)).all()
        assert (project.raw / "imagesTr" / f"{case}_0000.nii.gz").resolve() == project.image(case)
    described = json.loads((project.raw / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "organ": 1, "tumour": 2, "ignore": IGNORE}
    assert described["numTraining"] == 2
    kept = sorted(path.relative_to(project.raw).as_posix() for path in (project.raw / "albench").rglob("*.*"))
    assert kept == [
        f"albench/backup/{report.backup}/import.json",
        "albench/ledger.csv",
        f"albench/queries/{QUERY}/query.json",
    ]
    dataset = load_dataset(str(project.raw), data_dir=None, cache_dir=project.root / "cache")
    assert find_problems(dataset, n_workers=1) == []
    assert dict(dataset.annotation or {}) == {"a": "partial", "b": "partial"}


def test_the_ledger(project: Project) -> None:
    fill_in(project, minutes="4,5", comment="=1+1, blurred")
    report = project.take(minutes=10.0, annotator="anna")
    rows = read_ledger(project.raw / "albench/ledger.csv")
    assert [(row.key, row.state, row.sha256) for row in rows] == [
        (entry.key, entry.state, entry.sha256) for entry in report.entries
    ]
    first, second, audited = rows
    assert (first.place, first.minutes, first.comment) == ("slice 3 along k", 4.5, "=1+1, blurred")
    assert (second.minutes, audited.minutes, audited.annotator, audited.role) == (5, 5, "anna", "audit")
    answer, handed = project.answer("a")[2], project.handed("a")[2]
    assert first.voxels == answer.size and first.changed == (answer != handed).sum()
    assert first.foreground == np.isin(answer, (1, 2)).sum() and 0 < first.border <= first.foreground
    both = ((answer == 1) & (handed == 1)).sum()
    assert first.per_class["organ"]["dice"] == pytest.approx(
        2 * both / ((answer == 1).sum() + (handed == 1).sum()), rel=1e-5
    )
    assert "dice" not in audited.per_class["organ"]  # nothing was handed out
    text = (project.raw / "albench/ledger.csv").read_text()
    assert "'=1+1, blurred" in text  # which no spreadsheet computes


def test_audit_counts(project: Project) -> None:
    project.take()
    truth = project.truth["b"][4]
    predicted = np.minimum(np.maximum(truth, np.roll(truth, 1, -1)), 1)
    (counts,) = audit_counts(read_ledger(project.raw / "albench/ledger.csv"), ["organ", "tumour"])
    for value, row in zip((1, 2), counts.tolist(), strict=True):
        says, is_so = predicted == value, truth == value
        assert row == [(says & is_so).sum(), (says & ~is_so).sum(), (~says & is_so).sum()]
    (query,) = overview(project.raw)
    assert query.audit is not None and query.audit.n_units == 1 and query.audit.dice["tumour"] == 0


def test_the_same_again_is_nothing_new(project: Project) -> None:
    project.take(minutes=3)
    before = snapshot(project.raw)
    report = project.take(minutes=3)
    assert not report.entries and report.backup is None and report.n_open == 0
    assert snapshot(project.raw) == before
    fill_in(project, comment="looked again")
    assert [entry.rank for entry in project.take(minutes=3).entries] == [1]


def test_what_was_imported_before_stays_somebodys(project: Project) -> None:
    """The same folder holds the work of two annotators, who came one after the other."""
    aside = project.file("b").rename(project.root / "aside.nii.gz")
    project.take(annotator="anna", minutes=10)
    aside.rename(project.labels / "b.nii.gz")
    entries = project.take(annotator="ben", minutes=4).entries
    assert [(entry.case, entry.annotator, entry.minutes) for entry in entries] == [("b", "ben", 4)]
    (query,) = overview(project.raw)
    assert [(row.annotator, row.minutes) for row in query.annotators] == [("anna", 10), ("ben", 4)]
    fill_in(project, minutes="7")
    (entry,) = project.take().entries
    assert (entry.annotator, entry.minutes) == ("anna", 7)


def test_a_dry_run_writes_nothing(project: Project) -> None:
    before = snapshot(project.root)
    report = project.take(dry_run=True)
    assert len(report.entries) == 3 and report.backup is None
    assert snapshot(project.root) == before


def test_undo(project: Project) -> None:
    before = snapshot(project.raw)
    shutil.move(project.labels / "b.nii.gz", project.root / "b.nii.gz")
    assert len(project.take().entries) == 2
    between = snapshot(project.raw)
    shutil.move(project.root / "b.nii.gz", project.labels / "b.nii.gz")
    assert len(project.take().entries) == 1
    assert snapshot(project.raw) != between
    with pytest.raises(InputError, match="expected the query of the last import"):
        undo(project.raw, "another")
    undo(project.raw, QUERY)
    assert snapshot(project.raw) == between
    undo(project.raw, QUERY)
    assert snapshot(project.raw) == before
    with pytest.raises(InputError, match="expected an import into"):
        undo(project.raw, QUERY)


def test_undo_gives_links_back(tmp_path: Path) -> None:
    """Raw data that al-bench lays out are links to the originals, which nothing is written through."""
    project = make_project(tmp_path, {"a": [2]}, known={"a": [1]})
    project.annotate()
    label = project.raw / "labelsTr/a.nii.gz"
    original = label.rename(tmp_path / "original.nii.gz")
    label.symlink_to(original)
    before, content = snapshot(project.raw), original.read_bytes()
    project.take()
    assert not label.is_symlink() and original.read_bytes() == content
    undo(project.raw, QUERY)
    assert snapshot(project.raw) == before


def test_undo_loses_no_work(project: Project) -> None:
    project.take()
    label = project.raw / "labelsTr/a.nii.gz"
    label.write_bytes(b"somebody's work")
    before = snapshot(project.raw)
    with pytest.raises(InputError, match="expected what the import wrote, found another: changed since"):
        undo(project.raw, QUERY)
    assert snapshot(project.raw) == before


@pytest.mark.parametrize("numbers", [range(0, 60, 12), pytest.param(range(400), marks=pytest.mark.slow)])
def test_killed_at_any_moment(numbers: range, tmp_path: Path) -> None:
    """Old or new once somebody looks; every call that changes files is a moment."""
    known = make_project(tmp_path / "known", {"a": [2, 5], "b": [4]}, known={"b": [1]})
    known.annotate()
    shutil.copytree(known.root, tmp_path / "new", symlinks=True)
    after = Project(tmp_path / "new", known.truth, known.query, known.ending)
    after.take()
    old, new = _settled(known.raw), _settled(after.raw)
    seen = set()
    for number in numbers:
        place = tmp_path / "at"
        shutil.copytree(known.root, place, symlinks=True)
        project = Project(place, known.truth, known.query, known.ending)
        died = dies_at(number, lambda project=project: project.take())  # type: ignore[misc]
        settle(project.raw)
        found = _settled(project.raw)
        assert found in (old, new), number
        seen.add(found == new)
        project.take()
        assert _settled(project.raw) == new
        shutil.rmtree(place)
        if not died:
            break
    assert seen == {True, False} or len(numbers) < 20


def _settled(raw: Path) -> dict[str, Any]:
    """Files, times of imports aside."""
    found = snapshot(raw)
    ledger = found.pop("albench/ledger.csv", b"")
    rows = [row.split(b",", 2)[2] for row in ledger.splitlines()]  # type: ignore[attr-defined]
    kept = {name: content for name, content in found.items() if not name.startswith("albench/backup/")}
    backups = sorted("/".join(name.split("/")[3:]) for name in found if name.startswith("albench/backup/"))
    links = {name: content.name if isinstance(content, Path) else content for name, content in kept.items()}
    return {"rows": rows, "backups": backups, **links}


def test_several_annotators(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5], "b": [4]}, annotators=("anna", "ben"), anonymise=True)
    names = {case: project.query.cases[case].task for case in "ab"}
    assert names == {"a": "case-001", "b": "case-002"}
    project.save("a", project.answer("a"))
    report = project.take()
    assert {entry.annotator for entry in report.entries} == {"anna"} and report.n_open == 1
    assert [path.name for path in (project.raw / "labelsTr").iterdir()] == ["a.nii.gz"]
    project.save("b", project.answer("b"))
    assert {entry.annotator for entry in project.take().entries} == {"ben"}
    (query,) = overview(project.raw)
    assert [(row.annotator, row.asked, row.done, row.open) for row in query.annotators] == [
        ("anna", 2, 2, 0),
        ("ben", 1, 1, 0),
    ]
    assert not query.is_open


def test_two_copies_of_a_case(project: Project) -> None:
    (project.labels / "copy").mkdir()
    shutil.copy(project.folder / "tasks/a.nii.gz", project.labels / "copy")  # as it was handed out
    assert not project.take(dry_run=True).has_errors
    changed = project.answer("a")
    changed[2, 0, 0] = 2
    path = project.file("a")
    aside = path.rename(project.root / "aside.nii.gz")
    project.save("a", changed)
    path = project.file("a")
    path.rename(project.labels / "copy" / "a.nii.gz")
    aside.rename(project.labels / "a.nii.gz")
    (error,) = (finding for finding in project.take().findings if finding.level == "error")
    assert error.kind == "both files"


def test_outputs_name_the_data_set(project: Project) -> None:
    lines = project.take().next_steps()
    assert f'rm -r "$nnUNet_preprocessed/{project.raw.name}"' in lines
    assert "nnUNetv2_plan_and_preprocess -d 11 -c 2d --verify_dataset_integrity" in lines
    assert "nnUNetv2_train 11 2d all" in lines
    assert any("2 labelled cases are too few for 5 folds" in line for line in lines)
    assert not any("imagesTr" in line for line in lines)


def test_images_without_labels_are_said(project: Project) -> None:
    (project.raw / "imagesTr").mkdir()
    shutil.copy(project.image("a"), project.raw / "imagesTr/z_0000.nii.gz")
    assert any("1 cases in imagesTr have no label" in line for line in project.take().next_steps())


def test_copies_of_what_was_handed_out_are_checked(project: Project) -> None:
    copy = project.folder / ".handed-out/tasks/a.nii.gz"
    shutil.copy(project.file("a"), copy)
    (error,) = (finding for finding in project.take().findings if finding.level == "error")
    assert "expected what was handed out, as SHA256SUMS lists it" in error.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"background": 0, "organ": 2, "tumour": 1}}, "expected the labels of the query"),
        ({"labels": {"background": 0, "organ": 1, "tumour": 2, "ignore": 4}}, "expected the labels of the query"),
        ({"labels": {"background": 0, "organ": [1, 2], "tumour": 2}}, "expected the labels of the query"),
        ({"channel_names": {"0": "MRI"}}, "expected channels"),
        ({"file_ending": ".nrrd"}, "expected files ending in .nii.gz"),
        ({"dataset": {"a": {}}}, "found a list of files under 'dataset'"),
    ],
)
def test_another_data_set(change: dict[str, Any], message: str, project: Project) -> None:
    path = project.raw / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = snapshot(project.raw)
    with pytest.raises(InputError, match=message):
        project.take()
    assert snapshot(project.raw) == before


def test_a_project_that_is_moved(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Links to images beside the data set lead there from wherever both lie."""
    project.take(only=("a",))
    elsewhere = tmp_path_factory.mktemp("moved") / "project"
    project.root.rename(elsewhere)
    moved = Project(elsewhere, project.truth, project.query, project.ending)
    assert (moved.raw / "imagesTr/a_0000.nii.gz").resolve() == moved.image("a")
    moved.take()
    for _ in range(2):
        undo(moved.raw, QUERY)
    assert not (moved.raw / "imagesTr").exists()


def test_images_elsewhere_are_linked_to_where_they_are(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = project.raw.rename(tmp_path_factory.mktemp("raw") / "Dataset011_Project")
    project.take(dataset=raw)
    link = raw / "imagesTr/a_0000.nii.gz"
    assert link.readlink() == project.image("a")


def test_another_image_in_its_place(project: Project) -> None:
    (project.raw / "imagesTr").mkdir()
    shutil.copy(project.image("a"), project.raw / "imagesTr/a_0000.nii.gz")
    assert not project.take(dry_run=True).has_errors
    shutil.copy(project.image("b"), project.raw / "imagesTr/a_0000.nii.gz")
    (error,) = (finding for finding in project.take().findings if finding.level == "error")
    assert error.kind == "image" and "expected the image that was asked about" in error.message


def test_two_at_a_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one import writes while another one reads is not overwritten."""
    from albench.annotation import importing

    begin = importing.changing
    other = Project(project.root, project.truth, project.query, project.ending)

    def meanwhile(root: Path) -> Any:
        monkeypatch.setattr(importing, "changing", begin)
        other.take(only=("b",))
        return begin(root)

    monkeypatch.setattr(importing, "changing", meanwhile)
    with pytest.raises(InputError, match="changed while labels were imported; start again"):
        project.take()
    assert [entry.case for entry in read_ledger(project.raw / "albench/ledger.csv")] == ["b"]
    assert not (project.raw / "albench/incoming").exists()
    assert len(project.take().entries) == 2


def test_damaged_ledgers_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    entry = Entry("q", "2026-11-29T00:00:00Z", "-a", 1, "strategy", "slice 1 along k", "", "done", 1.5, "=x")
    path.write_bytes(ledger_bytes([entry], ["organ"]))
    (read,) = read_ledger(path)
    assert read == entry
    for old, new, message in [
        (b"done", b"seen", "row 2: the state 'seen'"),
        (b"rank", b"rang", "found no column 'rank'"),
        (b",1.5,", b",soon,", "row 2: could not convert"),
        (b"1,strategy", b"1", "row 2"),
    ]:
        damaged = ledger_bytes([entry], ["organ"]).replace(old, new)
        assert damaged != ledger_bytes([entry], ["organ"])
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            read_ledger(path)


def test_a_hostile_backup_leads_nowhere(project: Project) -> None:
    report = project.take()
    manifest = project.raw / f"albench/backup/{report.backup}/import.json"
    content = json.loads(manifest.read_text())
    precious = project.root / "precious"
    precious.write_text("1")
    content["replaced"][0]["target"] = "../precious"
    manifest.write_text(json.dumps(content))
    with pytest.raises(InputError, match="expected the list of an import"):
        undo(project.raw, QUERY)
    assert precious.read_text() == "1"


def test_nothing_but_a_query_for_annotators_is_taken(project: Project) -> None:
    with pytest.raises(InputError, match=r"query\.json"):
        project.take(query=project.raw)
    copy = project.query.model_copy(update={"version": None})
    copy.write(project.folder / "query.json")
    with pytest.raises(InputError, match="expected a query for annotators, found one of `al-bench run`"):
        project.take()


def test_another_query_of_that_name(project: Project) -> None:
    project.take()
    known = project.raw / f"albench/queries/{QUERY}/query.json"
    other = project.query.model_copy(update={"units": project.query.units[:2]})
    other.write(known)
    with pytest.raises(InputError, match="that labels are imported of, found another"):
        project.take()


def test_names_of_annotators(project: Project) -> None:
    with pytest.raises(InputError, match="--annotator: expected a name"):
        project.take(annotator="a\x1b[2J")


def test_read_only_data(project: Project) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    project.raw.chmod(0o555)
    before = snapshot(project.raw)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            project.take()
    finally:
        project.raw.chmod(0o755)
    assert snapshot(project.raw) == before
