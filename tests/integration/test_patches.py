"""Studies on 3D patches: the loop with folds on the fake trainer, and the real 3D nnU-Net on phantoms."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
import yaml

from albench.config import Protocol
from albench.data import Dataset
from albench.errors import InputError
from albench.machine.files import read_json
from albench.progress import Silent
from albench.report import build_report
from albench.report.inputs import depths, read_inputs
from albench.results.layout import SHARED, train_stages
from albench.results.tables import read_results, read_rounds
from albench.scoring.request import Need, ScoringRequest
from albench.seeding import generator
from albench.study.setup import start_units
from albench.study.workers import run_studies
from albench.training.annotated import AnnotatedDataset
from albench.training.model import NnunetModel
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split, Unit
from tests.support.fake_study import fake_study, patch_protocol

STRATEGIES = ("random", "usim-f", "coreset", "random-fg66", "full")


def queries(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("query.json"))}


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("patches")
    protocol = patch_protocol(folds=3, source="ensemble", max_per_case=2)
    run_studies([fake_study(phantom, out, protocol)], STRATEGIES, [0], n_processes=1)
    return out


def test_queries_name_the_boxes_of_patches(finished: Path, phantom: Dataset) -> None:
    pool = Pool.load(finished / phantom.name / SHARED / "seed-0" / "pool.parquet")
    assert pool.axes == {}
    for path in finished.rglob("query.json"):
        query = read_json(path)
        units = [Unit(unit["case"], unit["index"]) for unit in query["units"]]
        starts, stops = pool.boxes(units)
        assert [unit["start"] for unit in query["units"]] == starts.tolist()
        assert [unit["stop"] for unit in query["units"]] == stops.tolist()
        assert not any("axis" in unit for unit in query["units"])
        if query["round"] > 0 and query["strategy"] != "full":
            assert max(Counter(unit.case for unit in units).values()) <= 2


def test_annotated_patches_never_overlap(finished: Path, phantom: Dataset) -> None:
    for strategy in (name for name in STRATEGIES if name != "full"):
        boxes: dict[str, list[tuple[list[int], list[int]]]] = {}
        for path in sorted((finished / phantom.name / strategy).rglob("query.json")):
            for unit in read_json(path)["units"]:
                boxes.setdefault(unit["case"], []).append((unit["start"], unit["stop"]))
        for found in boxes.values():
            shape = np.max([stop for _, stop in found], axis=0)
            covered = np.zeros(shape, dtype=int)
            for start, stop in found:
                covered[tuple(map(slice, start, stop))] += 1
            assert covered.max() == 1


def test_reports_speak_of_patches_and_where_they_lie(finished: Path, tmp_path: Path) -> None:
    page = build_report(finished, tmp_path / "report").read_text()
    assert "Which patches are worth annotating?" in page
    assert "against the number of annotated patches" in page
    assert "Annotated patches" in page
    assert "Annotated slices" not in page
    assert "number of annotated slices" not in page  # the cost model counts them, the axes are patches
    queries = read_inputs([finished]).queries
    expected = [(start[0] + stop[0]) / 2 for start, stop in zip(queries["start"], queries["stop"], strict=True)]
    assert depths(queries).tolist() == expected
    assert len(set(expected)) > 1


def test_every_fold_has_a_model_and_a_stage_of_its_own(finished: Path, phantom: Dataset) -> None:
    for folder in (SHARED + "/seed-0/round-0", "usim-f/seed-0/round-1", "full/seed-0/round-2"):
        for stage, model in train_stages(3).items():
            assert (finished / phantom.name / folder / model).is_file()
            assert (finished / phantom.name / folder / f"{stage}.stage.json").is_file()
        assert not (finished / phantom.name / folder / "model.pth").exists()


def test_folds_learn_from_other_cases_and_from_all_together(finished: Path, phantom: Dataset) -> None:
    folder = finished / phantom.name / "random" / "seed-0"
    labelled: set[tuple[str, int]] = set()
    for number in range(3):
        labelled |= {(u["case"], u["index"]) for u in read_json(folder / f"round-{number}" / "query.json")["units"]}
    folds = [
        {(case, index) for case, index in read_json(folder / "round-2" / name)["units"]}
        for name in train_stages(3).values()
    ]
    assert set.union(*folds) == labelled
    cases = [{case for case, _ in labelled - fold} for fold in folds]  # left out
    assert not cases[0] & cases[1] and not cases[0] & cases[2] and not cases[1] & cases[2]
    assert set.union(*cases) == {case for case, _ in labelled}


def test_a_rounds_numbers_are_those_of_all_folds(finished: Path) -> None:
    runs = read_rounds(finished).set_index(["strategy", "round"])
    first, last = runs.loc[("random", 0)], runs.loc[("random", 2)]
    assert (first["iterations"], last["iterations"]) == (3 * 200, 3 * 100)
    assert (first["n_annotated_units"], last["n_annotated_units"]) == (6, 18)
    assert runs.loc[("full", 2), "n_annotated_units"] == runs.loc[("full", 2), "n_pool_units"]


def test_a_lost_fold_is_trained_again(finished: Path, phantom: Dataset) -> None:
    folder = finished / phantom.name / "random" / "seed-0" / "round-1"
    whole = {name: (folder / name).read_bytes() for name in train_stages(3).values()}
    times = {name: (folder / name).stat().st_mtime_ns for name in whole}
    (folder / "model-1.pth").unlink()
    before = queries(finished)
    protocol = patch_protocol(folds=3, source="ensemble", max_per_case=2)
    run_studies([fake_study(phantom, finished, protocol)], STRATEGIES, [0], n_processes=1)
    assert whole == {name: (folder / name).read_bytes() for name in whole}
    assert {name: (folder / name).stat().st_mtime_ns == times[name] for name in whole} == {
        "model-0.pth": True,
        "model-1.pth": False,
        "model-2.pth": True,
    }
    assert queries(finished) == before


class Listening(Silent):
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_a_fold_that_holds_every_annotated_case_says_so_and_learns_from_all(phantom: Dataset, tmp_path: Path) -> None:
    protocol = patch_protocol(folds=5)
    one = protocol.pool.model_copy(update={"start": 1})
    study = fake_study(phantom, tmp_path, protocol.model_copy(update={"pool": one, "rounds": 1}))
    listening = Listening()
    run_studies([study], ["random"], [0], 1, listening)
    told = [line for line in listening.said if "every annotated case is in this fold" in line]
    assert len(told) == 1
    folder = tmp_path / phantom.name / SHARED / "seed-0" / "round-0"
    assert {len(read_json(folder / name)["units"]) for name in train_stages(5).values()} == {1}


def test_a_bound_too_tight_for_the_budget_is_refused_before_anything(phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path, patch_protocol(max_per_case=1))
    with pytest.raises(InputError, match=r"pool.max_per_case: .* have 6 units, got 1, which allows 5 in 5 cases"):
        run_studies([study], ["random"], [0], n_processes=1)


@pytest.fixture(scope="module")
def split(phantom: Dataset) -> Split:
    return Split(pool=phantom.case_names[:4], test=phantom.case_names[4:6])


@pytest.fixture(scope="module")
def trainer(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> NnunetTrainer:
    configure_cpu(1)
    return NnunetTrainer(phantom, patch_protocol(), torch.device("cpu"), tmp_path_factory.mktemp("nnunet3d"), 0)


@pytest.fixture(scope="module")
def pool(trainer: NnunetTrainer, split: Split) -> Pool:
    pool = trainer.scan(split, lambda: None).pool
    trainer.preprocess(split, pool, start_units(pool, 8, generator("test")), lambda: None)
    return pool


@pytest.fixture(scope="module")
def checkpoints(trainer: NnunetTrainer, pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    start = start_units(pool, 8, generator("test"))
    for fold in range(2):
        trainer.train(
            start,
            iterations=30,
            key=("test", fold),
            initial=None,
            target=folder / f"{fold}.pth",
            on_iteration=lambda loss: None,
        )
    return [folder / f"{fold}.pth" for fold in range(2)]


@pytest.mark.slow
def test_the_network_is_three_dimensional_and_small(trainer: NnunetTrainer, checkpoints: list[Path]) -> None:
    network = trainer.load(checkpoints[0]).network
    assert any(isinstance(module, torch.nn.Conv3d) for module in network.modules())
    assert any(isinstance(module, torch.nn.Dropout) for module in network.modules())
    assert max(trainer.store.configuration_manager.patch_size) <= 40  # the median volume is at most 32
    for case in trainer.store.pool.cases:
        assert max(trainer.store.grid(case).shape) <= 40


@pytest.mark.slow
def test_labels_lie_over_the_annotated_boxes_alone(trainer: NnunetTrainer, pool: Pool, phantom: Dataset) -> None:
    """The preprocessed labels of a patch are, but for resampling, those of its box in the file."""
    store = trainer.store
    units = start_units(pool, 8, generator("test"))
    dataset = AnnotatedDataset(store, units)
    for case in dataset.identifiers:
        labels = dataset.load_case(case)[1]
        known = np.zeros(labels.shape, dtype=bool)
        for unit in (unit for unit in units if unit.case == case):
            box = (slice(None), *store.box(unit))
            assert not known[box].any()
            known[box] = True
            volume = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(phantom.case(case).label)))
            row = pool.rows([unit])[0]
            original = volume[tuple(map(slice, pool.starts[row], pool.stops[row]))]
            share, expected = (labels[box] > 0).mean(), (original > 0).mean()
            assert abs(share - expected) < 0.1
        np.testing.assert_array_equal(labels[known], store.reference(case)[known])
        assert (labels[~known] == store.label_manager.ignore_label).all()
        locations = np.concatenate([v for v in dataset.load_case(case)[3]["class_locations"].values() if len(v)])
        assert known[tuple(locations.T)].all()


@pytest.mark.slow
def test_every_quantity_of_the_real_network(trainer: NnunetTrainer, checkpoints: list[Path], pool: Pool) -> None:
    units, labelled = pool.units[::9], pool.units[2:12:4]
    plan = ScoringRequest(
        passes=3,
        dropout=0.1,
        batch_size=2,
        bfloat16=False,
        class_weights=np.array([0.0, 0.5, 0.5]),
        key=("test",),
        n_fisher_units=5,
        n_parameters=300,
        labelled=labelled,
        source="ensemble",
    )
    scores = trainer.load(*checkpoints).score(units, ~Need.NOTHING, plan)
    for name in ("entropy", "predictive_entropy", "mutual_information", "variance", "class_entropy"):
        values = getattr(scores, name)
        assert values.shape[0] == len(units)
        assert np.isfinite(values).all() and (values >= 0).all() and values.max() > 0
    assert (scores.mutual_information < scores.predictive_entropy).all()
    np.testing.assert_allclose(scores.class_entropy.sum(axis=1), scores.predictive_entropy, rtol=1e-4)
    assert scores.fisher.gradients.shape == scores.bottleneck.shape == (len(units), 300)
    assert scores.features.labelled.shape == (len(labelled), scores.features.unlabelled.shape[1])
    alone = trainer.load(checkpoints[1]).score(units, Need.ENTROPY, plan).entropy
    assert not np.allclose(alone, scores.entropy)


@pytest.mark.slow
def test_views_are_the_middle_planes_of_patches(trainer: NnunetTrainer, checkpoints: list[Path], pool: Pool) -> None:
    units = pool.units[::13][::-1]
    plan = ScoringRequest(3, 0.1, 2, False, np.array([0.0, 0.5, 0.5]), ("test",))
    model, store = trainer.load(*checkpoints), trainer.store
    agree = []
    for unit, view in zip(units, model.view(units, plan), strict=True):
        first, *others = store.box(unit)
        plane = ((first.start + first.stop) // 2, *others)
        upright = slice(None, None, -1 if store.plans_manager.transpose_forward[1] == 0 else 1)
        np.testing.assert_array_equal(view.image, store.image(unit.case)[(0, *plane)][upright])
        np.testing.assert_array_equal(view.reference, np.maximum(store.reference(unit.case)[(0, *plane)], 0)[upright])
        labels = model._logits(store.image(unit.case)).argmax(0).numpy()
        agree.append((view.prediction == labels[plane][upright]).mean())
        assert ((view.uncertainty >= 0) & (view.uncertainty <= np.log(3) + 1e-6)).all()
    assert np.mean(agree) > 0.95


def within_patch(model: NnunetModel) -> tuple[slice, ...]:
    """As much of an image as the network takes whole."""
    return (slice(None), *(slice(0, edge) for edge in model._patch_size))


def assert_alike(found: torch.Tensor, nnunets: torch.Tensor) -> None:
    """But for nnU-Net's half precision, which its small weights at a window's corners make worse."""
    assert torch.quantile((found - nnunets).abs(), 0.99) < 0.05
    assert (found.argmax(0) == nnunets.argmax(0)).float().mean() > 0.995


@pytest.mark.slow
def test_folds_predict_as_nnunet_does_by_their_mean_logits(
    trainer: NnunetTrainer, checkpoints: list[Path], split: Split
) -> None:
    case = split.test[0]
    models = [trainer.load(path) for path in checkpoints]
    both = trainer.load(*checkpoints)
    whole = trainer.store.image(case)
    small = whole[within_patch(both)][:, :-3]  # smaller than the network's patch along one axis
    assert any(n > p for n, p in zip(whole.shape[1:], both._patch_size, strict=True))
    for image in (whole, small):
        tiled = [model._tiled(model.network, image) for model in models]  # nnU-Net's predictor
        assert_alike(both._logits(image), (tiled[0] + tiled[1]) / 2)
    assert both.predict(case).shape == both.reference(case).shape


@pytest.mark.slow
def test_mirrored_predictions_are_averaged_as_nnunet_does(trainer: NnunetTrainer, checkpoints: list[Path]) -> None:
    model = trainer.load(checkpoints[0])
    model._mirror_axes = (0, 2)
    whole = trainer.store.image(trainer.store.pool.cases[0])
    image = whole[within_patch(model)]
    mirrored = model._logits(image)
    assert_alike(mirrored, model._tiled(model.network, image))
    model._mirror_axes = ()
    assert np.abs(model._logits(image) - mirrored).max() > 0.5


def study(
    dataset: Dataset, protocol: Protocol, out: Path, strategies: str, rounds: int
) -> subprocess.CompletedProcess[str]:
    path = out.parent / f"{out.name}.yaml"
    training = protocol.training.model_copy(update={"first_iterations": 8, "round_iterations": 4})
    changed = protocol.model_copy(update={"training": training, "rounds": rounds, "budget": 4})
    path.write_text(yaml.safe_dump(changed.model_dump(mode="json")))
    command = [
        sys.executable, "-m", "albench", "run", "--dataset", str(dataset.root), "--strategy", strategies,
        "--protocol", str(path), "--out", str(out), "--cache", str(out.parent / "cache"), "--jobs", "1",
    ]  # fmt: skip
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_with_the_real_3d_network(phantom: Dataset, tmp_path: Path) -> None:
    names = "random,usim-f,bald,coreset,badge,random-fg66"
    done = study(phantom, patch_protocol(max_per_case=2), tmp_path / "out", names, 2)
    assert done.returncode == 0, done.stderr
    assert set(read_results(tmp_path / "out")["strategy"]) == set(names.split(","))
    runs = read_rounds(tmp_path / "out")
    assert (runs[runs["round"] == 1]["n_annotated_units"] == 10).all()
    assert (runs["n_annotated_fg_voxels"] < runs["n_annotated_voxels"]).all()
    assert (tmp_path / "out" / "report" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_with_an_ensemble(phantom: Dataset, tmp_path: Path) -> None:
    done = study(phantom, patch_protocol(folds=2, source="ensemble"), tmp_path / "out", "bald,usim-f", 2)
    assert done.returncode == 0, done.stderr
    assert "fold 1: training on" in done.stderr
    runs = read_rounds(tmp_path / "out")
    assert set(runs["iterations"]) == {16, 8}
