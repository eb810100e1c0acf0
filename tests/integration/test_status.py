"""What ``al-bench status`` says of a folder, from its files."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from albench.data import Dataset
from albench.machine.claims import holding
from albench.results.claims import Claims
from albench.results.layout import RunFolder
from albench.study.file import write_study
from albench.study.request import RunRequest
from albench.study.status import Status, read_status
from albench.study.workers import run_studies
from albench.terminal import cli
from tests.support.fake_study import fake_protocol, fake_study

CHAINS = ("random", "entropy", "full")


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "out"
    run_studies([fake_study(phantom, out, fake_protocol(rounds=2))], CHAINS, [0], 1)
    write_study(RunRequest((str(phantom.root),), strategy=CHAINS, out=out), out)
    return out


def states(status: Status) -> dict[str, tuple[str, int, int]]:
    return {part.name: (part.state, part.n_done, part.n_rounds) for part in status.parts}


def test_a_finished_study_has_nothing_left(finished: Path) -> None:
    found = read_status(finished)
    assert states(found) == {
        "setup": ("done", 1, 1),
        "shared": ("done", 1, 1),
        "random": ("done", 2, 2),
        "entropy": ("done", 2, 2),
        "full": ("done", 1, 1),
    }
    assert (found.n_joined, found.seconds_left) == (0, 0.0)


def test_who_runs_what_where_and_what_failed(
    finished: Path, phantom: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    for chain in ("random", "entropy"):
        (out / phantom.name / chain / "seed-0" / "round-1" / "evaluate.stage.json").unlink()
    claims = Claims(RunFolder(out), 0.9)
    for _ in range(3):
        failed = claims.on(phantom.name, "entropy", 0).take()
        assert failed is not None and failed.end("failed", error="KeyError: 'odd'")
    claim = claims.on(phantom.name, "random", 0).take()
    assert claim is not None
    with claims.present(), holding(claim) as held:
        held.note(task=f"{phantom.name} random seed 0 round 1: training on 12 units", round=1, n_done=7, total=100)
        time.sleep(0.5)
        found = read_status(out)
        with pytest.raises(SystemExit) as stop:
            cli.main(["status", str(out), "--json"])
        assert not stop.value.code
        values = json.loads(capsys.readouterr().out)
        with pytest.raises(SystemExit):
            cli.main(["status", str(out)])
        shown = capsys.readouterr().out
    assert states(found)["random"] == ("running", 1, 2)
    assert states(found)["entropy"] == ("failed", 1, 2)
    assert found.seconds_left is not None and found.seconds_left > 0
    (running,) = [row for row in values["chains"] if row["state"] == "running"]
    assert (values["joined"], running["chain"], running["rounds_done"]) == (1, "random", 1)
    by = running["by"]
    assert (by["process"], by["round"], by["n_done"], by["total"]) == (os.getpid(), 1, 7, 100)
    (failed_row,) = [row for row in values["chains"] if row["failures"]]
    assert [failure["error"] for failure in failed_row["failures"]] == ["KeyError: 'odd'"] * 3
    assert "entropy seed 0: failed last on" in shown and "1 joined processes; time left: 0 min" in shown


def test_what_begins_with_a_failed_start_is_not_waited_for(finished: Path, phantom: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    for chain in ("random", "entropy"):
        shutil.rmtree(out / phantom.name / chain)
    (out / phantom.name / "_shared" / "seed-0" / "round-0" / "evaluate.stage.json").unlink()
    for _ in range(3):
        failed = Claims(RunFolder(out), 60).on(phantom.name, "_shared", 0).take()
        assert failed is not None and failed.end("failed", error="odd")
    found = read_status(out)
    assert {name: state for name, (state, *_) in states(found).items()} == {
        "setup": "done",
        "shared": "failed",
        "random": "blocked",
        "entropy": "blocked",
        "full": "done",
    }
    assert found.seconds_left == 0


def test_a_claim_that_nobody_renews_is_no_work(finished: Path, phantom: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / phantom.name / "random" / "seed-0" / "round-1" / "evaluate.stage.json").unlink()
    place = Claims(RunFolder(out), 60).on(phantom.name, "random", 0)
    assert place.take() is not None
    then = time.time() - 61
    os.utime(place.path / "claim-1", (then, then))
    assert states(read_status(out))["random"] == ("waiting", 1, 2)


def test_what_is_no_results_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["status", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"al-bench: {tmp_path}/config.json: expected a file written by")
