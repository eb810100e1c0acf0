"""More or fewer rounds, other budgets from here on: a study that is made so is the one that was asked for at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

import albench
from albench.data import Dataset
from albench.errors import InputError
from albench.machine.files import read_json
from albench.results.collect import write_tables
from albench.results.layout import RunFolder, StudyFolder
from albench.results.query import queried_rounds
from albench.results.sealed import write_sealed
from albench.results.settings import Settings
from albench.results.stages import StageRecord
from albench.results.tables import read_results, read_rounds
from albench.study.done import find_done
from albench.study.export import _trained_rounds
from albench.study.file import read_study
from albench.study.request import RunRequest
from tests.support.fake_study import Listening, unclaimed_study
from tests.support.longer_study import (
    STRATEGIES,
    claim,
    content,
    copy,
    finished_studies,
    protocol_of,
    require_same,
    run,
)


@pytest.fixture(scope="module")
def studies(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    return finished_studies(phantom, tmp_path_factory)


def written(out: Path, dataset: Dataset, chains: Sequence[str]) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for chain in chains
        for path in (out / dataset.name / chain).rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_round_more_is_the_longer_study(studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path) -> None:
    out = copy(studies(3), tmp_path / "out")
    stays = written(out, phantom, ("_shared", "random", "mcd", "usim-f"))
    lines = run(phantom, out, protocol_of(4))
    name = phantom.name
    assert lines == [
        f"{name} claspe seed 0: begins again; what it chose for another number of queries is in "
        f"{out}/set-aside/claspe-seed-0-1 now",
        f"{name} full: as many iterations as a chain has, 500 now: 1 training again; those of another number of rounds "
        "stay and are in no table",
        f"{name}: 3 rounds of 3 chains kept, 1 round more each",
    ]
    require_same(out, studies(4), [f"{name}/full/seed-0/round-2/"])
    assert {path: path.stat().st_mtime_ns for path in stays} == stays, "nothing was done again"
    assert content(out / "set-aside/claspe-seed-0-1") == content(studies(3) / name / "claspe/seed-0")
    assert (out / name / "full/seed-0/round-2/model.pth").is_file()
    assert claim(phantom, out, protocol_of(4)) == [], "said once"


def test_fewer_rounds_are_the_shorter_study_and_more_again_the_longer(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    out, name = copy(studies(4), tmp_path / "out"), phantom.name
    lines = run(phantom, out, protocol_of(3))
    assert f"{name}: 3 chains with rounds after the 3 asked for, which stay and are in no table" in lines
    assert f"{name}: 3 rounds of 3 chains kept, none more" in lines
    later = [f"{name}/{chain}/seed-0/round-3/" for chain in STRATEGIES]
    require_same(out, studies(3), later)
    settings = Settings.read(RunFolder(out)).study(name)
    assert max(_trained_rounds(StudyFolder(RunFolder(out), name).chain("mcd", 0), settings, "train")) == 2
    stays = written(out, phantom, ("_shared", "random", "mcd", "usim-f", "full"))
    assert any(
        "3 rounds of 3 chains kept" in line or "4 rounds of 3 chains kept" in line
        for line in run(phantom, out, protocol_of(4))
    )
    require_same(out, studies(4), [f"{name}/full/seed-0/round-2/"])
    assert {path: path.stat().st_mtime_ns for path in stays} == stays


def test_strategies_and_seeds_are_added(studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path) -> None:
    run(phantom, tmp_path / "out", protocol_of(3), ("random", "claspe"))
    stays = written(tmp_path / "out", phantom, ("random", "claspe"))
    assert run(phantom, tmp_path / "out", protocol_of(3), ("random", "claspe", "mcd"), 2) == []
    run(phantom, tmp_path / "at-once", protocol_of(3), ("random", "claspe", "mcd"), 2)
    require_same(tmp_path / "out", tmp_path / "at-once")
    assert {path: path.stat().st_mtime_ns for path in stays} == stays


def test_a_budget_may_change_from_the_next_query_on(phantom: Dataset, tmp_path: Path) -> None:
    out, chains = tmp_path / "out", ("random", "mcd")
    run(phantom, out, protocol_of(3, 4), chains)
    before = content(out)
    message = r"another configuration \(protocol.budget: 4 -> \[4, 6\]\): its query of round 2 is done, with budget 4"
    with pytest.raises(InputError, match=message):
        claim(phantom, out, protocol_of(3, (4, 6)), chains)
    assert content(out) == before
    lines = run(phantom, out, protocol_of(4, (4, 4, 9)), chains)
    assert lines == [f"{phantom.name}: 3 rounds of 2 chains kept, 1 round more each"]
    run(phantom, tmp_path / "at-once", protocol_of(4, (4, 4, 9)), chains)
    require_same(out, tmp_path / "at-once")
    # the query of round 3 is done: with 9 units, also where fewer rounds were asked for in between
    run(phantom, out, protocol_of(3, (4, 4)), chains)
    with pytest.raises(InputError, match="its query of round 3 is done, with budget 9"):
        claim(phantom, out, protocol_of(4, 4), chains)


def test_other_settings_are_refused_with_more_rounds_too(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    out = copy(studies(3), tmp_path / "out")
    before = content(out)
    other = protocol_of(4)
    other = other.model_copy(update={"training": other.training.model_copy(update={"round_iterations": 77})})
    with pytest.raises(InputError, match=r"protocol.rounds: 3 -> 4; protocol.training.round_iterations: 100 -> 77"):
        claim(phantom, out, other)
    with pytest.raises(InputError, match="expected at most the"):
        claim(phantom, out, protocol_of(400))
    assert content(out) == before and read_study(out / "study.yaml")["rounds"] == 3


def test_a_half_finished_study_goes_on_as_the_longer_one(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    out, name = copy(studies(3), tmp_path / "out"), phantom.name
    shutil.rmtree(out / name / "mcd/seed-0/round-2")
    (out / name / "usim-f/seed-0/round-2/evaluate.stage.json").unlink()
    lines = claim(phantom, out, protocol_of(4))
    assert f"{name}: 3 rounds of 1 chain kept, 1 round more" in lines
    assert f"{name}: 2 rounds of 2 chains kept, 2 rounds more each" in lines
    run(phantom, out, protocol_of(4))
    require_same(out, studies(4), [f"{name}/full/seed-0/round-2/"])


def test_a_ceiling_with_iterations_of_its_own_is_not_trained_again(phantom: Dataset, tmp_path: Path) -> None:
    out, chains = tmp_path / "out", ("random", "full")
    run(phantom, out, protocol_of(3, full_iterations=300), chains)
    trained = (out / phantom.name / "full/seed-0/round-2/model.pth").stat()
    longer = protocol_of(4, full_iterations=300)
    done = find_done(unclaimed_study(phantom, out, longer), chains, range(1))
    assert done.n_trainings == 1 + 2 + 1, "the start, two rounds, the ceiling"
    assert run(phantom, out, longer, chains) == [f"{phantom.name}: 3 rounds of 1 chain kept, 1 round more"]
    run(phantom, tmp_path / "at-once", longer, chains)
    require_same(out, tmp_path / "at-once", [f"{phantom.name}/full/seed-0/round-2/"])
    copied = (out / phantom.name / "full/seed-0/round-3/model.pth").stat()
    assert copied.st_mtime_ns == trained.st_mtime_ns
    run(phantom, out, protocol_of(3, full_iterations=300), chains)


def test_records_that_do_not_say_what_was_asked_hold(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    """As earlier versions wrote them: what the folder's settings were is noted before these change."""
    out, name = copy(studies(3), tmp_path / "out"), phantom.name
    for path in out.rglob("query.stage.json"):
        record = StageRecord.read(path.parent, "query")
        notes = {key: value for key, value in record.notes.items() if key not in ("budget", "n_queries")}
        record.model_copy(update={"notes": notes}).write(path.parent, "query")
    with pytest.raises(InputError, match="its query of round 1 is done, with budget 4"):
        claim(phantom, out, protocol_of(4, 5))
    assert any("claspe seed 0: begins again" in line for line in run(phantom, out, protocol_of(4)))
    require_same(out, studies(4), [f"{name}/full/seed-0/round-2/"])


