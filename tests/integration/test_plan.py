"""What `al-bench plan` promises, against what a run then does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from albench.data import Dataset
from albench.results.layout import SHARED
from albench.study.forecast import Costs, _remaining, forecast, forecast_study, measure
from albench.study.workers import run_studies
from tests.support.fake_study import fake_protocol, fake_study

COSTS = Costs(
    units_per_case=10.0,
    prepare_s_per_case=1.0,
    train_setup_s=0.0,
    iteration_s=0.1,
    score_s_per_unit={"random": 0.0, "usim-f": 0.5, "full": 0.0},
    evaluate_s_per_case=0.0,
    model_bytes=1000,
    prepared_bytes_per_case=100.0,
)


@pytest.mark.parametrize("folds", [1, 3])
def test_trainings_and_iterations_are_those_of_the_run(folds: int, phantom: Dataset, tmp_path: Path) -> None:
    plain = fake_protocol()
    training = plain.training.model_copy(update={"folds": folds})
    study = fake_study(phantom, tmp_path / "out", plain.model_copy(update={"training": training}))
    strategies = ("random", "usim-f", "full")
    promised = forecast_study(study, strategies, 2, 1)
    run_studies([study], strategies, range(2), 1)
    runs = pd.read_parquet(tmp_path / "out" / "rounds.parquet")
    trained = runs[~(runs["shared"] & (runs["strategy"] != "random"))]  # the first training counts once a seed
    assert promised.n_trainings == folds * len(trained)
    assert promised.n_iterations == trained["iterations"].sum()
    assert promised.n_pool_units == runs["n_pool_units"].iloc[0]
    assert promised.n_test_cases == len(study.split(0).test)
    assert promised.n_pool_cases == len(study.split(0).pool)


def test_nothing_is_written_to_the_results(phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    forecast_study(study, ("random",), 1, 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_measured_costs_are_positive_and_free_strategies_free(phantom: Dataset, tmp_path: Path) -> None:
    costs = measure(fake_study(phantom, tmp_path / "out"), ("random", "usim-f"), tmp_path / "work")
    assert costs.score_s_per_unit["random"] == 0
    assert costs.score_s_per_unit["usim-f"] > 0
    assert costs.iteration_s > 0
    assert costs.model_bytes > 0


def test_times_add_up(phantom: Dataset, tmp_path: Path) -> None:
    protocol = fake_protocol(rounds=3)
    study = fake_study(phantom, tmp_path / "out", protocol)
    split = study.split(0)
    found = forecast(study, ("random", "usim-f", "full"), 1, 1, COSTS)
    iterations = 200 + 2 * 2 * 100 + protocol.chain_iterations
    scored = 2 * (10 * len(split.pool) - protocol.pool.start - protocol.budget / 2)
    assert found.n_trainings == 1 + 2 * 2 + 1
    assert found.compute_s["train"] == pytest.approx(0.1 * iterations)
    assert found.compute_s["score"] == pytest.approx(0.5 * scored)
    assert found.compute_s["preprocess"] == len(split.pool) + len(split.test)
    assert found.wall_s == pytest.approx(sum(found.compute_s.values()))
    assert found.disk_bytes == 6 * 1000 + 100 * (len(split.pool) + len(split.test))


def test_each_query_scores_what_is_unlabelled_by_then(phantom: Dataset, tmp_path: Path) -> None:
    plain = fake_protocol(rounds=4)
    training = plain.training.model_copy(update={"full_iterations": 5000})
    protocol = plain.model_copy(update={"budget": (6, 6, 20), "training": training})
    study = fake_study(phantom, tmp_path, protocol)
    found = forecast(study, ("usim-f", "full"), 1, 1, COSTS)
    unlabelled = 10 * len(study.split(0).pool) - protocol.pool.start
    assert found.compute_s["score"] == pytest.approx(0.5 * (unlabelled + unlabelled - 6 + unlabelled - 12))
    assert found.n_iterations == protocol.chain_iterations + 5000
    assert found.as_json()["budgets"] == (6, 6, 20)
    assert found.as_row()["annotated"] == "6 + 2 x 6 + 1 x 20 units a seed; seeds: 1"


def test_folds_are_trained_and_kept_each(phantom: Dataset, tmp_path: Path) -> None:
    plain = fake_protocol(rounds=3)
    training = plain.training.model_copy(update={"folds": 5})
    costs = replace(COSTS, train_setup_s=2.0, evaluate_s_per_case=3.0)
    one, five = (
        forecast(fake_study(phantom, tmp_path / name, protocol), ("random",), 1, 1, costs)
        for name, protocol in (("one", plain), ("five", plain.model_copy(update={"training": training})))
    )
    assert (five.n_trainings, five.n_iterations) == (5 * one.n_trainings, 5 * one.n_iterations)
    assert five.compute_s["train"] == pytest.approx(5 * one.compute_s["train"])
    # three rounds; what evaluating costs was measured with all folds
    assert five.compute_s["set up and evaluate"] - one.compute_s["set up and evaluate"] == pytest.approx(3 * 4 * 2.0)
    assert five.disk_bytes - one.disk_bytes == 3 * 4 * 1000


def test_what_is_there_of_the_folds_is_taken_off(phantom: Dataset, tmp_path: Path) -> None:
    found = forecast(fake_study(phantom, tmp_path / "out"), ("random",), 1, 1, COSTS)
    folder = tmp_path / "out" / phantom.name / SHARED / "seed-0" / "round-0"
    folder.mkdir(parents=True)
    (folder / "train-0.stage.json").touch()
    assert _remaining(found, tmp_path / "out").n_done == 1


def test_side_by_side_a_run_takes_at_least_its_longest_chain(phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path / "out")
    many = forecast(study, ("random", "usim-f"), 1, 100, COSTS)
    chain = 0.1 * (200 + 2 * 100) + many.compute_s["score"]
    assert many.wall_s == pytest.approx(many.compute_s["preprocess"] + chain)
