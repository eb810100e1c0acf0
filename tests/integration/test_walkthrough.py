"""From no label to a model, through files alone: the same units, weights and Dice as the loop of a study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK
import torch

from albench.data import Dataset
from albench.machine.files import read_json
from albench.metrics.evaluate import dice_score
from albench.progress import SILENT
from albench.project.workplace import open_workplace
from albench.results.layout import SHARED
from albench.results.tables import read_results
from albench.training.given import open_model
from albench.units.pool import Pool
from tests.support.command import al_bench
from tests.support.oracle import annotate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SETTINGS = ("training.first_iterations=25", "training.round_iterations=12", "pool.start=12")
STRATEGY, BUDGET = "usim-f", 8


def test_the_loop_through_files(phantom: Dataset, tmp_path: Path) -> None:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    common = ["--device", "cpu", "--seed", 0, "--cache", tmp_path / "cache", "--name", phantom.name, *settings]
    al_bench(
        "run", "--dataset", phantom.root, "--strategy", STRATEGY, "--device", "cpu", "--jobs", 1, "--rounds", 3,
        "--budget", BUDGET, "--cache", tmp_path / "study-cache", "--out", tmp_path / "study", *settings,
    )  # fmt: skip
    study = tmp_path / "study" / phantom.name
    images, raw = tmp_path / "images", tmp_path / "Dataset011_Clinic"
    images.mkdir()
    raw.mkdir()
    truth = {case.name: case.reference for case in phantom.cases}
    for name in pool_cases(study):
        shutil.copy(phantom.case(name).images[0], images / f"{name}_0000.nii.gz")
    labels = {name: value for value, name in phantom.labels.items()} | {"ignore": phantom.ignore_label}
    (raw / "dataset.json").write_text(json.dumps({
        "channel_names": {"0": phantom.channel_names[0]}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"
    }))  # fmt: skip

    model: Path | None = None
    for number in range(3):
        asked = tmp_path / f"query-{number}"
        how = ["--strategy", "random", "--budget", 12] if model is None else ["--model", model, "--budget", BUDGET]
        al_bench("query", "--images", images, "--dataset", raw, "--out", asked, *how, *common)
        expected = read_json(study / STRATEGY / "seed-0" / f"round-{number}" / "query.json")["units"]
        assert [(unit["case"], unit["index"]) for unit in read_json(asked / "query.json")["units"]] == [
            (unit["case"], unit["index"]) for unit in expected
        ]
        left = annotate(asked, truth, first=number, leave=1)
        al_bench("import-labels", "--query", asked, "--labels", asked / "tasks", "--dataset", raw)
        assert left  # the half-finished case comes later
        annotate(asked, truth, first=number)
        al_bench("import-labels", "--query", asked, "--labels", asked / "tasks", "--dataset", raw)
        more = [] if model is None else ["--from", model]
        al_bench("train", "--dataset", raw, "--images", images, "--out", tmp_path / f"model-{number}", *more, *common)
        (model,) = (tmp_path / f"model-{number}").glob("Dataset*/nnUNet*")
        chain = SHARED if number == 0 else STRATEGY
        theirs = torch.load(study / chain / "seed-0" / f"round-{number}" / "model.pth", weights_only=True)
        ours = open_model(model).networks[0].weights
        for name, weight in theirs["network_weights"].items():
            assert torch.equal(weight, ours[name]), (number, name)
    assert model is not None
    rows = read_results(tmp_path / "study")
    rows = rows[rows["round"] == 2]
    assert len(rows) >= 4
    for row in rows.itertuples():
        assert dice_of(model, phantom, row.case, row.label, tmp_path) == row.dice


def dice_of(model: Path, phantom: Dataset, name: str, label: int, work: Path) -> float:
    """Dice of a project's model on a case that it has never seen."""
    images = work / f"test-{name}"
    images.mkdir(exist_ok=True)
    shutil.copy(phantom.case(name).images[0], images / f"{name}_0000.nii.gz")
    with open_workplace(
        images=images, raw=None, given=open_model(model), name=None, protocol="quick", settings=(), device="cpu",
        cache=work / "cache", looks=False, patch_size=None, reporter=SILENT,
    ) as place:  # fmt: skip
        place.trainer.preprocess(place.split, place.pool, (), lambda: None)
        predicted = place.trainer.load_given().predict(name)
    true = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(phantom.case(name).reference)))
    return dice_score(predicted == label, true == label)


def pool_cases(study: Path) -> list[str]:
    return list(Pool.load(study / SHARED / "seed-0" / "pool.parquet").cases)