def test_settings_with_fewer_budgets_than_queries_are_read(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    """Somebody else's: no version wrote them."""
    out = copy(studies(3), tmp_path / "out")
    for file in (out / "config.json", out / phantom.name / "settings.json"):
        values = read_json(file)["datasets"]
        values[phantom.name]["protocol"]["budget"] = [4]
        write_sealed(file, {"datasets": values}, format=Settings.FORMAT)
    for path in out.rglob("query.stage.json"):
        record = StageRecord.read(path.parent, "query")
        record.model_copy(update={"notes": {}}).write(path.parent, "query")
    assert len(list(queried_rounds(RunFolder(out)))) == 4 * 3 + 1
    assert write_tables(out) == []


def test_a_strategy_that_is_left_out_for_now_is_in_no_table_of_another_length(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    out, name = copy(studies(3), tmp_path / "out"), phantom.name
    run(phantom, out, protocol_of(4), ("random", "mcd"))
    runs = read_rounds(out)
    assert set(runs[runs["round"] > 0]["strategy"]) == {"random", "mcd", "usim-f"}
    assert {folder.strategy for folder, _ in queried_rounds(RunFolder(out)) if folder.number} == {
        "random",
        "mcd",
        "usim-f",
    }
    assert (out / name / "claspe/seed-0/round-2/model.pth").is_file()
    claim(phantom, out, protocol_of(3))
    write_tables(out)
    require_same(out, studies(3), [f"{name}/{chain}/seed-0/round-3/" for chain in ("random", "mcd")])


def test_a_plan_counts_what_stands(studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path) -> None:
    out = copy(studies(3), tmp_path / "out")
    before = content(out)
    done = find_done(unclaimed_study(phantom, out, protocol_of(4)), STRATEGIES, range(1))
    assert done.n_trainings == 1 + 3 * 2, "the start, and two rounds of three strategies"
    assert done.n_iterations == 200 + 3 * 2 * 100
    assert done.lines == (
        f"{phantom.name} claspe: chooses by the number of queries, which is 3 now: 1 chain from the first query on",
        f"{phantom.name} full: as many iterations as a chain has, 500 now: 1 training again; those of another "
        "number of rounds stay and are in no table",
        f"{phantom.name}: 3 rounds of 3 chains kept, 1 round more each",
    )
    assert content(out) == before


@pytest.mark.slow
def test_a_round_more_with_networks_is_the_longer_study(phantom: Dataset, tmp_path: Path) -> None:
    def run_networks(out: Path, rounds: int, say: Listening) -> None:
        settings = ["training.first_iterations=10", "training.round_iterations=8", "pool.start=6", "pool.max_cases=4"]
        request = RunRequest(
            str(phantom.root),
            strategy="mcd,full",
            rounds=rounds,
            budget=4,
            jobs=1,
            device="cpu",
            out=out,
            cache=tmp_path / "cache",
            set=settings,
        )
        albench.run(request, say)

    said = Listening()
    run_networks(tmp_path / "out", 2, said)
    assert not any("kept" in line for line in said.heard)
    run_networks(tmp_path / "out", 3, said)
    assert f"{phantom.name}: 2 rounds of 1 chain kept, 1 round more" in said.heard
    run_networks(tmp_path / "at-once", 3, Listening())
    known, expected = (
        content(out / phantom.name, lambda place: "nnunet/" not in place)
        for out in (tmp_path / "out", tmp_path / "at-once")
    )
    known = {place: value for place, value in known.items() if not place.startswith("full/seed-0/round-1/")}
    assert known.keys() == expected.keys()
    assert [place for place in expected if known[place] != expected[place]] == []
    pd.testing.assert_frame_equal(read_results(tmp_path / "out"), read_results(tmp_path / "at-once"))
