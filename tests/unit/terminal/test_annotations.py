"""The commands import-labels and annotations: one table, exit status 2 where anything is wrong, JSON for programs."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from albench.terminal import cli
from tests.support.annotation_project import QUERY, Project, make_project
from tests.unit.drawings.test_compose import Drawn
from tests.unit.machine.test_journal import snapshot


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction", audited=[("b", 4)])
    made.annotate()
    return made


def call(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_a_round(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(project.raw)
    status, out, _ = call(project.arguments("--dry-run"), capsys)
    assert status == 0 and "3 done; would be taken, nothing was written; 0 units open" in out
    assert snapshot(project.raw) == before
    status, out, _ = call(project.arguments("--minutes", "12"), capsys)
    assert status == 0 and "3 done; taken; 0 units open" in out
    assert "│ tumour │ " in out and "nnUNetv2_train 11 2d all" in out and f"--undo {QUERY}" in out
    status, out, _ = call(project.arguments("--minutes", "12"), capsys)
    assert (status, out) == (0, f"{QUERY}: nothing new, 0 units open\n")
    status, out, _ = call(["annotations", "--dataset", str(project.raw)], capsys)
    assert status == 0 and "│ 12      │" in out and "1 units: Dice organ 0." in out and "1 query, 0 open" in out
    status, out, _ = call(["annotations", "--dataset", str(project.raw), "--json"], capsys)
    (query,) = json.loads(out)["queries"]
    assert query["id"] == QUERY and query["annotators"][0]["done"] == 3 and not query["is_open"]
    assert query["audit"]["n_units"] == 1
    status, out, _ = call(["import-labels", "--dataset", str(project.raw), "--undo", QUERY], capsys)
    assert status == 0 and "as it was before the import" in out
    assert snapshot(project.raw) == before
    status, out, _ = call(["annotations", "--dataset", str(project.raw)], capsys)
    assert status == 0 and "no queries yet" in out


def test_all_problems_are_in_one_table(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.save("a", np.flip(project.answer("a"), 0))
    wrong = project.answer("b")
    wrong[4, 0, 0] = 9
    path = project.save("b", wrong)
    path.with_name("[b]z.nii.gz").write_bytes(path.read_bytes())
    before = snapshot(project.raw)
    status, out, _ = call(project.arguments(), capsys)
    assert status == 2 and snapshot(project.raw) == before
    for text in ("flipped along k", "found 9 (1 voxels)", "[b]z.nii.gz", "3 errors; nothing was written"):
        assert text in out
    status, out, _ = call(project.arguments("--json"), capsys)
    report = json.loads(out)
    assert status == 2 and report["refused"] and report["units"] == []
    assert {finding["kind"] for finding in report["findings"]} == {"moved", "value", "not asked"}


def test_names_do_nothing_to_the_terminal(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    content = project.file("a").read_bytes()
    (project.labels / "\x1b[2Jz.nii.gz").write_bytes(content)
    (Path(os.fsdecode(os.fsencode(project.labels) + b"/\xffz.nii.gz"))).write_bytes(content)
    for more in ([], ["--json"]):
        status, out, _ = call(project.arguments(*more), capsys)
        assert status == 2 and "\x1b[2J" not in out and "x1b[2Jz.nii.gz" in out and "udcffz.nii.gz" in out


def test_json(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(project.arguments("--json"), capsys)
    report = json.loads(out)
    assert status == 0 and not report["refused"] and report["open"] == 0
    assert [unit["place"] for unit in report["units"]] == ["slice 3 along k", "slice 6 along k", "slice 5 along k"]
    assert [row["name"] for row in report["classes"]] == ["organ", "tumour"]
    assert (project.raw / "albench/backup" / report["backup"]).is_dir()
    assert report["next"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--on-conflict", "merge"], "--on-conflict: expected refuse or replace, got 'merge'"),
        (["--only", "z"], "unknown case of query"),
        (["--minutes", "-1"], "--minutes"),
        (["--labels", "/nowhere"], "--labels /nowhere: expected a folder with what annotators have saved, found none"),
        (["--dataset", "/nowhere"], "--dataset /nowhere: expected a raw data set of nnU-Net, found no folder"),
        (["--query", "/nowhere"], "/nowhere: expected a query's folder, which has query.json, found none"),
        (["--undo", QUERY], f"--undo {QUERY}: expected an import into"),
    ],
)
def test_bad_arguments(more: list[str], message: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(project.raw)
    status, out, err = call(project.arguments(*more), capsys)
    assert status == 2 and out == "" and message in err and len(err.splitlines()) == 1
    assert snapshot(project.raw) == before


def test_a_folder_in_the_querys_is_not_the_query(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--query", str(project.folder / "tasks"), "--dataset", str(project.raw)]
    status, _, err = call(["import-labels", *places], capsys)
    assert status == 2 and err.endswith(f"which has query.json, found none; {project.folder} is one\n")


def test_the_querys_own_tasks_are_looked_at(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--query", str(project.folder), "--dataset", str(project.raw)]
    status, out, _ = call(["import-labels", *places], capsys)
    assert status == 0 and "nothing new, 3 units open" in out


def test_what_was_drawn_in_the_browser(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = Drawn(make_project(tmp_path, {"a": [2, 5], "b": [4, 6]}), "anna", "ben", overlap=1)
    for rank in range(1, 5):
        drawn.draw(rank, seconds=60.0 + rank)
    places = ["--query", str(drawn.project.folder), "--dataset", str(drawn.project.raw)]
    status, out, _ = call(["import-labels", *places], capsys)
    assert status == 0 and f"labels as drawn in the browser: {drawn.project.folder / 'annotated' / 'files'}\n" in out
    assert "4 done; taken; 0 units open" in out
    (rank, second) = next(iter(drawn.assignment.seconds.items()))
    drawn.draw(rank, who=second)
    before = snapshot(drawn.project.raw)
    status, out, _ = call(["import-labels", *places, "--dry-run"], capsys)
    assert status == 0 and "no new labels, 0 units open; agreement.csv would be kept, nothing was written" in out
    assert snapshot(drawn.project.raw) == before
    status, out, _ = call(["import-labels", *places], capsys)
    assert status == 0 and "agreement.csv kept" in out and f"--undo {QUERY}" in out
    (drawn.project.folder / "tasks" / "b.nii.gz").write_bytes(b"edited")
    status, out, _ = call(["import-labels", *places], capsys)
    assert status == 0 and out.count("not looked at: ") == 1 and "nothing new" in out
    status, out, _ = call(["import-labels", *places, "--json"], capsys)
    assert status == 0 and json.loads(out)["beside"] == [] and json.loads(out)["backup"] is None
    status, out, _ = call(["annotations", "--dataset", str(drawn.project.raw)], capsys)
    assert status == 0 and f"agreement of anna and ben on {QUERY}, 1 unit: Dice organ 1.000 (" in out
    assert "│ anna " in out and "│ ben " in out and "│ all " in out
    assert "not to be reckoned with yet: 4 timed units, of 30 that are needed" in out
    status, out, _ = call(["annotations", "--dataset", str(drawn.project.raw), "--json"], capsys)
    content = json.loads(out)
    assert content["queries"][0]["agreement"][0]["annotators"] == ["anna", "ben"]
    every, anna, ben = content["annotation_cost"]
    assert (every["annotator"], anna["annotator"], every["n_units"], every["is_enough"]) == (None, "anna", 4, False)
    assert ben["mean_s"] == pytest.approx(63.5, abs=0.1)
    call(["import-labels", "--dataset", str(drawn.project.raw), "--undo", QUERY], capsys)
    assert snapshot(drawn.project.raw) == before
    status, out, _ = call(["import-labels", *places, "--labels", str(drawn.project.labels)], capsys)
    assert status == 0 and "drawn in the browser" not in out and "nothing new" in out


def test_enough_timed_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, {case: list(range(8)) for case in "abcd"})
    project.annotate()
    call(project.arguments("--accept-unchanged", "--minutes", "64"), capsys)
    _, out, _ = call(["annotations", "--dataset", str(project.raw)], capsys)
    assert "not to be reckoned with yet: 32 units with 1 different time: shared out by --minutes" in out
    table = project.folder / "query.csv"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    for number, row in enumerate(rows):
        row["minutes"] = str(1 + number / 10)
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    call(project.arguments("--accept-unchanged"), capsys)
    _, out, _ = call(["annotations", "--dataset", str(project.raw)], capsys)
    assert "in a protocol: annotation_cost: {slice_s: " in out and "yet" not in out
