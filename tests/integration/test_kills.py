"""Runs killed at any moment end with the results of one that was left alone."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from pathlib import Path

import pandas as pd
import pytest

from albench.data import Dataset
from albench.results.folder import output_folder
from albench.results.tables import read_results
from albench.study.workers import run_studies
from tests.support.fake_study import STRATEGIES, fake_study

N_KILLS = int(os.environ.get("ALBENCH_KILLS", "60"))


def _run(dataset: Dataset, out: Path) -> None:
    with output_folder(out, fresh=False):
        run_studies([fake_study(dataset, out)], STRATEGIES, [0, 1], n_processes=1)


def files(out: Path) -> dict[str, bytes]:
    """Queries and models, by their place."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.suffix in (".json", ".pth", ".npz") and not path.name.endswith(".stage.json")
    }


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    _run(phantom, out)
    return out


def kills_until_finished(phantom: Dataset, out: Path, rng: random.Random, most: int) -> int:
    """Kill -9 a run again and again, `most` times, and let it end; return how often it was killed."""
    context = multiprocessing.get_context("fork")
    n_killed = 0
    while True:
        process = context.Process(target=_run, args=(phantom, out))
        process.start()
        process.join(rng.uniform(0.02, 0.35) if n_killed < most else None)
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            n_killed += 1
        else:
            assert process.exitcode == 0
            return n_killed


def require_same(out: Path, finished: Path) -> None:
    """Queries and models are the same, and so is what there is of shared scores.

    These are written one after the other; one that nobody asked for is not computed again where a kill came before it.
    """
    found, expected = files(out), files(finished)
    unwritten = {name for name in expected.keys() - found.keys() if Path(name).parent.name == "scores"}
    expected = {name: content for name, content in expected.items() if name not in unwritten}
    assert found == expected, "half-written files among them"
    pd.testing.assert_frame_equal(read_results(out), read_results(finished))


@pytest.mark.slow
def test_killed_hundreds_of_times_studies_end_the_same(finished: Path, phantom: Dataset, tmp_path: Path) -> None:
    rng, n_killed, n_studies = random.Random(1), 0, 0
    while n_killed < N_KILLS:
        n_studies += 1
        n_killed += kills_until_finished(phantom, tmp_path / str(n_studies), rng, 40)
        require_same(tmp_path / str(n_studies), finished)
    print(f"{n_killed} kills in {n_studies} studies")
