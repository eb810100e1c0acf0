"""What a project asks of an exported model is what the study that trained it asked."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import Dataset
from albench.machine.files import read_json
from albench.progress import SILENT
from albench.project.asking import ask, ask_cold
from albench.project.inquiry import Inquiry
from albench.project.request import QueryRequest
from albench.project.workplace import Workplace, open_workplace
from albench.results.layout import SHARED
from albench.study.export import export_round
from albench.terminal import cli
from albench.training.given import GivenModel, open_model
from albench.units.pool import Pool, Unit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Kind:
    """What is asked: strategies, settings of study and project, and how much."""

    strategies: tuple[str, ...]
    settings: tuple[str, ...]
    start: int
    budget: int


KINDS = {
    "slices": Kind(
        ("random", "entropy", "usim-f", "usim-c", "coreset", "bald"),
        ("training.first_iterations=20", "training.round_iterations=10", "pool.start=12"),
        12,
        8,
    ),
    "patches": Kind(
        ("random", "usim-f", "usim-c", "bald"),
        (
            "network.configuration=3d_fullres", "network.base_features=8", "network.max_stages=3",
            "network.batch_size=2", "network.max_edge=24", "training.first_iterations=4",
            "training.round_iterations=3", "scoring.batch_size=2", "pool.start=6",
        ),
        6,
        4,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def study(kind: Kind, phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one query by each strategy."""
    out = tmp_path_factory.mktemp("study")
    settings = [word for setting in kind.settings for word in ("--set", setting)]
    with pytest.raises(SystemExit) as stop:
        cli.main(
            ["run", "--dataset", str(phantom.root), "--strategy", ",".join(kind.strategies), "--jobs", "2",
             "--device", "cpu", "--rounds", "2", "--budget", str(kind.budget), "--cache", str(out / "cache"),
             "--out", str(out / "out"), *settings]
        )  # fmt: skip
    assert not stop.value.code
    return out / "out"


def units_of(path: Path) -> list[tuple[str, int]]:
    return [(unit["case"], unit["index"]) for unit in read_json(path)["units"]]


@pytest.fixture(scope="module")
def project(study: Path, phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, GivenModel]:
    """Images of the study's pool, a raw data set with its starting set annotated, and its first model."""
    root = tmp_path_factory.mktemp("project")
    shared = study / phantom.name / SHARED / "seed-0"
    pool = Pool.load(shared / "pool.parquet")
    start = units_of(study / phantom.name / "random/seed-0/round-0/query.json")
    (root / "images").mkdir()
    raw = root / "Dataset007_Project"
    (raw / "labelsTr").mkdir(parents=True)
    for name in pool.cases:
        case = phantom.case(name)
        shutil.copy(case.images[0], root / "images" / f"{name}_0000.nii.gz")
        units = [Unit(name, index) for of_case, index in start if of_case == name]
        if units:
            image = SimpleITK.ReadImage(str(case.reference))
            labels = SimpleITK.GetArrayFromImage(image)
            known = np.zeros(labels.shape, dtype=bool)
            for low, high in zip(*pool.boxes(units), strict=True):
                known[tuple(map(slice, low, high))] = True
            partial = SimpleITK.GetImageFromArray(np.where(known, labels, phantom.ignore_label).astype(np.uint8))
            partial.CopyInformation(image)
            SimpleITK.WriteImage(partial, str(raw / "labelsTr" / f"{name}.nii.gz"))
    labels = {name: value for value, name in phantom.labels.items()} | {"ignore": phantom.ignore_label}
    description = {
        "channel_names": {"0": phantom.channel_names[0]}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"
    }  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(description))
    folder = export_round(
        study, dataset=phantom.name, strategy="random", seed=0, round_number=0, results=root / "results"
    )
    return root, raw, open_model(folder)


def workplace(
    project: tuple[Path, Path, GivenModel], kind: Kind, name: str, *, model: bool, looks: bool = False
) -> Workplace:
    root, raw, given = project
    return open_workplace(
        images=root / "images",
        raw=raw if model else bare(raw),
        given=given if model else None,
        name=name,
        protocol="quick",
        settings=kind.settings,
        device="cpu",
        cache=root / "cache",
        looks=looks,
        patch_size=None,
        reporter=SILENT,
    )


def bare(raw: Path) -> Path:
    """The raw data set with its description alone."""
    folder = raw.with_name("Dataset008_Bare")
    folder.mkdir(exist_ok=True)
    shutil.copy(raw / "dataset.json", folder)
    return folder


def test_the_same_units_in_the_same_order(
    project: tuple[Path, Path, GivenModel], study: Path, kind: Kind, phantom: Dataset
) -> None:
    root, raw, given = project
    with workplace(project, kind, phantom.name, model=True) as place:
        shared = study / phantom.name / SHARED / "seed-0"
        assert set(place.labelled) == {unit for unit in place.pool.units if (unit.case, unit.index) in
                                       units_of(study / phantom.name / "random/seed-0/round-0/query.json")}  # fmt: skip
        assert place.pool.units == Pool.load(shared / "pool.parquet").units
        place.trainer.preprocess(place.split, place.pool, place.labelled, lambda: None)
        model = place.trainer.load_given()
        for strategy in kind.strategies:
            request = QueryRequest(
                root / "images", root / "q", kind.budget, strategy=strategy, model=given.folder, dataset=raw
            )
            candidates = place.pool.unlabelled(place.labelled)
            asked = ask(Inquiry(request, place, 1, given, model, "dropout"), candidates, SILENT)
            expected = read_json(study / phantom.name / strategy / "seed-0" / "round-1" / "query.json")["units"]
            assert [(unit.case, unit.index) for unit in asked.units] == [(u["case"], u["index"]) for u in expected], (
                strategy
            )
            for values, key in ((asked.scores, "score"), (asked.gains, "gain")):
                assert [None if np.isnan(value) else value for value in values] == [unit[key] for unit in expected]


def test_a_cold_start_is_the_start_of_a_study(
    project: tuple[Path, Path, GivenModel], study: Path, kind: Kind, phantom: Dataset
) -> None:
    root, raw, _ = project
    request = QueryRequest(root / "images", root / "q", kind.start, strategy="random", dataset=raw)
    with workplace(project, kind, phantom.name, model=False) as place:
        asked = ask_cold(Inquiry(request, place, 0), place.pool.units)
    start = units_of(study / phantom.name / "random/seed-0/round-0/query.json")
    assert [(unit.case, unit.index) for unit in asked.units] == start
