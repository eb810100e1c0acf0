"""Damage to any file of a results folder: a resumed run heals it, and never comes to other numbers."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from albench.data import Dataset
from albench.machine.files import read_json, sha256, write_json
from albench.report import build_report
from albench.results.tables import read_results, read_rounds
from albench.seeding import Key
from albench.study.workers import run_studies
from albench.training.base import TrainingReport
from albench.training.fake import FakeTrainer
from tests.support.damage import DAMAGES, Damage, attempt, delete, flip, sibling
from tests.support.fake_study import Listening, fake_study

STRATEGIES = ("random", "usim-f", "full")
N_CORRUPTIONS = int(os.environ.get("ALBENCH_CORRUPTIONS", "93"))

TIMED = ("rounds.csv", "rounds.parquet", "results.parquet")


def artefacts(out: Path) -> dict[str, bytes]:
    """All that a study leaves but what says how long something took, and scores, which nobody may ask for again."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith(".stage.json")
        and path.name not in TIMED
        and path.parent.name != "scores"
    }


def tables(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    rounds = read_rounds(out)
    times = [name for name in rounds if name.endswith("_s") and name != "annotation_s"]
    # a stage that runs again may find another's scores
    return read_results(out), rounds.drop(columns=[*times, "started_at", "peak_rss_mib", "cached_scores"])


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    run_studies([fake_study(phantom, out)], STRATEGIES, [0], n_processes=1)
    return out


def damageable(out: Path) -> list[Path]:
    return sorted(path for path in out.rglob("*") if path.is_file() and not path.name.startswith("."))


def resumed(phantom: Dataset, finished: Path, out: Path, damage: Iterator[tuple[Path, Damage]], seed: int) -> bool:
    """Damage a copy, resume it and compare; whether it was healed rather than refused."""
    shutil.copytree(finished, out)
    for file, change in damage:
        change(out / file, random.Random(seed))
        if file.parent.name == "scores":  # have them asked for
            next(out.glob("*/usim-f/seed-0/round-1")).joinpath("query.stage.json").unlink()

    def resume() -> bool:
        run_studies([fake_study(phantom, out)], STRATEGIES, [0], n_processes=1)
        return True

    healed = attempt("results folder", resume) is not None
    if healed:
        assert artefacts(out) == artefacts(finished)
        for table, expected in zip(tables(out), tables(finished), strict=True):
            pd.testing.assert_frame_equal(table, expected, check_exact=True)
    shutil.rmtree(out)
    return healed


@pytest.mark.parametrize("change", [flip, delete, sibling], ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", ["config.json", "pool.parquet", "start.json", "prepared.json", "model.pth"])
def test_a_resumed_run_heals(phantom: Dataset, finished: Path, tmp_path: Path, kind: str, change: Damage) -> None:
    file = next(path for path in damageable(finished) if path.name == kind)
    assert resumed(phantom, finished, tmp_path / "out", iter([(file.relative_to(finished), change)]), 0)


def test_copies_inside_a_study_change_nothing(phantom: Dataset, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    study = out / phantom.name
    shutil.copytree(study, out / f"{phantom.name}-copy")
    shutil.copytree(study / "usim-f", study / "usim-f (copy)")
    shutil.copytree(study / "usim-f/seed-0", study / "usim-f/seed-0-copy")
    shutil.copytree(study / "usim-f/seed-0/round-1", study / "usim-f/seed-0/round-1-copy")
    run_studies([fake_study(phantom, out)], STRATEGIES, [0], n_processes=1)
    for table, expected in zip(tables(out), tables(finished), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert "(copy)" not in build_report(out).read_text()


def test_what_followed_a_model_is_done_again_where_that_comes_out_differently(
    phantom: Dataset, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    chain = out / phantom.name / "usim-f/seed-0"
    before, others = artefacts(chain), artefacts(out / phantom.name / "random")
    (chain / "round-1/model.pth").unlink()
    plain = FakeTrainer.train

    def elsewhere(self: FakeTrainer, *args: Any, key: tuple[Key, ...], **named: Any) -> TrainingReport:
        """As on a machine whose sums are rounded differently."""
        return plain(self, *args, key=(*key, "elsewhere"), **named)

    monkeypatch.setattr(FakeTrainer, "train", elsewhere)
    reporter = Listening()
    run_studies([fake_study(phantom, out)], STRATEGIES, [0], 1, reporter)
    again = [line for line in reporter.heard if "runs again" in line]
    assert [line.split("stage ")[1].split(" ")[0] for line in again if "round 1" in line] == ["'train'", "'evaluate'"]
    assert any("round 2: stage 'query' runs again" in line and "model.pth has changed" in line for line in again)
    after = artefacts(chain)
    assert after["round-1/query.json"] == before["round-1/query.json"]
    assert after["round-2/model.pth"] != before["round-2/model.pth"]
    asked = {
        (unit["case"], unit["index"]) for n in (0, 1, 2) for unit in read_json(chain / f"round-{n}/query.json")["units"]
    }
    assert {tuple(unit) for unit in read_json(chain / "round-2/model.pth")["units"]} == asked
    assert artefacts(out / phantom.name / "random") == others


def as_version_0_1(out: Path) -> None:
    """Rewrite a study as al-bench 0.1 left it: no digests, no inputs, no copy of the settings."""
    for file in [*out.rglob("*.stage.json"), *out.rglob("query.json"), out / "config.json"]:
        values = read_json(file)
        for key in ("format", "digest", "inputs"):
            values.pop(key, None)
        if file.name == "prepare.stage.json":
            values["files"] = {}
        write_json(file, values)
    for name in ("prepared.json", "settings.json"):
        for file in out.rglob(name):
            file.unlink()


def test_a_study_of_version_0_1_goes_on_where_it_was(phantom: Dataset, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    as_version_0_1(out)
    for file in out.rglob("query.stage.json"):  # 0.1 wrote these after the queries
        write_json(file, read_json(file) | {"files": {"query.json": sha256(file.with_name("query.json"))}})
    shutil.rmtree(out / phantom.name / "usim-f/seed-0/round-2")
    reporter = Listening()
    run_studies([fake_study(phantom, out)], STRATEGIES, [0], 1, reporter)
    assert [line for line in reporter.heard if "runs again" in line] == [
        f"{phantom.name} seed 0: stage 'prepare' runs again: "
        f"{out / phantom.name / '_shared/seed-0/prepare.stage.json'} is of other files"
    ]
    for table, expected in zip(tables(out), tables(finished), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


@pytest.mark.slow
@pytest.mark.long
def test_hundreds_of_corruptions(phantom: Dataset, finished: Path, tmp_path: Path) -> None:
    files, rng, healed = damageable(finished), random.Random(1), Counter[bool]()
    for number in range(N_CORRUPTIONS):
        file, change = files[number % len(files)], DAMAGES[(number + number // len(files)) % len(DAMAGES)]
        damage = iter([(file.relative_to(finished), change)])
        healed[resumed(phantom, finished, tmp_path / f"out-{number}", damage, rng.randrange(2**31))] += 1
    print(f"{healed[True]} of {N_CORRUPTIONS} healed, {healed[False]} refused in one line")
    assert healed[True] == N_CORRUPTIONS
