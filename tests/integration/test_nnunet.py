"""The real thing, small: nnU-Net plans, preprocesses, trains, scores and predicts phantoms."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK
import torch
import yaml
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

from albench.config import Protocol
from albench.data import Dataset
from albench.errors import InputError
from albench.results.tables import read_results, read_rounds
from albench.scoring.request import GradientSettings, Need, ScoringRequest
from albench.seeding import generator
from albench.study.setup import start_units
from albench.training import original
from albench.training.annotated import AnnotatedDataset
from albench.training.export import export_model, prediction_command
from albench.training.loader import batches
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.training.trainer import ALTrainer, TrainingRequest
from albench.units.pool import Pool, Split, Unit
from tests.support.fake_study import fake_protocol

pytestmark = pytest.mark.slow
N_START = 12


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return fake_protocol()


@pytest.fixture(scope="module")
def split(phantom: Dataset) -> Split:
    return Split(pool=phantom.case_names[:5], test=phantom.case_names[5:])


@pytest.fixture(scope="module")
def trainer(phantom: Dataset, protocol: Protocol, tmp_path_factory: pytest.TempPathFactory) -> NnunetTrainer:
    configure_cpu(1)
    return NnunetTrainer(phantom, protocol, torch.device("cpu"), tmp_path_factory.mktemp("nnunet"), 0)


@pytest.fixture(scope="module")
def pool(trainer: NnunetTrainer, split: Split) -> Pool:
    pool = trainer.scan(split, lambda: None).pool
    trainer.preprocess(split, pool, start_units(pool, N_START, generator("test")), lambda: None)
    return pool


@pytest.fixture(scope="module")
def start(pool: Pool) -> tuple[Unit, ...]:
    return start_units(pool, N_START, generator("test"))


@pytest.fixture(scope="module")
def checkpoint(trainer: NnunetTrainer, start: tuple[Unit, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(trainer, start, tmp_path_factory.mktemp("model") / "model.pth", iterations=60)


def train(
    trainer: NnunetTrainer, units: tuple[Unit, ...], target: Path, iterations: int, initial: Path | None = None
) -> Path:
    trainer.train(
        units, iterations=iterations, key=("test",), initial=initial, target=target, on_iteration=lambda loss: None
    )
    return target


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(path, weights_only=True)["network_weights"])


def test_pool_counts_agree_with_the_files(pool: Pool, phantom: Dataset) -> None:
    for case in pool.cases:
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(phantom.case(case).label)))
        labels = np.moveaxis(labels, pool.axes[case], 0)
        rows = [row for row, unit in enumerate(pool.units) if unit.case == case]
        for row in rows:
            expected = np.bincount(labels[pool.units[row].index].ravel(), minlength=phantom.n_labels)
            np.testing.assert_array_equal(pool.voxel_counts[row], expected)
            assert pool.n_voxels[row] == labels[0].size


def test_unannotated_voxels_are_ignored(trainer: NnunetTrainer, pool: Pool, start: tuple[Unit, ...]) -> None:
    store = trainer.store
    dataset = AnnotatedDataset(store, start)
    assert sorted(dataset.identifiers) == sorted({unit.case for unit in start})
    for case in dataset.identifiers:
        labels = dataset.load_case(case)[1]
        annotated = {unit.index - store.first_slice(case) for unit in start if unit.case == case}
        for row in range(labels.shape[1]):
            if row in annotated:
                np.testing.assert_array_equal(labels[:, row], store.reference(case)[:, row])
            else:
                assert (labels[:, row] == store.label_manager.ignore_label).all()
        locations = dataset.load_case(case)[3]["class_locations"]
        assert {int(voxel[1]) for voxels in locations.values() for voxel in voxels} <= annotated


@pytest.mark.parametrize("slab_voxels", [1, 20_000, 2**22])
def test_labels_on_the_original_grid_are_those_of_nnunet(
    trainer: NnunetTrainer, pool: Pool, slab_voxels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "_SLAB_VOXELS", slab_voxels)
    store = trainer.store
    rng = np.random.default_rng(0)
    for case in pool.cases[:3]:
        n_labels = store.label_manager.num_segmentation_heads
        logits = rng.normal(size=(n_labels, *store.open_image(case).shape[1:])).astype(np.float32)
        logits[:, 0] = 0.5  # all the same: the lowest label
        expected = convert_predicted_logits_to_segmentation_with_correct_shape(
            torch.from_numpy(logits),
            store.plans_manager,
            store.configuration_manager,
            store.label_manager,
            store.properties(case),
            num_threads_torch=torch.get_num_threads(),
        )
        found = original.original_labels(logits, store, store.properties(case))
        assert found.dtype == np.uint8 and set(np.unique(found)) == set(range(n_labels))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
def test_where_cases_are_read_from_changes_no_batch(
    trainer: NnunetTrainer, start: tuple[Unit, ...], tmp_path: Path, memory_bytes: int
) -> None:
    """Bounds that hold no case, and some of them, against one that holds all."""

    def drawn(dataset: AnnotatedDataset) -> list[dict[str, torch.Tensor]]:
        plan = TrainingRequest(4, 12, 0.01, 0.9, True, 0.5, ("test",))
        source = ALTrainer.create(trainer.store, dataset, plan, torch.device("cpu"), tmp_path).source()
        return list(batches(source, n_batches=4, key=("test",), n_workers=0))

    everything = AnnotatedDataset(trainer.store, start)
    bounded = AnnotatedDataset(trainer.store, start, memory_bytes)
    held = [isinstance(bounded.load_case(case)[0], np.ndarray) for case in bounded.identifiers]
    assert not all(held) and any(held) == (memory_bytes > 0)
    assert all(isinstance(everything.load_case(case)[0], np.ndarray) for case in everything.identifiers)
    for first, second in zip(drawn(everything), drawn(bounded), strict=True):
        assert torch.equal(first["data"], second["data"])
        assert all(torch.equal(a, b) for a, b in zip(first["target"], second["target"], strict=True))


def test_the_network_is_the_planned_one_with_dropout(trainer: NnunetTrainer, checkpoint: Path) -> None:
    network = trainer.load(checkpoint).network
    dropouts = [module for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    convs = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(dropouts) == sum(conv.kernel_size != (1, 1) for conv in convs)
    assert convs[0].out_channels == 16


def test_training_is_reproducible_at_any_number_of_loaders(
    trainer: NnunetTrainer, start: tuple[Unit, ...], tmp_path: Path
) -> None:
    first = train(trainer, start, tmp_path / "a.pth", iterations=4)
    trainer._n_loaders = 2
    second = train(trainer, start, tmp_path / "b.pth", iterations=4)
    trainer._n_loaders = 0
    for name, value in weights(first).items():
        assert torch.equal(value, weights(second)[name])


def test_a_warm_start_begins_where_the_last_round_ended(
    trainer: NnunetTrainer, start: tuple[Unit, ...], checkpoint: Path, tmp_path: Path
) -> None:
    warm = weights(train(trainer, start, tmp_path / "warm.pth", iterations=1, initial=checkpoint))
    cold = weights(train(trainer, start, tmp_path / "cold.pth", iterations=1))
    name = "encoder.stages.0.0.convs.0.conv.weight"
    before = weights(checkpoint)[name]
    assert torch.norm(warm[name] - before) < 0.2 * torch.norm(cold[name] - before)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch.compile's own
def test_a_compiled_network_leaves_the_same_checkpoint(
    trainer: NnunetTrainer, start: tuple[Unit, ...], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = weights(train(trainer, start, tmp_path / "plain.pth", iterations=2, initial=checkpoint))
    compiled = []

    def compile_eagerly(network: torch.nn.Module) -> torch.nn.Module:
        compiled.append(real(network, backend="eager"))
        return compiled[-1]

    real = torch.compile
    monkeypatch.setattr(torch, "compile", compile_eagerly)
    monkeypatch.setattr(ALTrainer, "_do_i_compile", lambda self: True)
    found = weights(train(trainer, start, tmp_path / "compiled.pth", iterations=2, initial=checkpoint))
    assert compiled
    assert found.keys() == plain.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "iterations", "device", "expected"),
    [
        ("auto", 5_000, "cuda", True),
        ("auto", 4_999, "cuda", False),
        ("on", 10, "cuda", True),
        ("off", 75_000, "cuda", False),
        ("on", 75_000, "cpu", False),
    ],
)
def test_when_networks_are_compiled(
    setting: str, iterations: int, device: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("nnUNet_compile", raising=False)
    trainer = ALTrainer.__new__(ALTrainer)
    trainer._request = TrainingRequest(iterations, 2, 0.01, 0.9, False, 0.3, ("test",), setting)
    trainer.device = torch.device(device)
    assert trainer._do_i_compile() is expected
    monkeypatch.setenv("nnUNet_compile", "f")  # there is no C compiler in the container
    assert trainer._do_i_compile() is False


def test_nnunet_itself_predicts_the_same(
    trainer: NnunetTrainer,
    checkpoint: Path,
    phantom: Dataset,
    split: Split,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whole slices in batches against nnU-Net's own sliding window, on slices that fit one patch."""
    model = trainer.load(checkpoint)
    case = split.test[0]
    image = trainer.store.image(case)
    whole = model._logits(image)
    capsys.readouterr()
    tiled = model._tiled(model.network, image)
    assert capsys.readouterr() == ("", "")
    fits = all(n <= p for n, p in zip(image.shape[2:], trainer.store.configuration_manager.patch_size, strict=True))
    agreement = (whole.argmax(0) == tiled.argmax(0)).float().mean()
    assert agreement > (0.999 if fits else 0.97)
    prediction = model.predict(case)
    assert prediction.shape == model.reference(case).shape
    assert set(np.unique(prediction)) <= set(phantom.labels)


