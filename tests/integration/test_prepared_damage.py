"""Damage to what nnU-Net trains on: plans, descriptions and cases are made again, and results stay what they were."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from albench.config import StudyConfig
from albench.data import Dataset
from albench.machine.placement import Placement
from albench.results.folder import claim_folder
from albench.results.tables import read_results
from albench.study.run import NnunetFactory
from albench.study.study import Study
from albench.study.workers import run_studies
from tests.support.damage import change_digit, delete, empty
from tests.support.fake_study import Listening, fake_protocol

pytestmark = pytest.mark.slow

FILES = {
    "plans": "nnunet/preprocessed/*/nnUNetPlans.json",
    "description": "nnunet/preprocessed/*/dataset.json",
    "fingerprint": "nnunet/preprocessed/*/dataset_fingerprint.json",
    "units": "nnunet/preprocessed/*/pool.parquet",
    "raw description": "nnunet/raw/Dataset001*/dataset.json",
    "image": "nnunet/preprocessed/*/nnUNet*/*0.b2nd",
    "labels": "nnunet/preprocessed/*/nnUNet*/*_seg.b2nd",
    "properties": "nnunet/preprocessed/*/properties/*.json",
    "checksums": "nnunet/preprocessed/*/checksums/*.json",
    "digests": "prepared.json",
}


def study(dataset: Dataset, out: Path) -> Study:
    protocol = fake_protocol(rounds=2)
    training = protocol.training.model_copy(update={"first_iterations": 12, "round_iterations": 6})
    config = StudyConfig(
        dataset=dataset.name,
        dataset_checksum=dataset.checksum,
        trainer="nnunet",
        device="cpu",
        protocol=protocol.model_copy(update={"training": training}),
    )
    out.mkdir(parents=True, exist_ok=True)
    claim_folder(out, [config])
    placement = Placement(n_processes=1, n_loaders=0, shared_memory=True, notes=())
    return Study(dataset, config, out, NnunetFactory(dataset, config, placement))


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real")
    run_studies([study(phantom, out)], ("entropy",), [0], 1)
    return out


def results(out: Path) -> dict[str, bytes]:
    """All that was learned, asked and prepared."""
    names = ("query.json", "model.pth", "evaluation.parquet", "prepared.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.name in names}


@pytest.mark.parametrize("change", [change_digit, delete, empty], ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", FILES)
def test_a_resumed_run_heals(
    phantom: Dataset, finished: Path, tmp_path: Path, kind: str, change: Callable[[Path, random.Random], None]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out, symlinks=True)
    before, rows = results(out), read_results(out)
    file = sorted((out / phantom.name / "_shared/seed-0").glob(FILES[kind]))[0]
    whole = file.read_bytes()
    change(file, random.Random(0))
    reporter = Listening()
    run_studies([study(phantom, out)], ("entropy",), [0], 1, reporter)
    assert results(out) == before
    pd.testing.assert_frame_equal(read_results(out), rows)
    if kind not in ("raw description", "checksums"):  # which nobody reads again
        assert file.read_bytes() == whole
        assert any(str(file.relative_to(out)) in line for line in reporter.heard), reporter.heard
    assert not any("round" in line and "runs again" in line for line in reporter.heard)
