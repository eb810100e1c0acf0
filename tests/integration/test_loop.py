"""The whole loop on the fake trainer: what it leaves on disk, and what it makes of interruptions."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from albench.data import Dataset
from albench.errors import InputError, WorkerError
from albench.machine.files import read_json
from albench.progress import Advance, Silent
from albench.results.folder import claim_folder, output_folder
from albench.results.tables import mean_dice, read_results, read_rounds
from albench.study.workers import run_studies
from albench.training.base import Trainer
from albench.training.fake import FakeModel
from tests.support.fake_study import STRATEGIES, fake_protocol, fake_study


def queries(out: Path) -> dict[str, bytes]:
    """All query files, by their place."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("query.json"))}


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    run_studies([fake_study(phantom, out)], STRATEGIES, [0, 1], n_processes=1)
    return out


def test_every_round_has_a_query_of_new_units(finished: Path, phantom: Dataset) -> None:
    for strategy in (name for name in STRATEGIES if name != "full"):
        for seed in (0, 1):
            seen: set[tuple[str, int]] = set()
            for number, expected in enumerate((6, 6, 6)):
                folder = finished / phantom.name / strategy / f"seed-{seed}" / f"round-{number}"
                query = read_json(folder / "query.json")
                assert (query["strategy"], query["seed"], query["round"]) == (strategy, seed, number)
                units = {(unit["case"], unit["index"]) for unit in query["units"]}
                assert len(units) == expected == len(query["units"])
                assert not units & seen
                seen |= units


def test_strategies_start_equal_and_seeds_differ(finished: Path, phantom: Dataset) -> None:
    def start(strategy: str, seed: int) -> list[dict[str, object]]:
        path = finished / phantom.name / strategy / f"seed-{seed}" / "round-0" / "query.json"
        return read_json(path)["units"]

    assert start("random", 0) == start("usim-f", 0) == start("entropy", 0)
    assert start("random", 0) != start("random", 1)
    dice = mean_dice(read_results(finished))
    dice = dice[(dice["round"] == 0) & (dice["strategy"] != "full")]
    assert (dice.groupby("seed")["dice"].agg(np.ptp) == 0).all()


def test_tables_have_every_round_and_add_up(finished: Path) -> None:
    runs = read_rounds(finished)
    n_chains = (len(STRATEGIES) - 1) * 2
    assert len(runs) == n_chains * 3 + 2
    chain = runs[(runs["strategy"] == "usim-f") & (runs["seed"] == 1)].sort_values("round")
    assert list(chain["n_annotated_units"]) == [6, 12, 18]
    assert chain["n_annotated_voxels"].is_monotonic_increasing
    assert list(chain["iterations"]) == [200, 100, 100]
    assert list(chain["shared"]) == [True, False, False]
    full = runs[runs["strategy"] == "full"]
    assert (full["n_annotated_units"] == full["n_pool_units"]).all()
    assert (full["iterations"] == 400).all()
    stages = ["startup_s", "score_s", "select_s", "train_setup_s", "evaluate_s"]
    pd.testing.assert_series_equal(runs[stages].sum(axis=1), runs["overhead_s"], check_names=False)


def test_more_labels_are_better_and_all_are_best(finished: Path) -> None:
    dice = mean_dice(read_results(finished)).groupby(["strategy", "round"])["dice"].mean()
    for strategy in (name for name in STRATEGIES if name != "full"):
        assert dice[strategy, 2] > dice[strategy, 0]
        assert dice["full", 2] > dice[strategy, 2]


@pytest.mark.slow
def test_processes_change_nothing(finished: Path, phantom: Dataset, tmp_path: Path) -> None:
    run_studies([fake_study(phantom, tmp_path)], STRATEGIES, [0, 1], n_processes=2)
    assert queries(tmp_path) == queries(finished)
    pd.testing.assert_frame_equal(read_results(tmp_path), read_results(finished))


