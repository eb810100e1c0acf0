"""One flipped bit in any file of a results folder that is read back: refused in one line, or the same content."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from albench.config import StudyConfig
from albench.results.layout import RunFolder
from albench.results.pictures import load_gallery, save_gallery
from albench.results.query import QueriedUnit, Query
from albench.results.reading import read_rows
from albench.results.settings import Settings
from albench.results.stages import StageRecord
from albench.results.tables import write_table
from albench.units.pool import Pool, Unit, slice_boxes
from albench.units.view import UnitView
from tests.support.damage import attempt, print_outcomes, with_flipped_bit
from tests.support.fake_study import fake_protocol

N_FLIPS = int(os.environ.get("ALBENCH_FLIPS", "150"))
"""Of each kind of file; the reliability page has the counts of 1,500."""

Read = Callable[[], Any]


def stage_record(folder: Path) -> tuple[Path, Read]:
    notes = {
        "iterations": 50,
        "train_loss": 0.3125,
        "warnings": ["a loader process died"],
        "versions": '{"numpy": "2"}',
    }
    digests = {"files": {"model.pth": "0a" * 32}, "inputs": {"../x": "1b" * 32}}
    StageRecord(seconds=3.75, notes=notes, **digests).write(folder, "train")
    return folder / "train.stage.json", lambda: StageRecord.read(folder, "train")


def query(folder: Path) -> tuple[Path, Read]:
    units = (QueriedUnit(case="c1", index=4, axis=2, score=0.25, gain=3.5), QueriedUnit(case="c2", index=10, axis=0))
    path = folder / "query.json"
    Query(dataset="d", strategy="usim-f", parameters={"eta": 1.0}, seed=3, round=2, units=units).write(path)
    return path, lambda: Query.read(path)


def settings(folder: Path) -> tuple[Path, Read]:
    config = StudyConfig(dataset="d", dataset_checksum="0", trainer="fake", device="cpu", protocol=fake_protocol())
    run = RunFolder(folder)
    Settings().updated([config]).write(run)
    run.study("d").config.unlink()  # the copy that would be read in place of a damaged file
    return run.config, lambda: Settings.read(run)


def result_table(folder: Path) -> tuple[Path, Read]:
    path = folder / "rows.parquet"
    write_table(pd.DataFrame({"case": ["a", "b", "c"], "label": [1, 2, 1], "dice": [0.5, np.nan, 0.75]}), path)
    return path, lambda: read_rows(path).to_dict("list") | {"dtypes": str(read_rows(path).dtypes)}


def pool(folder: Path) -> tuple[Path, Read]:
    path = folder / "pool.parquet"
    counts = np.arange(18, dtype=np.int64).reshape(6, 3)
    Pool(tuple(Unit("a", i) for i in range(6)), {"a": 0}, counts, counts // 2, *slice_boxes((6, 8, 9), 0, 0, 6)).save(
        path
    )
    return path, lambda: asdict(Pool.load(path))


def gallery(folder: Path) -> tuple[Path, Read]:
    path, rng = folder / "gallery.npz", np.random.default_rng(0)
    image, labels = rng.normal(size=(9, 7)).astype(np.float32), rng.integers(0, 3, (9, 7)).astype(np.uint8)
    save_gallery(path, [UnitView(image, labels, labels, np.abs(image), (1.0, 1.0))] * 2, 3)
    return path, lambda: [asdict(picture) for picture in load_gallery(path)]


@pytest.fixture(autouse=True, scope="module")
def counted() -> Iterator[None]:
    yield
    print_outcomes()


@pytest.mark.parametrize("make", [stage_record, query, settings, result_table, pool, gallery])
def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path, make: Callable[[Path], tuple[Path, Read]]) -> None:
    path, read = make(tmp_path)
    content, expected, rng = path.read_bytes(), repr(read()), random.Random(make.__name__)
    for bit in rng.sample(range(8 * len(content)), min(N_FLIPS, 8 * len(content))):
        path.write_bytes(with_flipped_bit(content, bit))
        found = attempt(f"flipped bit in {make.__name__}", read)
        assert found is None or repr(found) == expected, bit
