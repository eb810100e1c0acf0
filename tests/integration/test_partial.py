"""Partly labelled data: what is labelled is the start, completely labelled cases alone are tested on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from albench.config import Protocol
from albench.data import Dataset, find_problems, load_dataset, verify_cases
from albench.errors import InputError
from albench.machine.files import read_json
from albench.report import build_report
from albench.results.layout import SHARED
from albench.results.tables import read_results, read_rounds
from albench.study.run import resolve_start
from albench.study.workers import run_studies
from albench.terminal import cli
from albench.units.pool import Pool
from tests.support.fake_study import fake_protocol, fake_study
from tests.support.partial_data import make_partial

LABELLED = {3: (4, 9, -10, 11), 4: (0,), 5: (), 6: (7, 8), 7: ()}
"""Case to labelled slices; the cases 0 to 2 are labelled completely."""


@pytest.fixture(scope="module")
def partial(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    names = phantom.case_names
    return make_partial(
        phantom, tmp_path_factory.mktemp("partial"), {names[case]: slices for case, slices in LABELLED.items()}
    )


def protocol(dataset: Dataset, *, rounds: int = 3) -> Protocol:
    return resolve_start(fake_protocol(rounds=rounds), dataset, None, ["random"])


def units(folder: Path) -> list[tuple[str, int]]:
    return [(unit["case"], unit["index"]) for unit in read_json(folder / "query.json")["units"]]


def test_how_much_is_labelled_is_read_from_the_labels(partial: Dataset) -> None:
    names = partial.case_names
    assert partial.is_partial
    assert partial.labels == {0: "background", 1: "phantom head", 2: "phantom tail"}
    assert partial.complete_cases == names[:3]
    assert partial.annotated_cases == (*names[:5], names[6])
    assert [partial.annotation[name] for name in names[3:]] == ["partial", "partial", "none", "partial", "none"]  # type: ignore[index]
    assert find_problems(partial, n_workers=2) == []


def test_a_complete_data_set_with_an_ignore_label_is_an_ordinary_one(phantom: Dataset, tmp_path: Path) -> None:
    dataset = make_partial(phantom, tmp_path, {})
    assert not dataset.is_partial
    assert dataset.complete_cases == dataset.case_names
    assert protocol(dataset).pool.start_method == "random"


def test_the_ignore_value_is_a_wrong_label_where_none_is_declared(partial: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    root.mkdir()
    for part in ("imagesTr", "labelsTr"):
        (root / part).symlink_to(partial.root / part)
    description = json.loads((partial.root / "dataset.json").read_text())
    del description["labels"]["ignore"]
    (root / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"expected only label values 0, 1, 2 \(dataset\.json\), found 3; and 4 more"):
        verify_cases(load_dataset(str(root), data_dir=None, cache_dir=tmp_path / "cache"), n_workers=1)


def test_a_study_starts_from_exactly_the_labelled_slices(partial: Dataset, tmp_path: Path) -> None:
    study = fake_study(partial, tmp_path, protocol(partial))
    names = partial.case_names
    for seed in (0, 1):
        split = study.split(seed)
        assert set(split.test) <= set(names[:3])
        assert set(partial.annotated_cases) <= {*split.pool, *split.test}
    run_studies([study], ["random", "entropy"], [1], n_processes=1)
    for seed in (1,):
        split = study.split(seed)
        pool = Pool.load(tmp_path / partial.name / SHARED / f"seed-{seed}" / "pool.parquet")
        n_slices = {case: sum(unit.case == case for unit in pool.units) for case in pool.cases}
        expected = {
            (case, index)
            for number, case in enumerate(names)
            if case in split.pool
            for index in (range(n_slices[case]) if number < 3 else LABELLED[number])
            if index >= 0
        }
        for strategy in ("random", "entropy"):
            folder = tmp_path / partial.name / strategy / f"seed-{seed}"
            assert set(units(folder / "round-0")) == expected
            wanted = units(folder / "round-1")  # what should be annotated next; nobody has, so the chain ends here
            assert len(wanted) == study.config.protocol.budget
            assert not expected.intersection(wanted)
            assert not (folder / "round-1" / "model.pth").exists()
            assert not (folder / "round-2").exists()
    results, runs = read_results(tmp_path), read_rounds(tmp_path)
    assert set(results["case"]) == set(study.split(0).test)
    assert set(results["round"]) == {0}
    assert results["dice"].notna().all()
    assert (runs["n_annotated_units"] == len(expected)).all()
    page = build_report([tmp_path], None)
    assert "--start labelled" in page.read_text()


@pytest.mark.parametrize(
    ("given", "strategies", "message"),
    [
        ("typical", ["random"], "--start typical: expected labelled, or no --start"),
        (None, ["random", "full"], "strategy 'full': expected complete labels"),
        (None, ["random-fg66"], "strategy 'random-fg66': expected complete labels"),
    ],
)
def test_what_needs_all_labels_is_refused(
    partial: Dataset, given: str | None, strategies: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        resolve_start(fake_protocol(), partial, given, strategies)


def test_complete_data_have_no_labelled_start(phantom: Dataset) -> None:
    asked = fake_protocol()
    asked = asked.model_copy(update={"pool": asked.pool.model_copy(update={"start_method": "labelled"})})
    with pytest.raises(InputError, match="is labelled completely"):
        resolve_start(asked, phantom, "labelled", ["random"])


def test_nothing_to_start_from_or_to_test_on(phantom: Dataset, tmp_path: Path) -> None:
    names = phantom.case_names
    halves = make_partial(phantom, tmp_path / "a", dict.fromkeys(names[1:], (-3,)))
    study = fake_study(halves, tmp_path / "out", protocol(halves))
    assert study.split(0).test == names[:1]
    with pytest.raises(InputError, match="expected at least one completely labelled unit to start from, found none"):
        run_studies([study], ["random"], [0], n_processes=1)
    none = make_partial(phantom, tmp_path / "b", dict.fromkeys(names, (3,)))
    with pytest.raises(InputError, match="expected a completely labelled case to test on, found none"):
        fake_study(none, tmp_path / "out-b", protocol(none)).split(0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nnunet_learns_from_the_labelled_slices_alone(
    partial: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--dataset", str(partial.root), "--strategy", "random,usim-f", "--device", "cpu", "--jobs", "1",
        "--budget", "5", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out"),
        "--set", "training.first_iterations=20", "--set", "scoring.passes=2",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", *arguments])
    assert not stop.value.code
    assert "5 of the 5 units chosen are not labelled yet" in capsys.readouterr().err
    folder = tmp_path / "out" / partial.name
    for strategy in ("random", "usim-f"):
        start = units(folder / strategy / "seed-0" / "round-0")
        of_partial = [(case, index) for case, index in start if case not in partial.complete_cases]
        expected = [
            (partial.case_names[case], index) for case, slices in LABELLED.items() for index in slices if index >= 0
        ]
        assert sorted(of_partial) == sorted(expected)
        assert len(units(folder / strategy / "seed-0" / "round-1")) == 5
    assert set(read_results(tmp_path / "out")["case"]) <= set(partial.complete_cases)
    with pytest.raises(SystemExit) as stop:
        cli.main(["plan", *arguments, "--json"])
    assert not stop.value.code
    (plan,) = json.loads(capsys.readouterr().out)
    assert (plan["n_trainings"], plan["rounds"], plan["start"]) == (1, 2, len(start))
