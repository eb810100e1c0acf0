"""Studies whose patches overlap: no voxel is annotated twice, all labels count once, and room may run out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albench.config import Protocol
from albench.data import Dataset
from albench.errors import InputError
from albench.machine.files import read_json
from albench.results.layout import SHARED
from albench.results.tables import read_rounds
from albench.scoring.request import Need, ScoringRequest
from albench.study.run import resolve_start
from albench.study.setup import start_units
from albench.study.workers import run_studies
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split
from tests.support.fake_study import Listening, fake_study, patch_protocol

STRATEGIES = ("random", "usim-f", "coreset", "full")


def overlapping_protocol(**pool: Any) -> Protocol:
    values = patch_protocol(max_per_case=2).model_dump()
    values["pool"] |= {"patch_grid": "overlapping", "start_method": "all-classes"} | pool
    return Protocol.model_validate(values | {"budget": 4})


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out, reporter = tmp_path_factory.mktemp("overlap"), Listening()
    study = fake_study(phantom, out, overlapping_protocol())
    run_studies([study], STRATEGIES, [0], 1, reporter)
    return out, reporter.heard


def test_no_voxel_is_annotated_twice(finished: tuple[Path, list[str]], phantom: Dataset) -> None:
    out, heard = finished
    assert sum("chosen by labels that nobody has drawn yet" in line for line in heard) == 1
    runs = read_rounds(out).set_index(["strategy", "round"])
    for strategy in (name for name in STRATEGIES if name != "full"):
        covered: dict[str, np.ndarray] = {}
        for number in range(3):
            query = read_json(out / phantom.name / strategy / "seed-0" / f"round-{number}" / "query.json")
            assert len(query["units"]) == (4 if number else 6)
            for unit in query["units"]:
                case = covered.setdefault(unit["case"], np.zeros((64, 64, 64), dtype=int))
                case[tuple(map(slice, unit["start"], unit["stop"]))] += 1
                assert np.subtract(unit["stop"], unit["start"]).tolist() == [12, 16, 16]
        assert max(case.max() for case in covered.values()) == 1
        assert runs.loc[(strategy, 2), "n_annotated_voxels"] == sum(case.sum() for case in covered.values())


def test_all_labels_are_those_of_the_images(finished: tuple[Path, list[str]], phantom: Dataset) -> None:
    out, _ = finished
    full = read_rounds(out).set_index(["strategy", "round"]).loc[("full", 2)]
    pool = Pool.load(out / phantom.name / SHARED / "seed-0" / "pool.parquet")
    extents = {unit.case: stop for unit, stop in zip(pool.units, pool.stops, strict=True)}  # of the last patch
    assert full["n_annotated_voxels"] == sum(int(np.prod(stop)) for stop in extents.values())
    assert full["n_annotated_fg_voxels"] == full["n_pool_fg_voxels"]
    assert full["n_annotated_units"] == full["n_pool_units"] == len(pool)


def test_where_room_runs_out_queries_are_smaller_and_the_chain_ends(phantom: Dataset, tmp_path: Path) -> None:
    # two patches a case find room where the first is at an end, else one
    protocol = overlapping_protocol(patch_size=(20, 20, 30), max_per_case=None, start_method="random", start=4)
    reporter = Listening()
    study = fake_study(phantom, tmp_path, protocol.model_copy(update={"budget": (4, 1, 1), "rounds": 4}))
    run_studies([study], ["random", "entropy"], [0], 1, reporter)
    runs = read_rounds(tmp_path)
    pool = Pool.load(tmp_path / phantom.name / SHARED / "seed-0" / "pool.parquet")
    assert pool.n_disjoint == 10
    for strategy in ("random", "entropy"):
        units = runs.loc[runs["strategy"] == strategy, "n_annotated_units"].tolist()
        assert units[0] == 4
        assert units == sorted(set(units))
        assert units[-1] < pool.n_disjoint
        ended = f"{phantom.name} {strategy} seed 0 round {len(units)}: no patch is left that overlaps no annotated one"
        assert ended in reporter.heard
    assert any(" of 4 patches found room" in line for line in reporter.heard)
    crowded = overlapping_protocol(patch_size=(20, 20, 30), max_per_case=None, start_method="random", start=10)
    with pytest.raises(InputError, match=r"pool.start: expected room for 10 patches .*, found it for [5-9]"):
        run_studies(
            [fake_study(phantom, tmp_path / "crowded", crowded.model_copy(update={"rounds": 1}))], ["random"], [0], 1
        )
    too_many = protocol.model_copy(update={"budget": 7, "rounds": 2})
    message = r"make 11, expected at most the 10 units in the pool of .* that find room beside each other"
    with pytest.raises(InputError, match=message):
        run_studies([fake_study(phantom, tmp_path / "more", too_many)], ["random"], [0], n_processes=1)


def test_partial_labels_have_no_overlapping_patches(phantom: Dataset) -> None:
    partial = replace(phantom, annotation={phantom.case_names[0]: "partial"})
    assert partial.is_partial
    with pytest.raises(InputError, match=r"pool.patch_grid: expected tiling for .* partial labels"):
        resolve_start(overlapping_protocol(), partial, None, ["random"])


@pytest.mark.slow
def test_the_real_network_learns_from_overlapping_patches(phantom: Dataset, tmp_path: Path) -> None:
    configure_cpu(1)
    values = overlapping_protocol().model_dump()
    values["training"] |= {"case_sampling": "uniform", "window_offset": True, "dice_smooth": 0.0}
    trainer = NnunetTrainer(phantom, Protocol.model_validate(values), torch.device("cpu"), tmp_path, 0)
    split = Split(phantom.case_names[:4], phantom.case_names[4:5])
    pool = trainer.scan(split, lambda: None).pool
    assert pool.overlaps
    start = start_units(pool, 8, np.random.default_rng(0), "all-classes")
    trainer.preprocess(split, pool, start, lambda: None)
    losses: list[float] = []
    for units in (start, pool.units):  # a round's, and the ceiling's
        trainer.train(
            units, iterations=6, key=("a",), initial=None, target=tmp_path / "model.pth", on_iteration=losses.append
        )
    assert np.isfinite(losses).all()
    plan = ScoringRequest(2, 0.1, 2, False, np.array([0.0, 0.5, 0.5]), ("score",))
    scores = trainer.load(tmp_path / "model.pth").score(pool.unlabelled(start), Need.ENTROPY | Need.FISHER, plan)
    assert scores.entropy is not None
    assert len(scores.entropy) == len(pool.unlabelled(start)) < len(pool)
