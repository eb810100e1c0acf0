"""The commands import-labels and annotations: one table, exit status 2 where anything is wrong, JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from albench.terminal import cli
from tests.support.annotation_project import QUERY, Project, make_project
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
    (query,) = json.loads(out)
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
        (["--query", "/nowhere"], "query.json"),
        (["--undo", QUERY], f"--undo {QUERY}: expected an import into"),
    ],
)
def test_bad_arguments(more: list[str], message: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(project.raw)
    status, out, err = call(project.arguments(*more), capsys)
    assert status == 2 and out == "" and message in err and len(err.splitlines()) == 1
    assert snapshot(project.raw) == before


def test_the_querys_own_tasks_are_looked_at(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--query", str(project.folder), "--dataset", str(project.raw)]
    status, out, _ = call(["import-labels", *places], capsys)
    assert status == 0 and "nothing new, 3 units open" in out
