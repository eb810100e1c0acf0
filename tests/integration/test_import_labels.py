"""Imports against real kills and against nnU-Net's own check of raw data."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from albench.annotation.backup import undo
from albench.annotation.overview import overview
from albench.machine.journal import WORKSPACE, settle
from tests.support.annotation_project import QUERY, make_project
from tests.unit.machine.test_journal import snapshot

N_KILLS = 20


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    """Old or new after kill -9, whenever; the process is killed while it writes, most of all."""
    project = make_project(tmp_path, {f"case-{number}": [2, 4, 5] for number in range(8)})
    project.annotate()
    before = snapshot(project.raw)
    rng = random.Random(0)
    outcomes = []
    for _ in range(N_KILLS):
        child = os.fork()
        if child == 0:
            project.take()
            os._exit(0)
        while not (project.raw / WORKSPACE).exists():
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # whoever looks next
        overview(project.raw)
        found = snapshot(project.raw)
        is_new = (project.raw / WORKSPACE / "ledger.csv").exists()
        outcomes.append(is_new)
        if is_new:
            for case in project.truth:
                assert (project.imported(case) == project.answer(case)).all()
            assert len(list((project.raw / "imagesTr").iterdir())) == len(project.truth)
            undo(project.raw, QUERY)
            found = snapshot(project.raw)
        assert found == before
    assert len(outcomes) == N_KILLS and not all(outcomes)


@pytest.mark.slow
def test_nnunet_takes_what_is_written(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5], "b": [4], "c": [3]}, direction="oblique")
    project.annotate()
    project.take()
    folders = {
        "nnUNet_raw": project.raw.parent,
        "nnUNet_preprocessed": tmp_path / "preprocessed",
        "nnUNet_results": tmp_path / "results",
    }
    environment = os.environ | {name: str(folder) for name, folder in folders.items()}
    entry = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry"
    arguments = ["-d", "11", "--verify_dataset_integrity", "-c", "2d", "-np", "1", "-npfp", "1"]
    done = subprocess.run(
        [sys.executable, "-c", f"from {entry} as run; run()", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "verify_dataset_integrity Done" in done.stdout
    made = sorted((tmp_path / "preprocessed" / project.raw.name / "nnUNetPlans_2d").glob("*.pkl"))
    assert [path.stem for path in made] == ["a", "b", "c"]


def test_a_data_set_is_settled_when_it_is_read(tmp_path: Path) -> None:
    from albench.data import load_dataset

    project = make_project(tmp_path, {"a": [2]})
    project.annotate()
    project.take()
    files = project.raw / WORKSPACE / "incoming/files"
    files.mkdir(parents=True)
    (files / "0-half").write_bytes(b"half")
    load_dataset(str(project.raw), data_dir=None, cache_dir=tmp_path / "cache")
    assert not files.exists()
    before = snapshot(project.raw)
    settle(project.raw)
    assert snapshot(project.raw) == before