def no_trainer(work: Path) -> Trainer:
    raise AssertionError("nobody needs one")


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_finished_study_is_only_read(
    finished: Path, phantom: Dataset, monkeypatch: pytest.MonkeyPatch, n_processes: int
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.stage.json")}
    monkeypatch.setattr(SpawnProcess, "start", no_trainer)
    study = replace(fake_study(phantom, finished), make_trainer=no_trainer)
    run_studies([study], STRATEGIES, [0, 1], n_processes)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*.stage.json")}


def test_a_damaged_model_is_trained_again(finished: Path, phantom: Dataset) -> None:
    model = finished / phantom.name / "mcd" / "seed-0" / "round-1" / "model.pth"
    whole = model.read_bytes()
    model.write_bytes(whole[:-3])
    run_studies([fake_study(phantom, finished)], ["mcd"], [0], n_processes=1)
    assert model.read_bytes() == whole


def _run(dataset: Dataset, out: Path) -> None:
    run_studies([fake_study(dataset, out)], STRATEGIES, [0, 1], n_processes=1)


def test_a_budget_beyond_the_pool_is_refused_and_binds_nobody(phantom: Dataset, tmp_path: Path) -> None:
    greedy = fake_study(phantom, tmp_path, fake_protocol(budget=5000))
    with pytest.raises(InputError, match=r"budget: 6 starting units and 2 rounds of 5000 make 10006, expected at most"):
        run_studies([greedy], ["random"], [0], n_processes=1)
    run_studies([fake_study(phantom, tmp_path)], ["random"], [0], n_processes=1)
    assert set(read_rounds(tmp_path)["strategy"]) == {"random"}


def test_queries_may_have_budgets_of_their_own(phantom: Dataset, tmp_path: Path) -> None:
    protocol = fake_protocol().model_copy(update={"budget": (3, 11)})
    training = protocol.training.model_copy(update={"full_iterations": 70})
    study = fake_study(phantom, tmp_path, protocol.model_copy(update={"training": training}))
    run_studies([study], ["random", "full"], [0], n_processes=1)
    runs = read_rounds(tmp_path).set_index(["strategy", "round"])
    assert runs.loc["random", "n_annotated_units"].to_dict() == {0: 6, 1: 9, 2: 20}
    assert runs.loc[("full", 2), "iterations"] == 70
    more = fake_protocol().model_copy(update={"budget": (3, 5000)})
    message = r"budget: 6 starting units and 1 rounds of 3 and 1 rounds of 5000 make 5009, expected at most"
    with pytest.raises(InputError, match=message):
        run_studies([fake_study(phantom, tmp_path / "more", more)], ["random"], [0], n_processes=1)


def test_another_configuration_is_refused_with_the_difference(finished: Path, phantom: Dataset) -> None:
    before = queries(finished)
    with pytest.raises(InputError, match=r"another configuration \(protocol.budget: 6 -> 7\)"):
        fake_study(phantom, finished, fake_protocol(budget=7))
    assert queries(finished) == before


class Counting(Silent):
    """Counts the steps of each task."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int | None, list[str]]] = []

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        notes: list[str] = []
        self.tasks.append((title, total, notes))
        yield lambda note="": notes.append(note)


def test_scoring_counts_units_whatever_passes_it_makes(phantom: Dataset, tmp_path: Path) -> None:
    counting = Counting()
    run_studies([fake_study(phantom, tmp_path, fake_protocol(rounds=2))], ["random", "usim-f"], [0], 1, counting)
    (scoring,) = [task for task in counting.tasks if "scoring" in task[0]]
    n_units = int(scoring[0].partition("scoring ")[2].split()[0])
    assert scoring[0].endswith(f"scoring {n_units} units in 2 passes")
    assert scoring[1] == len(scoring[2]) == n_units
    assert all(total in (None, len(notes)) for _, total, notes in counting.tasks)


def test_foreign_files_are_left_alone(phantom: Dataset, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="expected an empty folder or one made by al-bench, found other files"):
        claim_folder(tmp_path, [fake_study(phantom, tmp_path / "x").config])
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


HOLD = """
import os, sys, time
from pathlib import Path
from albench.results.folder import output_folder
with output_folder(Path(sys.argv[1]), fresh=False):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_names_its_holder_and_is_free_once_that_is_killed(tmp_path: Path) -> None:
    """Even while a process forked by the holder, such as a data loader's, lives on."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with (
            pytest.raises(InputError, match=f"in use by another al-bench, process {holder.pid}"),
            output_folder(tmp_path, fresh=False),
        ):
            pass
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # still there
        with output_folder(tmp_path, fresh=False):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
    finally:
        holder.kill()
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


def test_fresh_sets_the_old_study_aside(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("first", "second"):
        with output_folder(out, fresh=True):
            assert not [entry for entry in out.iterdir() if entry.name != ".lock"]
            (out / "results.csv").write_text(text)
    assert (tmp_path / "out.old-1" / "results.csv").read_text() == "first"
    assert (out / "results.csv").read_text() == "second"


def _spawned(parent: int) -> list[int]:
    """Worker processes of a process."""
    return [child.pid for child in psutil.Process(parent).children() if "spawn_main" in " ".join(child.cmdline())]


def _wait_for_worker(parent: int) -> int:
    deadline = time.monotonic() + 180
    while not (workers := _spawned(parent)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return workers[0]


def _many_chains(dataset: Dataset, out: Path, errors: object) -> None:
    try:
        run_studies([fake_study(dataset, out)], STRATEGIES, range(40), n_processes=2)
    except WorkerError as error:
        errors.put(str(error))  # type: ignore[attr-defined]


def test_a_dead_worker_is_reported(phantom: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    errors = context.Queue()
    process = context.Process(target=_many_chains, args=(phantom, tmp_path, errors))
    process.start()
    assert process.pid is not None
    os.kill(_wait_for_worker(process.pid), signal.SIGKILL)
    assert "a worker process died" in errors.get(timeout=180)
    process.join()


def _dying_starts(dataset: Dataset, out: Path, errors: object) -> None:
    """The first worker dies, and its death is noted, while the second one starts."""
    start = SpawnProcess.start
    started: list[SpawnProcess] = []

    def start_and_kill(process: SpawnProcess) -> None:
        start(process)
        started.append(process)
        if len(started) == 2:
            assert started[0].pid is not None
            os.kill(started[0].pid, signal.SIGKILL)
            time.sleep(0.5)

    SpawnProcess.start = start_and_kill  # type: ignore[method-assign]
    _many_chains(dataset, out, errors)


def test_a_worker_that_dies_while_another_starts_is_reported(phantom: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    errors = context.Queue()
    process = context.Process(target=_dying_starts, args=(phantom, tmp_path, errors))
    process.start()
    try:
        assert "a worker process died" in errors.get(timeout=180)
    finally:
        process.kill()


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(phantom: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_many_chains, args=(phantom, tmp_path, context.Queue()))
    process.start()
    assert process.pid is not None
    worker = _wait_for_worker(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


def test_incidents_stand_in_the_runs(phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = fake_study(phantom, tmp_path / "out", fake_protocol(rounds=2))
    made = FakeModel.__init__

    def unlucky(self: FakeModel, *arguments: Any) -> None:
        made(self, *arguments)
        self.warnings.append("out of memory")

    monkeypatch.setattr(FakeModel, "__init__", unlucky)
    run_studies([study], ("entropy",), [0], 1)
    runs = read_rounds(study.out).set_index("round")
    assert runs.loc[0, "warnings"] == "out of memory"  # evaluating
    assert runs.loc[1, "warnings"] == "out of memory; out of memory"  # scoring, evaluating
