"""A results folder written by al-bench 0.1 still reads.

``results-0.1`` was written by 0.1.0 with the fake trainer on two phantoms of 8 cases: slices (2 seeds, 3 rounds, with
the ceiling and pictures) and 3D patches (1 seed, 2 rounds, 2 folds). Left out are the cached scores and the CSV
tables. ``results-0.1-read`` holds what 0.1.0 itself made of it: the report's table of queries, and a baseline.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from albench.check.baseline import load_baseline, summarise
from albench.check.compare import compare
from albench.config import StudyConfig
from albench.data import Dataset
from albench.errors import InputError
from albench.report import build_report
from albench.report.inputs import read_inputs
from albench.results.collect import write_tables
from albench.results.layout import RunFolder
from albench.results.pictures import load_gallery
from albench.results.query import Query
from albench.results.settings import Settings
from albench.results.tables import read_results, read_rounds
from albench.study.export import export_round
from albench.study.forecast import _remaining, forecast
from albench.study.measuring import Costs
from tests.support.fake_study import fake_study
from tests.support.hostile import PLANS, mark_of, planned, sign, write_model

HERE = Path(__file__).parent
SLICES, PATCHES = "phantom-pair-seed0-n8-v1", "phantom-lesion-seed0-n8-v1"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / "results-0.1", tmp_path / "out"))


def test_settings(out: Path) -> None:
    settings = Settings.read(RunFolder(out))
    assert settings.datasets == [SLICES, PATCHES]
    assert [study.n_folds for study in settings.studies] == [1, 2]
    assert {study.protocol for study in settings.studies} == {"quick"}
    assert {study.config_hash for study in settings.studies} == set(read_rounds(out)["config_hash"])


def test_every_round_and_query(out: Path) -> None:
    rounds = list(RunFolder(out).rounds())
    assert len(rounds) == 2 * (3 + 3 + 1) + 2 + 2
    for each in rounds:
        query = Query.read(each.query)
        identity = (query.dataset, query.strategy, query.seed, query.round)
        assert identity == (each.dataset, each.strategy, each.seed, each.number)
        assert query.units
        assert each.trained_in.evaluation.is_file()


@pytest.mark.slow
def test_the_report(out: Path) -> None:
    page = build_report(out)
    assert all(name in page.read_text(encoding="utf-8") for name in (SLICES, PATCHES))
    expected = (HERE / "results-0.1-read" / "queries.csv").read_text(encoding="utf-8")
    assert page.with_name("queries.csv").read_text(encoding="utf-8") == expected
    inputs = read_inputs([out])
    assert set(inputs.pools) == {(SLICES, "quick", 0), (SLICES, "quick", 1), (PATCHES, "quick", 0)}
    assert len(inputs.galleries) == 2 * 2 * 2
    assert all(len(load_gallery(file)) == 1 for file in inputs.galleries.values())


def test_the_check(out: Path) -> None:
    expected = load_baseline(HERE / "results-0.1-read" / "baseline.json")
    assert summarise(out) == expected
    slices = {"cells": tuple(cell for cell in expected.cells if cell.dataset == SLICES)}
    assert all(row.passed for row in compare(summarise(out), expected.model_copy(update=slices)))


def test_tables_are_collected_as_they_were(out: Path) -> None:
    results, runs = read_results(out), read_rounds(out)
    for table in out.glob("*.parquet"):
        table.unlink()
    write_tables(out)
    pd.testing.assert_frame_equal(read_results(out), results)
    pd.testing.assert_frame_equal(read_rounds(out), runs)


def test_the_forecast_takes_off_what_is_done(out: Path, phantom: Dataset, tmp_path: Path) -> None:
    costs = Costs(
        units_per_case=30.0,
        prepare_s_per_case=1.0,
        train_setup_s=1.0,
        iteration_s=1.0,
        score_s_per_unit=dict.fromkeys(("random", "usim-f+query=expected", "full"), 0.0),
        evaluate_s_per_case=1.0,
        model_bytes=1,
        prepared_bytes_per_case=1.0,
    )
    assert phantom.name == SLICES
    config = StudyConfig.model_validate(Settings.read(RunFolder(out)).study(SLICES).values)
    study = replace(fake_study(phantom, tmp_path / "other"), config=config, out=out)
    for strategies, n_done in (
        (("random", "usim-f+query=expected", "full"), 2 * (1 + 2 * 2 + 1)),  # start, two more rounds each, ceiling
        (("random",), 2 * (1 + 2)),
    ):
        whole = forecast(study, strategies, 20, 1, costs)
        assert _remaining(whole, study, strategies, range(20)).n_done == n_done


def test_the_export(out: Path, tmp_path: Path) -> None:
    def export(**which: object) -> Path:
        return export_round(out, results=tmp_path / "to", **which)  # type: ignore[arg-type]

    last = {"dataset": PATCHES, "strategy": "entropy", "seed": 0, "round_number": None}
    with pytest.raises(InputError, match="expected nnU-Net's plans of one data set, found 0"):
        export(**last)
    seed = RunFolder(out).study(PATCHES).seed(0)
    store = planned(seed.path)
    with pytest.raises(InputError, match=r"model-0\.pth: expected a model that `al-bench run` trained here"):
        export(**last)  # the models of this folder are those of the fake trainer
    chain = RunFolder(out).study(PATCHES).chain("entropy", 0).round(1)
    for fold, model in enumerate(chain.models(2)):
        write_model(model, store, fold)
    sign(chain.path)
    folder = export(**last)
    assert [mark_of(folder / f"fold_{fold}" / "checkpoint_final.pth") for fold in range(2)] == [0, 1]
    assert json.loads((folder / "plans.json").read_text()) == PLANS
    seed.first_round.models(2)[0].write_bytes(b"damaged")
    with pytest.raises(InputError, match="found it damaged"):
        export(**(last | {"round_number": 0}))


def test_a_damaged_pool_is_named(out: Path) -> None:
    pool = RunFolder(out).study(SLICES).seed(1).pool
    pool.write_bytes(pool.read_bytes()[:100])
    with pytest.raises(InputError, match=r"seed-1.pool\.parquet: expected a Parquet table, found an unreadable file"):
        read_inputs([out])
