"""A 3D network is asked for slices, and for patches; what resampling leaves nothing of is neither asked nor learned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from albench.data import Dataset
from albench.results.query import Query
from albench.training.given import open_model
from tests.support.command import al_bench
from tests.support.oracle import annotate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = (
    "network.configuration=3d_fullres",
    "network.base_features=8",
    "network.max_stages=3",
    "network.batch_size=2",
    "network.max_edge=24",  # fewer planes than images have
    "training.first_iterations=4",
    "training.round_iterations=3",
    "scoring.batch_size=2",
)


@pytest.mark.parametrize("unit", ["slice", "patch"])
def test_units_of_a_3d_network(unit: str, phantom: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--device", "cpu", "--cache", tmp_path / "cache", "--unit", unit]
    common += [word for setting in SMALL for word in ("--set", setting)]
    images, raw = tmp_path / "images", tmp_path / "Dataset012_Volumes"
    images.mkdir()
    raw.mkdir()
    for case in phantom.cases[:3]:
        shutil.copy(case.images[0], images / f"{case.name}_0000.nii.gz")
    labels = {name: value for value, name in phantom.labels.items()} | {"ignore": phantom.ignore_label}
    (raw / "dataset.json").write_text(json.dumps({
        "channel_names": {"0": phantom.channel_names[0]}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"
    }))  # fmt: skip
    truth = {case.name: case.reference for case in phantom.cases}
    al_bench("query", "--images", images, "--dataset", raw, "--budget", 6, "--out", tmp_path / "q0", *common)
    annotate(tmp_path / "q0", truth)
    al_bench("import-labels", "--query", tmp_path / "q0", "--dataset", raw)
    al_bench("train", "--dataset", raw, "--images", images, "--out", tmp_path / "m0", *common)
    (model,) = (tmp_path / "m0").glob("Dataset*/nnUNet*")
    assert not open_model(model).is_2d
    al_bench(
        "query", "--images", images, "--dataset", raw, "--model", model, "--budget", 4, "--strategy", "mcd",
        "--audit", 1, "--out", tmp_path / "q1", *common,
    )  # fmt: skip
    said = capsys.readouterr().err
    assert ("fall between the planes" in said) == (unit == "slice")
    first, second = (Query.read(tmp_path / name / "query.json") for name in ("q0", "q1"))
    assert [query.round for query in (first, second)] == [0, 1]
    assert not {(u.case, u.index) for u in first.units} & {(u.case, u.index) for u in second.units}
    for asked in second.units:
        assert (asked.axis is not None) == (unit == "slice")
    annotate(tmp_path / "q1", truth)
    al_bench("import-labels", "--query", tmp_path / "q1", "--dataset", raw)
    al_bench("train", "--dataset", raw, "--from", model, "--out", tmp_path / "m1", *common)
    assert list((tmp_path / "m1").glob("Dataset*/nnUNet*"))
