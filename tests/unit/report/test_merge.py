"""Several run folders in one report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from albench.errors import InputError
from albench.protocols import load_protocol
from albench.report import build_report, summary_table
from albench.report.inputs import read_inputs
from albench.report.merge import StudyConfiguration
from albench.report.provenance import changed_settings
from albench.results.tables import read_results, write_table
from tests.support.report_fixtures import Page, write_study


def test_seeds_and_strategies_of_two_folders_add_up(tmp_path: Path) -> None:
    whole = write_study(tmp_path / "whole", n_rounds=2, n_seeds=2)
    parts = [tmp_path / "a", tmp_path / "b"]
    for folder, strategies in zip(parts, [("random", "full"), ("entropy", "usim-f")], strict=True):
        write_study(folder, n_rounds=2, n_seeds=2, strategies=strategies)
        rows = read_results(whole)
        write_table(rows[rows["strategy"].isin(strategies)], folder / "results.parquet")
    build_report(parts, tmp_path / "both")
    joined = pd.read_csv(tmp_path / "both" / "summary.csv")
    expected = summary_table(read_results(whole))
    pd.testing.assert_frame_equal(joined, expected, check_dtype=False)
    assert "side by side" not in Page(tmp_path / "both" / "index.html").text


def test_the_same_run_in_two_folders_counts_once(tmp_path: Path) -> None:
    folders = [write_study(tmp_path / name, n_rounds=2, n_seeds=1) for name in "ab"]
    one, both = read_inputs(folders[:1]), read_inputs(folders)
    pd.testing.assert_frame_equal(both.results, one.results)
    pd.testing.assert_frame_equal(both.runs, one.runs)
    pd.testing.assert_frame_equal(both.queries, one.queries)
    assert len(both.configs) == 1
    assert both.conflicts == []


def test_two_results_of_one_run_are_refused_by_name(tmp_path: Path) -> None:
    folders = [write_study(tmp_path / name, n_rounds=2, n_seeds=1, draw=draw) for draw, name in enumerate("ab")]
    expected = r"a and .*b: expected one result of dataset=phantom, .* strategy=\S+, seed=0, round=\d, found two"
    with pytest.raises(InputError, match=expected):
        build_report(folders, tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.slow
def test_studies_of_one_name_with_other_settings_stand_side_by_side(tmp_path: Path) -> None:
    folders = [
        write_study(tmp_path / "a", n_rounds=2, n_seeds=2),
        write_study(tmp_path / "b", n_rounds=2, n_seeds=1, budget=20, draw=5),
        write_study(tmp_path / "c", n_rounds=2, n_seeds=1, first_seed=1, budget=20, draw=6),
    ]
    page = Page(build_report(folders, tmp_path / "all"))
    table = pd.read_csv(tmp_path / "all" / "summary.csv").set_index(["protocol", "strategy"])
    assert list(table.index.get_level_values(0).unique()) == ["quick (A)", "quick (B)"]
    assert table.loc[("quick (B)", "random"), "n_seeds"] == 2
    own = summary_table(read_results(folders[0])).set_index("strategy")
    assert table.loc[("quick (A)", "usim-f"), "final_dice"] == pytest.approx(own.loc["usim-f", "final_dice"])
    assert f"{folders[0]} (A) and {folders[1]} (B) have different settings" in page.text
    assert "protocol.budget: 40 -> 20" in page.text
    assert "--protocol quick --seeds 2 --rounds 2 --budget 20" in page.text
    queries = pd.read_csv(tmp_path / "all" / "queries.csv")
    assert set(queries["protocol"]) == {"quick (A)", "quick (B)"}


def test_another_machine_is_no_other_study_but_is_said(tmp_path: Path) -> None:
    folders = [
        write_study(tmp_path / "a", n_rounds=2, n_seeds=1),
        write_study(tmp_path / "b", n_rounds=2, n_seeds=1, first_seed=1, device="cuda", draw=5),
    ]
    inputs = read_inputs(folders)
    assert set(inputs.results["protocol"]) == {"quick"}
    assert "ran on differing machines (device: 'cpu' -> 'cuda')" in inputs.conflicts[0]


def test_the_command_names_every_setting_that_is_not_the_protocols(tmp_path: Path) -> None:
    settings = {"protocol": {"name": "quick", "rounds": 9, "training": {"folds": 3, "momentum": 0.9}}}
    config = StudyConfiguration("phantom", "quick", settings)
    assert changed_settings(config) == ["training.folds=3"]
    folder = write_study(tmp_path, n_seeds=1, n_rounds=2)
    stored = json.loads((folder / "config.json").read_text())
    stored["datasets"]["phantom"]["protocol"] |= settings["protocol"]
    (folder / "config.json").write_text(json.dumps(stored))
    assert "--rounds 9 --budget 40 --device cpu --set training.folds=3" in Page(build_report(folder)).text


def test_the_command_sets_budgets_that_vary() -> None:
    config = StudyConfiguration("phantom", "quick", {"protocol": {"name": "quick", "budget": [5, 9]}})
    assert changed_settings(config) == ["budget=[5, 9]"]
    config = StudyConfiguration("hippocampus", "paper", {"protocol": {"name": "paper", "budget": 7}})
    assert changed_settings(config) == []  # --budget says it
    packaged = load_protocol("paper", dataset="hippocampus").model_dump(mode="json")
    assert changed_settings(StudyConfiguration("hippocampus", "paper", {"protocol": packaged})) == []
