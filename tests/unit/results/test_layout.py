"""Where everything lies in a results folder, and which of it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from albench.errors import InputError
from albench.results.layout import CEILING, SHARED, RunFolder, plain_name, train_stages


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two data sets, chains begun in no order, and what else lies in a results folder."""
    folders = [
        "b/random/seed-10/round-2",
        "b/random/seed-2/round-10",
        "b/random/seed-2/round-9",
        "b/random/seed-2/round-0",
        "b/full/seed-2/round-9",
        "b/_shared/seed-2/round-0",
        "b/_shared/seed-10/nnunet",
        "a/usim-f+query=expected/seed-0/round-1",
        "tensorboard/b/random/seed-2",
        "report",
    ]
    strangers = ["b/random/seed-x/round-1", "b/random/seed-02/round-1", "b/random/seed-2/round-1b", "b/notes", "empty"]
    for folder in folders + strangers:
        (tmp_path / folder).mkdir(parents=True)
    for file in ("config.json", "results.parquet", "b/random/seed-3", "b/random/seed-2/round-7"):
        touch(tmp_path / file)
    return RunFolder(tmp_path)


def test_rounds_come_by_data_set_strategy_and_number(run: RunFolder) -> None:
    found = [(each.dataset, each.strategy, each.seed, each.number) for each in run.rounds()]
    assert found == [
        ("a", "usim-f+query=expected", 0, 1),
        ("b", "full", 2, 9),
        ("b", "random", 2, 0),
        ("b", "random", 2, 9),
        ("b", "random", 2, 10),
        ("b", "random", 10, 2),
    ]
    assert all(each.path.is_dir() for each in run.rounds())
    assert run.datasets() == ["a", "b"]
    assert [seed.seed for seed in run.study("b").seeds()] == [2, 10]
    assert list(run.study("a").seeds()) == []


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "none")
    assert list(run.rounds()) == run.datasets() == []
    assert not run.study("d").has_finished_stage()
    assert list(run.study("d").trained()) == []


def test_paths_are_those_of_version_0_1(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    chain = run.study("d").chain("mcd", 3)
    number = chain.round(2)
    expected = {
        run.config: "config.json",
        run.result_table: "results.parquet",
        run.round_table: "rounds.parquet",
        run.report: "report",
        chain.path: "d/mcd/seed-3",
        chain.events: "tensorboard/d/mcd/seed-3",
        chain.shared.path: "d/_shared/seed-3",
        chain.shared.pool: "d/_shared/seed-3/pool.parquet",
        chain.shared.start: "d/_shared/seed-3/start.json",
        chain.shared.descriptors: "d/_shared/seed-3/descriptors.npy",
        chain.shared.first_round.scores: "d/_shared/seed-3/round-0/scores",
        number.path: "d/mcd/seed-3/round-2",
        number.query: "d/mcd/seed-3/round-2/query.json",
        number.gallery: "d/mcd/seed-3/round-2/gallery.npz",
        number.evaluation: "d/mcd/seed-3/round-2/evaluation.parquet",
        number.stage("train"): "d/mcd/seed-3/round-2/train.stage.json",
        number.models(1)[0]: "d/mcd/seed-3/round-2/model.pth",
        number.models(2)[1]: "d/mcd/seed-3/round-2/model-1.pth",
    }
    assert {str(path.relative_to(tmp_path)) for path in expected} == set(expected.values())
    for path, text in expected.items():
        assert path == tmp_path / text
    assert list(train_stages(3)) == ["train-0", "train-1", "train-2"]


@pytest.mark.parametrize(
    ("strategy", "number", "place"),
    [
        ("random", 0, "_shared/seed-1/round-0"),
        ("random", 1, "random/seed-1/round-1"),
        (CEILING, 4, "full/seed-1/round-4"),
        (CEILING, 0, "full/seed-1/round-0"),
        (SHARED, 0, "_shared/seed-1/round-0"),
    ],
)
def test_round_0_is_shared_but_not_of_the_ceiling(tmp_path: Path, strategy: str, number: int, place: str) -> None:
    own = RunFolder(tmp_path).study("d").chain(strategy, 1).round(number)
    assert own.trained_in.path == tmp_path / "d" / place
    assert own.is_shared == (place.startswith("_shared"))
    assert own.trained_in.trained_in == own.trained_in


def test_finished_trainings_are_told_from_other_stages(run: RunFolder) -> None:
    study = run.study("b")
    assert not study.has_finished_stage()
    touch(study.seed(2).path / "scan.stage.json")
    assert study.has_finished_stage()
    assert list(study.trained()) == []
    shared, own = study.seed(2).first_round, study.chain("random", 2).round(9)
    touch(shared.stage("train"))
    for name in ("train-0", "train-1", "evaluate", "query", "trainer"):
        touch(own.stage(name))
    assert list(study.trained()) == [shared, own]
    assert shared.trainings() == ["train"]
    assert own.trainings() == ["train-0", "train-1"]


def test_a_round_alone_is_a_finished_stage_too(run: RunFolder) -> None:
    touch(run.study("a").chain("usim-f+query=expected", 0).round(1).stage("query"))
    assert run.study("a").has_finished_stage()
    assert not run.study("b").has_finished_stage()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    study = RunFolder(tmp_path).study("d")
    with pytest.raises(InputError, match=r"data set: expected a plain name.*, got "):
        RunFolder(tmp_path).study(name)
    with pytest.raises(InputError, match=r"strategy: expected a plain name.*, got "):
        study.chain(name, 0)


@pytest.mark.parametrize("name", ["d", "..d", "usim-f+query=expected", "Zähne 2", "a.b"])
def test_other_names_are_left_as_they_are(name: str) -> None:
    assert plain_name("data set", name) == name
