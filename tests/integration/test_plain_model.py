"""What nnU-Net's own trainer leaves is a model that can be asked, and trained on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from albench.data import Dataset
from albench.progress import SILENT
from albench.project.workplace import open_workplace
from albench.results.query import Query
from albench.training.checkpoint import network_of
from albench.training.given import open_model
from tests.support.command import al_bench
from tests.support.oracle import annotate
from tests.support.plain_nnunet import train_plainly

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def model(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of a plain network without dropout."""
    return train_plainly(phantom, tmp_path_factory.mktemp("plain"), (0, 1))


@pytest.fixture(scope="module")
def images(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for case in phantom.cases[:4]:
        shutil.copy(case.images[0], folder / f"{case.name}_0000.nii.gz")
    return folder


def test_predictions_are_those_of_nnunet(model: Path, images: Path, phantom: Dataset, tmp_path: Path) -> None:
    with open_workplace(
        images=images, raw=None, given=open_model(model), name="p", protocol="quick", settings=(), device="cpu",
        cache=tmp_path / "cache", looks=False, patch_size=None, reporter=SILENT,
    ) as place:  # fmt: skip
        place.trainer.preprocess(place.split, place.pool, (), lambda: None)
        ours = place.trainer.load_given()
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, perform_everything_on_device=False)
        description = json.loads((model / "dataset.json").read_text())
        given = open_model(model)
        predictor.manual_initialization(
            network_of(given.plans, given.description, given.configuration),  # whose weights change
            place.trainer.store.plans_manager,
            place.trainer.store.configuration_manager,
            [dict(network.weights) for network in given.networks],
            description,
            "nnUNetTrainer",
            given.mirror_axes,
        )
        for name in place.split.pool:
            case = place.dataset.case(name)
            reader = given.reader
            voxels, properties = reader.read_images([str(case.images[0])])
            theirs = predictor.predict_single_npy_array(voxels, properties, None, None, False)
            agreeing = float((ours.predict(name) == theirs).mean())
            assert agreeing > 0.999, (name, agreeing)


@pytest.mark.parametrize(
    ("more", "source", "said"),
    [
        ((), "ensemble", "what the folds disagree about"),
        (("--folds", "1"), "mirroring", "sees asymmetry, not ignorance"),
    ],
)
def test_a_query_of_a_plain_model(
    model: Path, images: Path, phantom: Dataset, tmp_path: Path, more: tuple[str, ...], source: str, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    common = ("--device", "cpu", "--cache", tmp_path / "cache")
    raw = tmp_path / "Dataset009_Mine"
    raw.mkdir()
    shutil.copy(model / "dataset.json", raw)
    al_bench(
        "query", "--images", images, "--dataset", raw, "--model", model, "--budget", 6, "--audit", 2,
        "--out", tmp_path / "q", *more, *common,
    )  # fmt: skip
    assert said in capsys.readouterr().err
    query = Query.read(tmp_path / "q" / "query.json")
    assert query.model is not None
    assert query.model.uncertainty == source
    assert [unit.role for unit in query.units] == ["strategy"] * 4 + ["audit"] * 2
    annotate(tmp_path / "q", {case.name: case.reference for case in phantom.cases})
    al_bench("import-labels", "--query", tmp_path / "q", "--labels", tmp_path / "q" / "tasks", "--dataset", raw)
    settings = ("--set", "training.round_iterations=4")
    al_bench("train", "--dataset", raw, "--from", model, "--out", tmp_path / "trained", *settings, *common)
    (trained,) = (tmp_path / "trained").glob("Dataset*/nnUNet*")
    new, old = open_model(trained), open_model(model)
    assert new.plans["configurations"] == old.plans["configurations"]
    assert any(
        not np.array_equal(weight, old.networks[0].weights[name]) for name, weight in new.networks[0].weights.items()
    )
    al_bench(
        "query", "--images", images, "--dataset", raw, "--model", trained, "--budget", 4, "--strategy", "entropy",
        "--out", tmp_path / "q2", *common,
    )  # fmt: skip
    first, second = ({(u.case, u.index) for u in Query.read(tmp_path / q / "query.json").units} for q in ("q", "q2"))
    assert not first & second
    assert Query.read(tmp_path / "q2" / "query.json").round == 2
    assert SimpleITK.ReadImage(str(next((raw / "labelsTr").iterdir()))).GetSize()[0] > 0
