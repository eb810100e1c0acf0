"""`al-bench check`: what it catches, what it leaves alone, and how often it is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albench.check.baseline import START, Baseline, Cell, FirstQuery, load_baseline, repeated, save_baseline, summarise
from albench.check.compare import CHANCE, FALSE_ALARMS, Row, compare
from albench.data import Dataset
from albench.errors import InputError
from albench.study.workers import run_studies
from albench.terminal.cli import main
from tests.support.fake_study import fake_protocol, fake_study

STUDY = {"dataset": "d", "protocol": {"rounds": 4}}
CURVES = {"random": (0.60, 0.66, 0.70), "usim-f": (0.63, 0.70, 0.74)}
N_UNLABELLED, BUDGET = 600, 20


def simulated(
    rng: np.random.Generator,
    seeds: range,
    *,
    first: float = 0.5,
    curves: dict[str, tuple[float, ...]] = CURVES,
    seed_spread: float = 0.015,
    noise: float = 0.008,
    repetitions: int = 1,
) -> Baseline:
    """A study whose Dice has an effect of the seed, common to its chains, and noise of each training."""
    effect = rng.normal(scale=seed_spread, size=len(seeds))

    def dice(mean: float) -> dict[int, tuple[float, ...]]:
        return {s: tuple(mean + effect[i] + rng.normal(scale=noise, size=repetitions)) for i, s in enumerate(seeds)}

    cells = [Cell(dataset="d", protocol="quick", strategy=START, round=0, dice=dice(first))]
    for name, means in curves.items():
        cells += [
            Cell(dataset="d", protocol="quick", strategy=name, round=i, dice=dice(mean))
            for i, mean in enumerate(means, start=1)
        ]
    return Baseline(studies={"d": STUDY}, cells=tuple(cells), queries=())


def query(units: np.ndarray, seed: int = 0, strategy: str = "usim-f") -> FirstQuery:
    named = tuple(("case", int(unit)) for unit in units)
    return FirstQuery(dataset="d", strategy=strategy, seed=seed, n_unlabelled=N_UNLABELLED, units=named)


def failures(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.passed]


def test_noise_raises_the_alarm_as_seldom_as_promised() -> None:
    """100 comparisons of a study with another of other seeds, nothing having changed."""
    rng = np.random.default_rng(0)
    alarms = sum(bool(failures(compare(simulated(rng, range(6, 8)), simulated(rng, range(6))))) for _ in range(100))
    assert alarms <= 100 * FALSE_ALARMS * 3


@pytest.mark.parametrize(
    ("change", "least"),
    [
        ({"first": 0.38, "curves": {"random": (0.50, 0.58, 0.63), "usim-f": (0.52, 0.61, 0.67)}}, 95),
        ({"curves": {"random": (0.60, 0.66, 0.70), "usim-f": (0.50, 0.57, 0.62)}}, 95),
    ],
    ids=["half the iterations", "one strategy broken"],
)
def test_planted_falls_of_dice_are_caught(change: dict[str, object], least: int) -> None:
    rng = np.random.default_rng(1)
    caught = sum(
        bool(failures(compare(simulated(rng, range(2), **change), simulated(rng, range(6)))))  # type: ignore[arg-type]
        for _ in range(100)
    )
    assert caught >= least


def test_random_choices_under_another_name_are_caught_by_their_units() -> None:
    """Their Dice may pass; 100 comparisons of unrelated choices, and of choices that agree by a third."""
    rng = np.random.default_rng(2)
    whole = Baseline(studies={"d": STUDY}, cells=(), queries=())
    caught = kept = 0
    for _ in range(100):
        units = rng.permutation(N_UNLABELLED)
        baseline = whole.model_copy(update={"queries": (query(units[:BUDGET]),)})
        similar = np.concatenate([units[: BUDGET // 3], units[-(BUDGET - BUDGET // 3) :]])
        for chosen, expected in ((rng.permutation(N_UNLABELLED)[:BUDGET], False), (similar, True)):
            rows = compare(whole.model_copy(update={"queries": (query(chosen),)}), baseline)
            passed = not failures(rows)
            caught += not passed and not expected
            kept += passed and expected
    assert caught >= 95
    assert kept == 100


def test_queries_of_all_seeds_count_together() -> None:
    """Overlaps that prove nothing seed by seed do so together, and the chance of unrelated choices is as promised."""
    whole = Baseline(studies={"d": STUDY}, cells=(), queries=())
    baseline = whole.model_copy(update={"queries": tuple(query(np.arange(BUDGET), seed) for seed in range(3))})

    def common(n: int, seeds: int) -> list[Row]:
        units = np.concatenate([np.arange(n), 100 + np.arange(BUDGET - n)])
        return compare(whole.model_copy(update={"queries": tuple(query(units, s) for s in range(seeds))}), baseline)

    assert [row.passed for row in common(3, seeds=1)] == [False]
    assert [row.passed for row in common(3, seeds=3)] == [True]
    (row,) = common(0, seeds=3)
    rng = np.random.default_rng(12)
    drawn = rng.hypergeometric(BUDGET, N_UNLABELLED - BUDGET, BUDGET, size=(100_000, 3)).sum(axis=1)
    assert (drawn >= row.threshold).mean() < CHANCE < (drawn >= row.threshold - 1).mean()


def test_the_same_results_pass() -> None:
    study = simulated(np.random.default_rng(3), range(3))
    rows = compare(study, study)
    assert len(rows) == 1 + 2 * 3 + 2
    assert not failures(rows)


def test_rows_that_fail_are_named() -> None:
    study = simulated(np.random.default_rng(4), range(4))
    low = [
        cell.model_copy(update={"dice": {seed: (dice - 0.3,) for seed, (dice,) in cell.dice.items()}})
        if (cell.strategy, cell.round) == ("random", 3)
        else cell
        for cell in study.cells
    ]
    failed = failures(compare(study.model_copy(update={"cells": tuple(low)}), study))
    assert ("random", 3) in {(row.strategy, row.round) for row in failed}
    assert {row.strategy for row in failed} == {"random"}
    assert failed[0].message.startswith("d random round 3: mean foreground Dice 0.4")


def test_missing_results_fail() -> None:
    study = simulated(np.random.default_rng(5), range(3))
    only_random = tuple(cell for cell in study.cells if cell.strategy != "usim-f")
    failed = failures(compare(study.model_copy(update={"cells": only_random}), study))
    assert len(failed) == 4
    assert failed[0].message == "d usim-f round 1: expected a result, found none"
    assert failed[0].as_json()["found"] is None


def test_better_results_pass() -> None:
    study = simulated(np.random.default_rng(6), range(3))
    raised = tuple(
        cell.model_copy(update={"dice": {seed: (dice + 0.2,) for seed, (dice,) in cell.dice.items()}})
        for cell in study.cells
    )
    assert not failures(compare(study.model_copy(update={"cells": raised}), study))


def test_another_configuration_is_refused() -> None:
    study = simulated(np.random.default_rng(7), range(3))
    other = study.model_copy(update={"studies": {"d": {"dataset": "d", "protocol": {"rounds": 5}}}})
    with pytest.raises(InputError, match=r"another configuration of d \(protocol.rounds: 4 -> 5\)"):
        compare(other, study)


def test_repetitions_add_up_and_keep_what_only_one_has() -> None:
    rng = np.random.default_rng(13)
    first, second = simulated(rng, range(3)), simulated(rng, range(1, 4), curves={"random": CURVES["random"]})
    both = repeated(replace_queries(first, query(np.arange(5))), replace_queries(second, query(np.arange(9), seed=3)))
    cells = {(cell.strategy, cell.round): cell.dice for cell in both.cells}
    assert {seed: len(values) for seed, values in cells["random", 2].items()} == {0: 1, 1: 2, 2: 2, 3: 1}
    assert {seed: len(values) for seed, values in cells["usim-f", 2].items()} == {0: 1, 1: 1, 2: 1}
    (old,) = (cell.dice for cell in first.cells if (cell.strategy, cell.round) == ("random", 2))
    (new,) = (cell.dice for cell in second.cells if (cell.strategy, cell.round) == ("random", 2))
    assert cells["random", 2][1] == (*old[1], *new[1])
    assert [len(entry.units) for entry in both.queries] == [5, 9]
    other = first.model_copy(update={"studies": {"d": {"dataset": "d", "protocol": {"rounds": 5}}}})
    with pytest.raises(InputError, match="another configuration of d"):
        repeated(first, other)


def test_a_seed_is_compared_with_itself_where_it_was_repeated() -> None:
    """A fall of less than the seeds' spread, but more than the repetitions'; a run of other seeds has no pairs."""
    rng = np.random.default_rng(14)
    spread = {"seed_spread": 0.08, "noise": 0.004}
    baseline = simulated(rng, range(5), repetitions=3, **spread)

    def like(fall: float) -> Baseline:
        cells = [
            cell.model_copy(update={"dice": {seed: (values[0] - fall,) for seed, values in cell.dice.items()}})
            for cell in baseline.cells
        ]
        return baseline.model_copy(update={"cells": tuple(cells)})

    assert failures(compare(like(0.0), baseline)) == []
    assert len(failures(compare(like(0.04), baseline))) == 9
    assert failures(compare(like(0.04), like(0.0))) == [], "without repetitions"
    assert failures(compare(simulated(rng, range(5, 10), **spread), baseline)) == [], "other seeds"


def test_one_seed_has_no_spread() -> None:
    study = simulated(np.random.default_rng(8), range(1))
    with pytest.raises(InputError, match="at least 2 finished seeds of d"):
        compare(study, study)


@pytest.mark.slow
def test_strategies_may_have_different_seeds() -> None:
    """Noise is known from all runs there are; the spread from a few seeds of one strategy more is no worse."""
    rng = np.random.default_rng(15)

    def uneven(seeds: range, few: int, repetitions: int = 1) -> Baseline:
        study = simulated(rng, seeds, repetitions=repetitions)
        cells = [
            cell.model_copy(update={"dice": {seed: cell.dice[seed] for seed in list(cell.dice)[:few]}})
            if cell.strategy == "usim-f"
            else cell
            for cell in study.cells
        ]
        return study.model_copy(update={"cells": tuple(cells)})

    for repetitions in (1, 3):
        alarms = caught = 0
        for _ in range(100):
            baseline = uneven(range(6), 1, repetitions)
            alarms += bool(failures(compare(uneven(range(6, 8), 1), baseline)))
            fallen = simulated(rng, range(6, 9), curves={"random": (0.45, 0.5, 0.55), "usim-f": CURVES["usim-f"]})
            caught += {row.strategy for row in failures(compare(fallen, baseline))} >= {"random"}
        assert alarms <= 100 * FALSE_ALARMS * 3
        assert caught >= 95
    none_shared = uneven(range(2), 1)
    cells = tuple(
        cell.model_copy(update={"dice": {seed + 1: dice for seed, dice in cell.dice.items()}})
        if cell.strategy == "usim-f"
        else cell
        for cell in none_shared.cells
    )
    study = none_shared.model_copy(update={"cells": cells})
    assert not failures(compare(study, study))


def test_a_strategy_with_fewer_seeds_than_others_keeps_its_queries() -> None:
    whole = Baseline(studies={"d": STUDY}, cells=(), queries=())
    units = np.arange(BUDGET)
    baseline = replace_queries(whole, *(query(units, seed, name) for seed in range(3) for name in ("usim-f", "stb")))
    fewer = replace_queries(whole, *(query(units, seed, "usim-f") for seed in range(3)), query(units, 0, "stb"))
    rows = compare(fewer, baseline)
    assert {(row.strategy, row.found, row.passed) for row in rows} == {("usim-f", 60, True), ("stb", 20, True)}
    lost = replace_queries(whole, *(query(units, seed, "usim-f") for seed in range(3)))
    assert [row.strategy for row in failures(compare(lost, baseline))] == ["stb"]


def test_a_query_too_small_to_tell_is_left_out() -> None:
    study = simulated(np.random.default_rng(9), range(3))
    few = replace_queries(
        study, FirstQuery(dataset="d", strategy="x", seed=0, n_unlabelled=3, units=(("c", 1), ("c", 2)))
    )
    assert all(row.what == "dice" for row in compare(few, few))


def test_a_baseline_may_be_of_some_strategies() -> None:
    study = simulated(np.random.default_rng(16), range(3))
    study = replace_queries(study, query(np.arange(5)), query(np.arange(5), strategy="random"))
    part = study.only(["random"])
    assert {cell.strategy for cell in part.cells} == {START, "random"}
    assert [entry.strategy for entry in part.queries] == ["random"]
    assert not failures(compare(study, part))
    with pytest.raises(InputError, match=r"--strategy: expected strategies with results \(random, usim-f\), got 'stb'"):
        study.only(["stb"])


KEPT = Path(__file__).parents[3] / "benchmarks" / "results" / "hippocampus-screen"


def test_kept_tables_make_a_baseline_without_queries(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    assert exit_status("check", KEPT, "--baseline", file, "--update", "--strategy", "random, usim-f") == 0
    kept = load_baseline(file)
    assert {cell.strategy for cell in kept.cells} == {START, "random", "usim-f"}
    assert kept.queries == ()
    assert exit_status("check", KEPT, "--baseline", file) == 0


def replace_queries(study: Baseline, *queries: FirstQuery) -> Baseline:
    return study.model_copy(update={"queries": queries})


def test_files_that_are_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        load_baseline(tmp_path / "none.json")
    for content in ("", "[]", json.dumps({"format": 1}), "{"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(InputError, match="expected a file written by `al-bench check --update`"):
            load_baseline(tmp_path / "bad.json")


def test_a_baseline_survives_its_file(tmp_path: Path) -> None:
    study = replace_queries(simulated(np.random.default_rng(10), range(3)), query(np.arange(BUDGET)))
    save_baseline(study, tmp_path / "sub" / "baseline.json")
    assert load_baseline(tmp_path / "sub" / "baseline.json") == study


@pytest.mark.slow
def test_on_a_finished_study(phantom: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command itself: update, pass, another trainer and another strategy behind the name caught."""
    out, file = tmp_path / "out", tmp_path / "baseline.json"
    protocol = fake_protocol(budget=20)
    run_studies([fake_study(phantom, out, protocol)], ["random", "usim-f", "full"], range(3), 1)
    one = tmp_path / "one"
    run_studies([fake_study(phantom, one, protocol)], ["random"], range(1), 1)
    assert exit_status("check", one, "--baseline", file, "--update") == 2
    assert "expected at least 2 finished seeds" in capsys.readouterr().err
    assert not file.exists()
    assert exit_status("check", out, "--baseline", file, "--update") == 0
    assert exit_status("check", out, "--baseline", file) == 0
    assert "0 failed" in capsys.readouterr().out
    assert exit_status("check", out, "--baseline", file, "--repeat", "--update") == 2
    again = tmp_path / "again.json"
    again.write_bytes(file.read_bytes())
    assert exit_status("check", out, "--baseline", again, "--repeat") == 0
    cell = load_baseline(again).cells[0]
    assert {len(values) for values in cell.dice.values()} == {2}
    assert exit_status("check", out, "--baseline", again) == 0
    capsys.readouterr()

    summary = summarise(out)
    assert {cell.strategy for cell in summary.cells} == {START, "random", "usim-f", "full"}
    swapped = {query.seed: query.units for query in summary.queries if query.strategy == "random"}
    queries = tuple(
        entry.model_copy(update={"units": swapped[entry.seed]}) if entry.strategy == "usim-f" else entry
        for entry in summary.queries
    )
    failed = failures(compare(summary.model_copy(update={"queries": queries}), summary))
    assert {(row.strategy, row.what) for row in failed} == {("usim-f", "query")}

    training = protocol.training.model_copy(update={"first_iterations": 20, "round_iterations": 10})
    weak = fake_study(phantom, tmp_path / "weak", protocol.model_copy(update={"training": training}))
    run_studies([weak], ["random", "usim-f", "full"], range(3), 1)
    assert exit_status("check", tmp_path / "weak", "--baseline", file) == 2  # says that the configuration differs
    assert "another configuration of" in capsys.readouterr().err
    save_baseline(replace_studies(load_baseline(file), summarise(tmp_path / "weak")), file)
    assert exit_status("check", tmp_path / "weak", "--baseline", file, "--json") == 1
    rows = json.loads(capsys.readouterr().out)
    assert not all(row["passed"] for row in rows)


def replace_studies(baseline: Baseline, other: Baseline) -> Baseline:
    return baseline.model_copy(update={"studies": other.studies})


def exit_status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as error:
        main([str(argument) for argument in arguments])
    return int(error.value.code or 0)


def test_a_row_passes_at_its_threshold() -> None:
    row = Row("d", "s", "dice", 1, 0.5, 0.4, 0.4)
    assert row.passed
    assert not replace(row, found=0.399).passed
