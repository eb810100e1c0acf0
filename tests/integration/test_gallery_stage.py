"""The stage that keeps pictures: there and cheap to lose, and no result depends on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albench.config import Protocol
from albench.data import Dataset
from albench.machine.files import read_json
from albench.report import build_report
from albench.results.layout import GALLERY
from albench.results.pictures import load_gallery
from albench.study.workers import run_studies
from albench.training.fake import FakeModel
from albench.training.reading import read_label
from tests.support.fake_study import fake_protocol, fake_study, patch_protocol

STRATEGIES = ["random", "usim-f", "full"]


def run(dataset: Dataset, out: Path, gallery: int = 4, protocol: Protocol | None = None) -> dict[str, bytes]:
    """Run a study; return its queries and models."""
    study = replace(fake_study(dataset, out, protocol), gallery=gallery)
    run_studies([study], STRATEGIES, [0], n_processes=1)
    files = [*out.rglob("query.json"), *out.rglob("model*.pth")]
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(files)}


@pytest.fixture(scope="module")
def without(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    out = tmp_path_factory.mktemp("without")
    return out, run(phantom, out, gallery=0)


def test_pictures_change_no_query_and_no_model(
    without: tuple[Path, dict[str, bytes]], phantom: Dataset, tmp_path: Path
) -> None:
    assert not list(without[0].rglob(GALLERY))
    assert run(phantom, tmp_path) == without[1]
    found = sorted(str(path.relative_to(tmp_path / phantom.name)) for path in tmp_path.rglob(GALLERY))
    assert found == [f"{name}/seed-0/round-{n}/{GALLERY}" for name in ("random", "usim-f") for n in (1, 2)]
    assert len(load_gallery(tmp_path / phantom.name / found[0])) == 4


@pytest.mark.slow
def test_a_study_without_pictures_still_reports_and_gets_them_later(
    without: tuple[Path, dict[str, bytes]], phantom: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(phantom, out, gallery=0) == without[1]
    assert "What was chosen" not in build_report(out).read_text()
    models = {path: path.stat().st_mtime_ns for path in out.rglob("model.pth")}
    assert run(phantom, out) == without[1]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.pth")} == models, "nothing is trained again"
    page = build_report(out).read_text()
    assert "What was chosen" in page
    assert page.count("data:image/webp") == 2 * 2 * 4


def test_interrupted_while_pictures_are_made_it_resumes_to_the_same(
    without: tuple[Path, dict[str, bytes]], phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FakeModel, "view", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(phantom, tmp_path)
    assert not list(tmp_path.rglob(GALLERY))
    assert run(phantom, tmp_path) == without[1]
    kept = {path: path.read_bytes() for path in tmp_path.rglob(GALLERY)}
    damaged = next(iter(kept))
    damaged.write_bytes(b"")
    assert run(phantom, tmp_path) == without[1]
    assert {path: path.read_bytes() for path in tmp_path.rglob(GALLERY)} == kept


@pytest.mark.parametrize("protocol", [fake_protocol(), patch_protocol()], ids=["slices", "patches"])
def test_pictures_show_the_units_of_the_query(phantom: Dataset, tmp_path: Path, protocol: Protocol) -> None:
    """The reference in a picture is the label map at the place that the query names."""
    run(phantom, tmp_path, gallery=6, protocol=protocol)
    shares = []
    for file in tmp_path.rglob(GALLERY):
        units = read_json(file.parent / "query.json")["units"]
        for unit, kept in zip(units, load_gallery(file), strict=False):
            if "start" in unit:
                box = [slice(*ends) for ends in zip(unit["start"], unit["stop"], strict=True)]
                middle = (box[0].start + box[0].stop) // 2
                expected = _labels(phantom, unit["case"])[middle, box[1], box[2]]
            else:
                expected = _labels(phantom, unit["case"])[unit["index"]]
            # stretched to square pixels, a label keeps its share of the picture
            for label in range(1, phantom.n_labels):
                share = (kept.reference == label).mean()
                assert share == pytest.approx((expected == label).mean(), abs=0.03)
                shares.append(share)
    assert len(shares) >= 4 * 6
    assert max(shares) > 0.1


def _labels(dataset: Dataset, case: str) -> np.ndarray:
    return np.asarray(read_label(dataset.case(case).label))
