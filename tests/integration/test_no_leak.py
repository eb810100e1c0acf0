"""A whole study, real nnU-Net and all, does not change by a bit where labels that nobody drew are others."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from albench.config import Protocol, StudyConfig
from albench.data import Dataset
from albench.machine.placement import Placement
from albench.results.folder import claim_folder
from albench.results.layout import SHARED
from albench.results.query import Query
from albench.results.tables import read_results
from albench.study.run import NnunetFactory
from albench.study.study import Study
from albench.study.workers import run_studies
from albench.training.preprocess import PreprocessedStore
from albench.units.pool import Pool, Unit
from tests.support.fake_study import fake_protocol, patch_protocol
from tests.support.framed_data import make_framed, mask_of, scrambled

pytestmark = pytest.mark.slow
SHAPE = (22, 66, 58)
STRATEGIES = ("random", "badge", "claspe", "coreset", "usim-f", "usim-c")
"""Among them they need every score there is."""


def tiny(protocol: Protocol, start_method: str) -> Protocol:
    changes = {
        "pool": {"max_cases": None, "start": 4, "start_method": start_method},
        "training": {"first_iterations": 6, "round_iterations": 4, "warm_start": True},
        "scoring": {"passes": 2},
    }
    values = protocol.model_dump() | {"rounds": 3, "budget": 2}
    return Protocol.model_validate(values | {name: values[name] | change for name, change in changes.items()})


KINDS = {
    "slices": tiny(fake_protocol(), "random"),
    "patches": tiny(patch_protocol(folds=2, source="ensemble"), "typical"),
}


def run(dataset: Dataset, protocol: Protocol, out: Path) -> Path:
    """Run a study of one seed and return its folder."""
    config = StudyConfig(
        dataset=dataset.name,
        dataset_checksum=dataset.checksum,
        trainer="nnunet",
        device="cpu",
        protocol=protocol,
    )
    out.mkdir()
    claim_folder(out, [config])
    factory = NnunetFactory(dataset, config, Placement(1, 0))
    study = Study(dataset, config, out, factory, gallery=0)
    run_studies([study], STRATEGIES, [0], n_processes=1)
    return out / dataset.name


def drawn_voxels(folder: Path) -> dict[str, np.ndarray]:
    """What some strategy drew, by case."""
    pool = Pool.load(folder / SHARED / "seed-0" / "pool.parquet")
    drawn: dict[str, set[Unit]] = defaultdict(set)
    for path in folder.rglob("query.json"):
        for unit in Query.read(path).chosen:
            drawn[unit.case].add(unit)
    assert sum(map(len, drawn.values())) < 0.7 * len(pool)
    return {case: mask_of(SHAPE, pool.boxes(sorted(units))) for case, units in drawn.items()}


def store_of(folder: Path, protocol: Protocol) -> PreprocessedStore:
    (plans,) = (folder / SHARED / "seed-0" / "nnunet" / "preprocessed").glob("*/nnUNetPlans.json")
    return PreprocessedStore(plans.parent, protocol.network.configuration)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_nobody_drew_change_neither_images_nor_plans_nor_scores_nor_queries_nor_models(
    kind: str, tmp_path: Path
) -> None:
    protocol = KINDS[kind]
    dataset = make_framed(tmp_path / "heads", 5, SHAPE)
    first = run(dataset, protocol, tmp_path / "first")
    drawn = drawn_voxels(first)
    other = scrambled(dataset, tmp_path / "noise", drawn.get)
    assert other.name == dataset.name and other.checksum != dataset.checksum
    second = run(other, protocol, tmp_path / "second")

    one, two = store_of(first, protocol), store_of(second, protocol)
    assert (one.folder / "nnUNetPlans.json").read_bytes() == (two.folder / "nnUNetPlans.json").read_bytes()
    for case in dataset.case_names:
        np.testing.assert_array_equal(one.image(case), two.image(case))
    queries = [path.relative_to(first) for path in first.rglob("query.json")]
    assert len(queries) == 3 * len(STRATEGIES)
    for path in queries:
        assert (first / path).read_bytes() == (second / path).read_bytes()
    scores = [path.relative_to(first) for path in first.rglob("scores/*.npz")]
    assert len(scores) >= 8
    for path in scores:
        with np.load(first / path) as found, np.load(second / path) as expected:
            assert found.files == expected.files
            for name in found.files:
                np.testing.assert_array_equal(found[name], expected[name])
    models = [path.relative_to(first) for path in first.rglob("model*.pth")]
    assert len(models) == protocol.training.folds * (1 + 2 * len(STRATEGIES))
    for path in models:
        weights, expected = (torch.load(folder / path, weights_only=True) for folder in (first, second))
        for name, value in weights["network_weights"].items():
            assert torch.equal(value, expected["network_weights"][name]), (path, name)
    # the tests themselves are of other labels
    dice, noise = (read_results(folder.parent)["dice"] for folder in (first, second))
    with pytest.raises(AssertionError):
        pd.testing.assert_series_equal(dice, noise)
