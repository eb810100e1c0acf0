"""What was drawn is what is imported, voxel by voxel, and nothing else is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.annotation.handed import HandedOut
from albench.annotation.ledger import read_ledger
from albench.annotation.raw_folder import LEDGER
from albench.data.label_writer import write_label_like
from albench.drawings.assignment import assign
from albench.drawings.compose import DrawnLabels, composed, drawn_labels
from albench.drawings.drawing import Drawing
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import Drawings
from albench.errors import InputError
from albench.machine.files import try_lock
from albench.results.query import QueriedUnit
from tests.support.annotation_project import IGNORE, Project, make_project
from tests.unit.machine.test_journal import dies_at


class Drawn:
    """A project whose units are drawn in the browser."""

    def __init__(self, project: Project, *people: str, overlap: int = 0) -> None:
        self.project = project
        self.handed = HandedOut.read(project.folder)
        self.drawings, self.first = Drawings(self.handed), FirstVersions(self.handed)
        self.assignment = assign(self.handed, people, overlap)

    def draw(self, rank: int, labels: Any = None, *, who: str | None = None, **changes: Any) -> Drawing:
        """Save labels (i, j, k) of a unit, by default the truth, as done by its owner."""
        who = who or self.assignment.owner(rank)
        unit = self.handed.by_rank[rank]
        if labels is None:
            labels = self.project.truth[unit.case][self.project.box(unit)].transpose()
        drawing = self.drawings.read(who, rank, lambda: self.first.of(rank))
        changes = {"status": "done", "labels": np.asarray(labels, dtype=np.uint16), "by": who, **changes}
        return self.drawings.save(who, rank, drawing.version, drawing.with_changes(**changes))

    def take(self, **options: Any) -> Any:
        """Import what was drawn."""
        with composed(self.drawings, self.first, self.assignment) as folder:
            return self.project.take(labels=folder, own_table=False, **options)

    def table(self) -> dict[int, dict[str, str]]:
        with composed(self.drawings, self.first, self.assignment) as folder:
            rows = csv.DictReader((folder / "query.csv").read_text().splitlines())
            return {int(row["rank"]): row for row in rows}

    def times(self) -> dict[str, int]:
        """When each file was written."""
        with composed(self.drawings, self.first, self.assignment) as folder:
            return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


PATCHES = [((0, 0, 0), (4, 6, 7)), ((4, 6, 7), (9, 12, 14)), ((2, 4, 4), (7, 12, 12))]


def patch(case: str, index: int) -> QueriedUnit:
    start, stop = PATCHES[index]
    return QueriedUnit(case=case, index=index, start=start, stop=stop)


SLICES = {"a": [2, 5], "b": [4, 6]}
PROJECTS: dict[str, tuple[dict[str, list[int]], dict[str, Any]]] = {
    "slices": (SLICES, {"filling": "prediction"}),
    "oblique permuted": (SLICES, {"direction": "oblique permuted"}),
    "left-handed": (SLICES, {"direction": "las", "filling": "none"}),
    "NRRD": (SLICES, {"ending": ".nrrd", "direction": "permuted"}),
    "photographs": ({"a": [0], "b": [0]}, {"ending": ".png", "shape": (1, 12, 14)}),
    "2D": ({"a": [0], "b": [0]}, {"shape": (1, 12, 14)}),
    "patches": ({"a": [0, 1], "b": [0]}, {"units": patch}),
    "anonymous": (SLICES, {"anonymise": True, "annotators": ("anna", "ben")}),
    "known": (SLICES, {"known": {"a": [2, 3]}}),
    "audit": (SLICES, {"audited": [("b", 4)], "filling": "prediction"}),
}


def require_drawn_is_imported(name: str, root: Path, seed: int, statuses: Sequence[str | None]) -> None:
    """Draw labels at random, say these statuses of units, and compare what is imported voxel by voxel."""
    asked, options = PROJECTS[name]
    project = make_project(root, asked, **options)
    drawn = Drawn(project, *(() if "annotators" in options else ("anna", "ben")))
    rng = np.random.default_rng(seed)
    labels, said = {}, dict(zip(drawn.handed.by_rank, statuses, strict=False))
    for rank, status in said.items():
        if status is not None:
            labels[rank] = rng.integers(0, IGNORE, drawn.drawings.shape(rank))
            drawn.draw(rank, labels[rank], status=status, seconds=30.0 * rank)
    report = drawn.take(replace=True)
    assert not report.is_refused, report.findings
    done = [rank for rank, status in said.items() if status == "done"]
    assert report.n_open == sum(status not in ("done", "skip") for status in said.values())
    for case in project.truth:
        expected = np.full(project.truth[case].shape, IGNORE)
        if options.get("known", {}).get(case):
            expected[options["known"][case]] = project.truth[case][options["known"][case]]
        of_case = [rank for rank in done if drawn.handed.by_rank[rank].case == case]
        for rank in of_case:
            expected[project.box(drawn.handed.by_rank[rank])] = labels[rank].transpose()
        if of_case:
            assert (project.imported(case) == expected).all()
    entries = {entry.rank: entry for entry in read_ledger(project.raw / LEDGER)}
    assert sorted(entries) == sorted(rank for rank, status in said.items() if status in ("done", "skip"))
    for rank, entry in entries.items():
        assert entry.annotator == drawn.assignment.owner(rank)
        assert entry.minutes == 0.5 * rank and entry.state == said[rank]
    assert drawn.take(replace=True).entries == ()


@pytest.mark.parametrize("name", PROJECTS)
def test_drawn_is_imported(name: str, tmp_path: Path) -> None:
    require_drawn_is_imported(name, tmp_path, 0, ["done", "open", "done", None])


@pytest.mark.slow
@pytest.mark.parametrize("name", PROJECTS)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), statuses=st.tuples(*[st.sampled_from(["done", "open", "later", "skip", None])] * 4)
)
def test_whatever_is_drawn_is_imported(
    name: str, seed: int, statuses: tuple[str | None, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    require_drawn_is_imported(name, tmp_path_factory.mktemp("project"), seed, statuses)


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    return Drawn(make_project(tmp_path, SLICES, filling="prediction"), "anna", "ben", overlap=4)


def test_what_the_table_says(drawn: Drawn) -> None:
    drawn.draw(1, seconds=90.0, comment="=1+1\n\x07 dark ")
    drawn.draw(2, status="later")
    drawn.draw(3, status="open")
    table = drawn.table()
    assert [table[rank]["status"] for rank in range(1, 5)] == ["done", "later", "later", ""]
    assert [table[rank]["minutes"] for rank in range(1, 5)] == ["1.5", "", "", ""]
    assert table[1]["annotator"] == "anna" and table[1]["comment"] == "'=1+1 dark"
    (entry,) = drawn.take().entries
    assert (entry.comment, entry.annotator, entry.minutes, entry.state) == ("=1+1 dark", "anna", 1.5, "done")


def test_reviewers(drawn: Drawn) -> None:
    drawn.draw(1, verdict="returned")
    drawn.draw(2, verdict="accepted")
    assert [drawn.table()[rank]["status"] for rank in (1, 2)] == ["later", "done"]
    drawn.draw(1, verdict=None)
    assert drawn.table()[1]["status"] == "done"


def test_of_two_the_accepted_one_counts(drawn: Drawn) -> None:
    owner, second = drawn.assignment.of(1)
    shape = drawn.drawings.shape(1)
    drawn.draw(1, np.zeros(shape), seconds=60.0)
    drawn.draw(1, np.ones(shape), who=second, seconds=120.0)
    assert (drawn.table()[1]["annotator"], drawn.table()[1]["minutes"]) == (owner, "1")
    drawn.draw(1, np.ones(shape), who=second, verdict="accepted")
    assert (drawn.table()[1]["annotator"], drawn.table()[1]["minutes"]) == (second, "2")
    drawn.take()
    assert (drawn.project.imported("a")[2] == 1).all()
    drawn.draw(1, np.zeros(shape), verdict="accepted")
    assert drawn.table()[1]["annotator"] == owner
    drawn.draw(1, status="skip")
    drawn.draw(1, np.ones(shape), who=second, verdict=None)
    assert drawn.table()[1]["status"] == "skip"


def test_unlabelled_voxels(drawn: Drawn) -> None:
    labels = np.zeros(drawn.drawings.shape(1))
    labels[3:5] = IGNORE
    drawn.draw(1, labels)
    report = drawn.take()
    assert report.is_refused
    assert [finding.kind for finding in report.findings if finding.level == "error"] == ["unlabelled"]
    (entry,) = drawn.take(partial=True).entries
    assert (entry.state, entry.unlabelled) == ("partial", 24)


def test_as_predicted_is_taken(drawn: Drawn) -> None:
    drawn.draw(1, drawn.first.of(1).labels)
    (entry,) = drawn.take().entries
    assert (entry.state, entry.changed) == ("done", 0)
    assert drawn.take(unchanged=True).n_open == 0  # the user takes for done what nobody has touched
    drawn.draw(2, drawn.first.of(2).labels, status="open")
    assert drawn.table()[2]["status"] == "later"


def test_patches_that_overlap(tmp_path: Path) -> None:
    drawn = Drawn(make_project(tmp_path, {"a": [0, 1, 2]}, units=patch), "anna")
    shape = drawn.drawings.shape
    drawn.draw(1, np.ones(shape(1)))
    assert [drawn.table()[rank]["status"] for rank in (1, 2, 3)] == ["done", "", "later"]
    report = drawn.take()
    assert [entry.rank for entry in report.entries] == [1] and report.n_open == 2
    half = np.full(shape(3), 2)
    half[:, :2] = IGNORE  # which patch 1 has labelled in part
    drawn.draw(3, half)
    report = drawn.take(partial=True, replace=True)
    assert {entry.rank: entry.state for entry in report.entries} == {3: "partial"}
    found = drawn.project.imported("a")
    assert (found[:4, :6, :7][:2] == 1).all() and (found[2:7, 6:12, 4:12] == 2).all()
    assert (found[2:4, 4:6, 4:7] == 1).all()


def test_made_anew_only_where_stale(drawn: Drawn) -> None:
    drawn.draw(1)
    before = drawn.times()
    assert drawn.times() == before and {"a.nii.gz", "b.nii.gz", "query.csv"} <= set(before)
    drawn.draw(2)
    after = drawn.times()
    assert all(after[name] > before[name] for name in ("a.nii.gz", "query.csv"))
    assert drawn.times() == after
    place = drawn.drawings.folder / "files"
    (place / "a.nii.gz").write_bytes(b"damaged")
    (place / ".writing-left").mkdir()
    assert drawn.take().n_open == 2 and not (place / ".writing-left").exists()
    (place / ".composed.json").write_text("{}")
    assert drawn.times() != after


@pytest.mark.slow
def test_killed_at_any_moment(drawn: Drawn) -> None:
    drawn.draw(1)
    drawn.table()
    number = 0
    while True:
        drawn.draw(2, np.full(drawn.drawings.shape(2), number % 2), seconds=number)
        died = dies_at(number, lambda: drawn.table() and None)
        drawn.table()
        with composed(drawn.drawings, drawn.first, drawn.assignment) as folder:
            assert sorted(path.name for path in folder.iterdir()) == [
                ".composed.json",
                "a.nii.gz",
                "b.nii.gz",
                "query.csv",
            ]
        drawn.take(replace=True)
        assert (drawn.project.imported("a")[5] == number % 2).all()
        if not died:
            break
        number += 1
    assert number > 8


def test_one_at_a_time(drawn: Drawn) -> None:
    """Whoever imports what was composed keeps others from changing it."""
    drawn.draw(1)
    lock = drawn.drawings.folder / ".files.lock"
    with composed(drawn.drawings, drawn.first, drawn.assignment):
        assert try_lock(lock) is None
    stream = try_lock(lock)
    assert stream is not None
    stream.close()


def test_who_annotates_in_files_has_tasks(tmp_path: Path) -> None:
    project = make_project(tmp_path, SLICES)
    with drawn_labels(project.folder) as labels:
        assert labels is None and not (project.folder / "annotated").exists()
    drawn = Drawn(project, "anna", "ben", overlap=1)
    with drawn_labels(project.folder) as labels:
        assert labels is None  # opened, and left for an editor
    (rank,) = drawn.assignment.seconds
    drawn.draw(rank, status="later")
    with drawn_labels(project.folder) as labels:
        assert labels == DrawnLabels(project.folder / "annotated" / "files", {}, ())
    edited = project.folder / "tasks" / "b.nii.gz"
    write_label_like(project.answer("b"), project.image("b"), edited)
    with drawn_labels(project.folder) as labels:
        assert labels is not None and labels.edited == (edited,)
    for who in drawn.assignment.of(rank):
        drawn.draw(rank, who=who)
    with drawn_labels(project.folder) as labels:
        assert labels is not None and labels.beside["agreement.csv"].count(b"\n") == 3  # a head and two classes


def test_another_image_is_refused(drawn: Drawn) -> None:
    drawn.draw(1)
    drawn.project.image("a").unlink()
    with pytest.raises(InputError, match="a_0000"):
        drawn.table()
