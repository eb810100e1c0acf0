"""Metrics and budgets all the way from the loop into the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albench.config import EvaluationSettings
from albench.data import Dataset
from albench.results.layout import CEILING
from albench.results.tables import COSTS, read_results, read_rounds
from albench.study.workers import run_studies
from albench.training.fake import FakeModel
from albench.units.pool import Pool
from tests.support.fake_study import fake_protocol, fake_study


def test_surface_metrics_and_costs_are_in_the_tables(phantom: Dataset, tmp_path: Path) -> None:
    dataset = replace(phantom, nsd_tolerance_mm=1.0)
    run_studies([fake_study(dataset, tmp_path)], ("random", CEILING), [0], n_processes=1)
    results, runs = read_results(tmp_path), read_rounds(tmp_path)
    assert results["nsd"].between(0, 1).all()
    assert (results["hd95"] >= 0).all()
    assert results["nsd"].nunique() > 5
    # fewer errors, closer surfaces
    assert results[["dice", "nsd"]].corr(method="spearman").iloc[0, 1] > 0.3
    pool = Pool.load(next(tmp_path.rglob("pool.parquet")))
    full = runs[runs["strategy"] == CEILING].iloc[0]
    assert full["n_pool_fg_voxels"] == full["n_annotated_fg_voxels"] == pool.voxel_counts[:, 1:].sum()
    assert full["n_annotated_slices"] == len(pool)
    assert full["n_annotated_border_voxels"] == pool.border_counts[:, 1:].sum()
    expected = 10 * len(pool) + 0.0005 * full["n_annotated_fg_voxels"] + 0.05 * full["n_annotated_border_voxels"]
    assert full["annotation_s"] == pytest.approx(expected)
    chain = runs[runs["strategy"] == "random"].sort_values("round")
    assert all(chain[column].is_monotonic_increasing for column in COSTS)
    shared = results[COSTS].drop_duplicates()
    assert len(shared) == 4, "three rounds and the ceiling"


def test_distances_can_be_switched_off_and_have_no_meaning_without_a_spacing(phantom: Dataset, tmp_path: Path) -> None:
    protocol = fake_protocol(rounds=1)
    off = protocol.model_copy(update={"evaluation": EvaluationSettings(surface_metrics=False)})
    run_studies([fake_study(phantom, tmp_path / "off", off)], ("random",), [0], n_processes=1)
    lost = replace(phantom, spacing_is_true=False)
    run_studies([fake_study(lost, tmp_path / "lost", protocol)], ("random",), [0], n_processes=1)
    for out in ("off", "lost"):
        results = read_results(tmp_path / out)
        assert results[["nsd", "hd95"]].isna().all(axis=None)
        assert results["dice"].notna().any()


def test_a_class_that_is_not_predicted_counts_as_bad_as_can_be(
    phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeModel, "predict", lambda self, case: np.zeros_like(self.reference(case)))
    dataset = replace(phantom, nsd_tolerance_mm=1.0)
    run_studies([fake_study(dataset, tmp_path, fake_protocol(rounds=1))], ("random",), [0], n_processes=1)
    results = read_results(tmp_path)
    assert (results[["dice", "nsd"]] == 0).all(axis=None)
    assert np.isfinite(results["hd95"]).all()
    assert results.groupby("case")["hd95"].nunique().eq(1).all(), "the image's diagonal, whatever the class"
