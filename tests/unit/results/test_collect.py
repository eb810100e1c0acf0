"""Rows of the tables, from stage records whose numbers all differ; some have the names of version 0.1."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from albench.machine.files import write_json
from albench.results.collect import write_tables
from albench.results.layout import RoundFolder, RunFolder, stage_record
from albench.results.query import Query
from albench.results.stages import StageRecord
from albench.results.tables import ANNOTATED, COSTS, read_results, read_rounds


def record(folder: Path, stage: str, seconds: float, notes: Mapping[str, Any]) -> None:
    write_json(stage_record(folder, stage), {"seconds": seconds, "notes": notes, "files": {}})


def training(fold: int, n_units: int) -> dict[str, Any]:
    counts = {name: n_units + place for place, name in enumerate((*ANNOTATED, *COSTS))}
    facts = {"started_at": f"fold {fold}", "code_version": "c", "hardware": "h", "versions": "{}"}
    return {
        **counts,
        **facts,
        "iterations": 10 + fold,
        "train_loss": 0.5 + fold,
        "setup_s": 100.0 + fold,
        "fit_s": 1000.0 + fold,
        "warnings" if fold else "incidents": [f"fold {fold}"],
    }


def finish(folder: RoundFolder, n_units: int) -> None:
    """Two folds and their test, in the folder itself."""
    for fold in range(2):
        record(folder.path, f"train-{fold}", 1.0, training(fold, n_units))
    record(folder.path, "evaluate", 7.0, {"peak_rss_mib": 5.0, "warnings": ["test"]})
    rows = pd.DataFrame({"case": ["a"], "label": [1], "label_name": ["x"], "dice": [n_units / 100]})
    rows.to_parquet(folder.evaluation)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """One chain of three rounds, the last without its test."""
    run = RunFolder(tmp_path)
    protocol = {"name": "p", "training": {"folds": 2}}
    write_json(run.config, {"datasets": {"d": {"protocol": protocol, "device": "cpu", "config_hash": "f00"}}})
    chain = run.study("d").chain("mcd", 3)
    for stage, seconds in (("scan", 2.0), ("start", 3.0), ("prepare", 4.0)):
        record(chain.shared.path, stage, seconds, {"n_units": 50, "n_fg_voxels": 60})
    finish(chain.shared.first_round, 6)
    for number in range(3):
        notes = (
            {"score_s": 20.0, "select_s": 30.0, "cached_scores": "entropy", "incidents": ["query"]} if number else {}
        )
        record(chain.round(number).path, "query", 1.0, notes)
        Query(dataset="d", strategy="mcd", seed=3, round=number, units=()).write(chain.round(number).query)
    finish(chain.round(1), 12)
    finish(chain.round(2), 18)
    chain.round(2).stage("evaluate").unlink()
    return run


def test_rows_of_finished_rounds(run: RunFolder) -> None:
    write_tables(run.path)
    runs, results = read_rounds(run.path).set_index("round"), read_results(run.path).set_index("round")
    assert list(runs.index) == list(results.index) == [0, 1]
    assert list(results["dice"]) == [0.06, 0.12]
    for table in (runs, results):
        assert [list(table[name]) for name in (*ANNOTATED, *COSTS)] == [[6 + i, 12 + i] for i in range(6)]
    expected = {
        "shared": [True, False],
        "iterations": [21, 21],
        "train_loss": [1.0, 1.0],
        "train_s": [2001.0, 2001.0],
        "startup_s": [9.0, 0.0],
        "score_s": [0.0, 20.0],
        "select_s": [0.0, 30.0],
        "train_setup_s": [201.0, 201.0],
        "evaluate_s": [7.0, 7.0],
        "overhead_s": [217.0, 258.0],
        "n_pool_units": [50, 50],
        "n_pool_fg_voxels": [60.0, 60.0],
        "started_at": ["fold 0", "fold 0"],
        "warnings": ["fold 0; fold 1; test", "query; fold 0; fold 1; test"],
        "cached_scores": ["", "entropy"],
        "config_hash": ["f00", "f00"],
        "device": ["cpu", "cpu"],
        "protocol": ["p", "p"],
    }
    assert {name: list(runs[name]) for name in expected} == expected


@pytest.mark.parametrize("stage", ["train-0", "train-1", "evaluate", "scan", "start", "prepare"])
def test_a_round_without_a_stage_has_no_row(run: RunFolder, stage: str) -> None:
    shared = run.study("d").seed(3)
    of_the_seed = stage in ("scan", "start", "prepare")
    stage_record(shared.path if of_the_seed else shared.first_round.path, stage).unlink()
    write_tables(run.path)
    if of_the_seed:
        assert not run.round_table.exists()
    else:
        assert list(read_rounds(run.path)["round"]) == [1]


def left_out(run: RunFolder, why: str) -> None:
    """The first chain's round 1 is left out for one reason, and named; its other round is not."""
    (line,) = write_tables(run.path)
    assert line.startswith(f"{run.study('d').chain('mcd', 3).round(1).path} is left out of the tables: ")
    assert why in line
    assert list(read_rounds(run.path)["round"]) == [0]


def test_a_round_is_left_out_whose_model_has_changed_since_its_test(run: RunFolder) -> None:
    folder = run.study("d").chain("mcd", 3).round(1).path
    (folder / "model-0.pth").write_text("weights")
    tested = StageRecord.read(folder, "evaluate").model_copy(update={"inputs": {"model-0.pth": "0" * 64}})
    tested.write(folder, "evaluate")
    left_out(run, "model-0.pth has changed")


def test_a_round_with_a_damaged_record_is_left_out(run: RunFolder) -> None:
    stage_record(run.study("d").chain("mcd", 3).round(1).path, "train-1").write_text("{")
    left_out(run, "train-1.stage.json: expected a JSON object")


def test_a_round_with_notes_of_another_form_is_left_out(run: RunFolder) -> None:
    record(run.study("d").chain("mcd", 3).round(1).path, "evaluate", 7.0, {"peak_rss_mib": 5.0, "warnings": 3})
    left_out(run, "records of another form")


def test_copies_of_folders_are_no_rounds(run: RunFolder) -> None:
    chain = run.study("d").chain("mcd", 3).path
    for copy in (
        chain.with_name("seed-3-copy"),
        chain.with_name("seed-4"),
        chain.parent.with_name("mcd (copy)") / "seed-3",
    ):
        shutil.copytree(chain, copy)
    shutil.copytree(chain / "round-1", chain / "round-1 (copy)")
    shutil.copytree(chain / "round-1", chain / "round-7")
    shutil.copytree(run.path / "d", run.path / "d-copy")
    lines = write_tables(run.path)
    assert len(read_rounds(run.path)) == 2
    assert all("its query is of d mcd seed 3 round" in line for line in lines)
    assert len(lines) == 3