def test_an_exported_model_is_one_of_nnunets_own(
    trainer: NnunetTrainer, checkpoint: Path, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nnU-Net's command, from the raw image, against our prediction from the preprocessed one."""
    folder = export_model(trainer.store, [checkpoint], tmp_path / "my results")
    images, predicted = tmp_path / "images", tmp_path / "predicted"
    images.mkdir()
    for case in trainer._raw(split.test, 2):
        (images / case.images[0].name).symlink_to(case.images[0])
    program, *words = shlex.split(prediction_command(folder))
    places = {"IMAGES": str(images), "PREDICTIONS": str(predicted)}
    command = [str(Path(sys.executable).with_name(program)), *(places.get(word, word) for word in words)]
    command += ["-device", "cpu", "-npp", "1", "-nps", "1"]
    folders = {name: str(tmp_path) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | folders)
    assert done.returncode == 0, done.stderr
    model = trainer.load(checkpoint)
    monkeypatch.setattr("albench.training.model._WHOLE_SLICE_PATCHES", 0)  # nnU-Net tiles every slice
    for case in split.test:
        theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(predicted / f"{case}.nii.gz")))
        ours = model.predict(case)
        assert len(np.unique(ours)) > 1
        assert (theirs == ours).mean() > 0.999
    with pytest.raises(InputError, match="expected no model yet"):
        export_model(trainer.store, [checkpoint], tmp_path / "my results")


