"""What `al-bench plan` promises, against what a run then does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from albench.data import Dataset
from albench.errors import InputError
from albench.progress import Silent
from albench.protocols import load_protocol
from albench.results.tables import read_results
from albench.stats.registered import pilot_spread
from albench.study import forecast as forecast_module
from albench.study.forecast import Forecast, _remaining, forecast, forecast_studies, forecast_study
from albench.study.measuring import Costs, measure
from albench.study.request import RunRequest
from albench.study.run import Resolved
from albench.study.study import Study
from albench.study.workers import run_studies
from tests.support.fake_study import Listening, fake_protocol, fake_study
from tests.support.made_archives import make_photographs
from tests.support.report_fixtures import write_study

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
    promised = forecast_study(study, strategies, range(2), 1)
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
    forecast_study(study, ("random",), range(1), 1)
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


def test_what_is_done_of_this_very_study_is_taken_off(phantom: Dataset, tmp_path: Path) -> None:
    """Not other strategies, other seeds, another configuration, or what is damaged."""
    study = fake_study(phantom, tmp_path / "out")
    costs = replace(COSTS, score_s_per_unit=dict.fromkeys(("random", "entropy", "full"), 0.5))

    def left(asked: Study, strategies: tuple[str, ...], n_seeds: int) -> Forecast:
        return _remaining(forecast(asked, strategies, n_seeds, 1, costs), asked, strategies, range(n_seeds), said)

    said = Listening()
    assert left(study, ("random",), 1) == forecast(study, ("random",), 1, 1, costs)
    run_studies([study], ("random", "full"), range(1), 1)
    finished = left(study, ("random", "full"), 1)
    assert (finished.n_done, finished.wall_s) == (finished.n_trainings, 0)
    both = left(study, ("entropy",), 2)
    whole = forecast(study, ("entropy",), 2, 1, costs)
    assert both.n_done == 1  # the start that strategies share
    assert both.compute_s["preprocess"] == whole.compute_s["preprocess"] / 2
    assert both.compute_s["train"] == pytest.approx(0.1 * (whole.n_iterations - 200))
    other = replace(study, config=study.config.model_copy(update={"protocol": fake_protocol(budget=7)}))
    assert not said.heard
    assert left(other, ("random", "full"), 1) == forecast(other, ("random", "full"), 1, 1, costs)
    assert "does not count" in said.heard[0] and "another configuration (protocol.budget: 6 -> 7)" in said.heard[0]
    study.folder.chain("random", 0).round(1).stage("train").write_text("")
    assert left(study, ("random", "full"), 1).n_done == finished.n_done - 1


def test_what_a_run_would_refuse_is_refused_with_the_way_out(phantom: Dataset, tmp_path: Path) -> None:
    """The message's own settings fit."""
    protocol = fake_protocol(budget=5000)
    with pytest.raises(InputError, match="expected at most the") as planned:
        forecast_study(fake_study(phantom, tmp_path / "a", protocol), ("random",), range(2), 1)
    with pytest.raises(InputError) as run:
        run_studies([fake_study(phantom, tmp_path / "b", protocol)], ("random",), range(2), 1)
    assert str(planned.value) == str(run.value)
    settings = str(planned.value).partition("; what fits: ")[2].replace("--set ", "").split()
    start, budget = (int(setting.split("=")[1]) for setting in settings)
    pool = protocol.pool.model_copy(update={"start": start})
    fitting = protocol.model_copy(update={"pool": pool, "budget": budget})
    assert forecast_study(fake_study(phantom, tmp_path / "c", fitting), ("random",), range(2), 1).start == start


def test_a_pool_that_the_protocol_cuts_may_be_whole(tmp_path: Path) -> None:
    """2D images, one unit each: quick takes 40 of them and wants 160."""
    dataset = make_photographs(tmp_path / "photos", [(20, 24)] * 210, colours=False)
    study = fake_study(dataset, tmp_path / "out", load_protocol("quick", ["scoring.precision=float32"]))
    message = r"40 units in the pool of photos; what fits: --set pool.max_cases=null \(all 168 cases\) or "
    message += "--set pool.start=5 --set budget=5$"
    with pytest.raises(InputError, match=message):
        forecast_study(study, ("random",), range(1), 1)
    fitting = load_protocol("quick", ["scoring.precision=float32", "pool.max_cases=null"])
    assert forecast_study(fake_study(dataset, tmp_path / "all", fitting), ("random",), range(1), 1).n_pool_units == 168


@pytest.mark.slow
def test_a_forecast_has_what_a_run_takes_however_little_it_trains(
    phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fake_study(phantom, tmp_path / "out")
    monkeypatch.setattr(forecast_module, "resolve", lambda request, reporter: Resolved(request, (study,), 1))
    (found,) = forecast_studies(RunRequest(phantom.name, strategy="random", out=tmp_path / "new"), Silent())
    assert found.compute_s["start and report"] > 2
    assert found.wall_s > found.compute_s["start and report"]
    assert replace(found, disk_bytes=82_000_000).as_row()["disk"] == "82 MB"
    assert replace(found, disk_bytes=1_820_000_000).as_row()["disk"] == "1.8 GB"


def test_a_pilot_says_what_the_claims_seeds_can_find(
    phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fake_study(phantom, tmp_path / "out")
    monkeypatch.setattr(forecast_module, "resolve", lambda request, reporter: Resolved(request, (study,), 1))
    monkeypatch.setattr(forecast_module, "_startup_s", lambda: 0.1)
    monkeypatch.setattr(forecast_module, "measure", lambda *about: COSTS)
    pilot = write_study(tmp_path / "pilot", dataset=phantom.name, n_seeds=4)
    about = {"endpoint": "final", "smallest": 0.01, "looks": [8, 16]}
    claims = ({"strategy": "usim-f"} | about, {"strategy": "claspe"} | about)
    request = RunRequest(phantom.name, strategy="random,usim-f", seeds=8, out=tmp_path / "new", claims=claims)
    (found,) = forecast_studies(request, Silent(), 0.02, pilot)
    of_pilot, given = found.claims
    assert found.power is None
    assert (of_pilot.source, given.source, given.sd) == ("the pilot's", "as given", 0.02)
    assert of_pilot.sd == pilot_spread(read_results(pilot), request.claims[0])
    assert found.as_row()["can find"].count("80 % power") == 2
    assert [claim["claim"]["strategy"] for claim in found.as_json()["claims"]] == ["usim-f", "claspe"]
    with pytest.raises(InputError, match="expected two seeds with both strategies of some claim"):
        forecast_studies(replace(request, claims=claims[1:]), Silent(), None, pilot)
    with pytest.raises(InputError, match="expected a study with claims"):
        forecast_studies(replace(request, claims=()), Silent(), None, pilot)


def test_side_by_side_a_run_takes_at_least_its_longest_chain(phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path / "out")
    many = forecast(study, ("random", "usim-f"), 1, 100, COSTS)
    chain = 0.1 * (200 + 2 * 100) + many.compute_s["score"]
    assert many.wall_s == pytest.approx(many.compute_s["preprocess"] + chain)