def test_scores_of_the_real_network(trainer: NnunetTrainer, checkpoint: Path, pool: Pool) -> None:
    units, labelled = pool.units[::7], pool.units[3:12:4]
    plan = ScoringRequest(
        passes=4,
        dropout=0.1,
        batch_size=16,
        bfloat16=False,
        class_weights=np.array([0.0, 0.5, 0.5]),
        key=("test",),
        n_fisher_units=10,
        n_parameters=500,
        gradients=GradientSettings(layers="all"),
        labelled=labelled,
    )
    scores = trainer.load(checkpoint).score(units, ~Need.NOTHING, plan)
    assert scores.entropy is not None and scores.variance is not None
    assert scores.predictive_entropy is not None and scores.mutual_information is not None
    assert scores.class_entropy is not None and scores.features is not None and scores.last_layer is not None
    assert scores.fisher is not None and scores.bottleneck is not None
    for entropy in (scores.entropy, scores.predictive_entropy, scores.mutual_information):
        assert entropy.shape == (len(units),)
        assert ((entropy >= 0) & (entropy <= np.log(3))).all()
    assert (scores.mutual_information < scores.predictive_entropy).all()
    assert np.corrcoef(scores.entropy, scores.predictive_entropy)[0, 1] > 0.7
    np.testing.assert_allclose(scores.class_entropy.sum(axis=1), scores.predictive_entropy, rtol=1e-4)
    assert scores.variance.shape == (len(units), 3)
    assert (scores.variance >= 0).all() and (scores.variance.max(axis=0) > 0).all()
    assert scores.fisher.gradients.shape == (len(units), 500)
    assert (scores.fisher.fisher > 0).all()
    assert scores.bottleneck.shape == (len(units), 500)
    assert scores.last_layer.shape == (len(units), 16 * 16 * 9)
    assert scores.features.labelled.shape == (len(labelled), scores.features.unlabelled.shape[1])
    fresh = trainer.load(checkpoint)
    again = fresh.score(units[::-1], Need.ENTROPY, plan).entropy
    assert again is not None
    np.testing.assert_allclose(again[::-1], scores.entropy, rtol=1e-4)
    known = fresh.score(labelled, Need.FEATURES, plan).features
    assert known is not None
    np.testing.assert_allclose(known.unlabelled, scores.features.labelled, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(known.unlabelled, known.labelled)


def test_views_show_what_is_predicted_and_scored(trainer: NnunetTrainer, checkpoint: Path, pool: Pool) -> None:
    """Units in no order; uncertainty averages to the score, prediction and reference are those of the whole case."""
    units = pool.units[::23][::-1]
    weights_ = np.array([0.0, 0.5, 0.5])
    plan = ScoringRequest(4, 0.1, 3, False, weights_, ("test",), source="ensemble")
    model, store = trainer.load(checkpoint), trainer.store
    state = torch.get_rng_state()
    views = model.view(units, plan)
    model.view(units, replace(plan, source="dropout"))
    assert torch.equal(torch.get_rng_state(), state)
    scores = model.score(units, Need.PREDICTIVE_ENTROPY, plan)
    np.testing.assert_allclose([view.uncertainty.mean() for view in views], scores.predictive_entropy, rtol=1e-4)
    for unit, view in zip(units, views, strict=True):
        row = unit.index - store.first_slice(unit.case)
        image = store.image(unit.case)
        upright = slice(None, None, -1 if store.plans_manager.transpose_forward[1] == 0 else 1)
        np.testing.assert_array_equal(view.image, image[0, row][upright])
        np.testing.assert_array_equal(view.reference, np.maximum(store.reference(unit.case)[0, row], 0)[upright])
        expected = model._logits(image)[:, row].argmax(0).numpy()[upright]
        assert (view.prediction == expected).mean() > 0.999
    assert any(view.prediction.any() for view in views)


def command(phantom: Dataset, protocol: Protocol, out: Path) -> list[str]:
    path = out.parent / "tiny.yaml"
    training = {"first_iterations": 40, "round_iterations": 20}
    values = protocol.model_dump() | {"training": protocol.training.model_dump() | training, "rounds": 2}
    path.write_text(yaml.safe_dump(values))
    return [
        sys.executable, "-m", "albench", "run", "--dataset", str(phantom.root), "--strategy", "random,usim-f",
        "--protocol", str(path), "--out", str(out), "--cache", str(out.parent / "cache"), "--jobs", "1",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_killed_five_times_a_run_resumes_to_the_same_result(
    phantom: Dataset, protocol: Protocol, tmp_path: Path
) -> None:
    """Kill -9 at a random moment soon after each of five stages, let it end, compare with an undisturbed run."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(phantom, protocol, whole), check=True, capture_output=True)
    marks = [
        "_shared/seed-0/scan.stage.json",
        "_shared/seed-0/prepare.stage.json",
        "_shared/seed-0/round-0/train.stage.json",
        "*/seed-0/round-1/query.json",
        "*/seed-0/round-1/train.stage.json",
    ]
    rng = np.random.default_rng(5)
    for mark in marks:
        process = subprocess.Popen(
            command(phantom, protocol, broken), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while not list((broken / phantom.name).glob(mark)):
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 1.0))
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command(phantom, protocol, broken), check=True, capture_output=True, text=True)
    assert "reading 5 cases" not in done.stderr
    for path in whole.rglob("query.json"):
        assert (broken / path.relative_to(whole)).read_bytes() == path.read_bytes()
    pd.testing.assert_frame_equal(read_results(broken), read_results(whole))
    assert (read_rounds(broken)["overhead_s"] > 0).all()
    assert (broken / "report" / "index.html").is_file()
    assert (broken / "report" / "curves.png").is_file()
