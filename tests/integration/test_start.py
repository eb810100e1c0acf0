"""Studies that begin with each kind of starting set: on the fake trainer, on nnU-Net's, on real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from albench.coldstart.all_classes import all_classes
from albench.coldstart.choose import choose_start
from albench.coldstart.descriptors import describe_slices
from albench.coldstart.embedding import embed
from albench.coldstart.typiclust import typicality
from albench.config import START_METHODS, Protocol, StartMethod
from albench.data import Dataset, load_dataset
from albench.machine.files import read_json
from albench.protocols import load_protocol
from albench.report.inputs import read_inputs
from albench.report.provenance import commands
from albench.results.layout import SHARED
from albench.results.tables import read_results, read_rounds
from albench.seeding import generator
from albench.study.workers import run_studies
from albench.training import nnunet
from albench.training.fake import FakeTrainer
from albench.units.pool import Pool, Split
from albench.units.split import split_cases
from tests.support.fake_study import fake_protocol, fake_study

STRATEGIES = ("random", "usim-f", "full")


def protocol(method: str) -> Protocol:
    plain = fake_protocol()
    return plain.model_copy(update={"pool": plain.pool.model_copy(update={"start_method": method})})


def starts(out: Path, dataset: Dataset, seed: int) -> list[list[tuple[str, int]]]:
    """Starting set as the seed's setup and as every chain has it."""
    folder = out / dataset.name
    found = [[(case, index) for case, index in read_json(folder / SHARED / f"seed-{seed}" / "start.json")]]
    queries = sorted(folder.glob(f"*/seed-{seed}/round-0/query.json"))
    return found + [[(unit["case"], unit["index"]) for unit in read_json(path)["units"]] for path in queries]


@pytest.mark.parametrize("method", [method for method in START_METHODS if method != "labelled"])
def test_a_whole_study(method: StartMethod, phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path, protocol(method))
    run_studies([study], STRATEGIES, [0, 1], n_processes=1)
    assert set(read_results(tmp_path)["strategy"]) == set(STRATEGIES)
    runs = read_rounds(tmp_path)
    assert (runs[runs["round"] == 0]["n_annotated_units"] == 6).all()
    assert f"--budget 6 --start {method} --device cpu" in commands(read_inputs([tmp_path]))[0]
    chosen = {}
    for seed in (0, 1):
        first, *others = starts(tmp_path, phantom, seed)
        assert len(set(first)) == 6
        assert len(others) == 2
        assert all(other == first for other in others)
        chosen[seed] = first
        folder = tmp_path / phantom.name / SHARED / f"seed-{seed}"
        pool = Pool.load(folder / "pool.parquet")
        rng = generator(phantom.name, seed, "start")
        if method == "random":
            assert not (folder / "descriptors.npy").exists()
            rows = rng.choice(len(pool), 6, replace=False)
        elif method == "all-classes":
            rows = all_classes(pool, 6, rng)
        else:
            descriptors = np.load(folder / "descriptors.npy")
            assert descriptors.shape == (len(pool), 433)
            rows = choose_start(method, 6, descriptors, rng)
        assert first == [(pool.units[row].case, pool.units[row].index) for row in rows]
    assert chosen[0] != chosen[1]


def test_damaged_descriptors_and_starts_are_made_again(phantom: Dataset, tmp_path: Path) -> None:
    run_studies([fake_study(phantom, tmp_path, protocol("typical"))], ["random"], [0], n_processes=1)
    folder = tmp_path / phantom.name / SHARED / "seed-0"
    whole = {name: (folder / name).read_bytes() for name in ("descriptors.npy", "start.json")}
    (folder / "descriptors.npy").write_bytes(whole["descriptors.npy"][:-7])
    (folder / "start.json").unlink()
    run_studies([fake_study(phantom, tmp_path, protocol("typical"))], ["random"], [0], n_processes=2)
    assert whole == {name: (folder / name).read_bytes() for name in whole}


def coverage(rows: NDArray[np.int64], X: NDArray[np.float64]) -> tuple[float, float]:
    """k-centre radius of a set, and mean typicality of its units in the whole pool."""
    return float(cdist(X, X[rows]).min(axis=1).max()), float(typicality(X)[rows].mean())


def assert_better_than_random(descriptors: NDArray[np.float32], n: int) -> None:
    X = embed(descriptors)
    drawn = [coverage(np.random.default_rng(i).choice(len(X), n, replace=False), X) for i in range(20)]
    radius, typical = np.array(drawn).T
    spread = [coverage(choose_start("k-centre", n, descriptors, np.random.default_rng(i)), X) for i in range(3)]
    dense = [coverage(choose_start("typical", n, descriptors, np.random.default_rng(i)), X) for i in range(3)]
    assert max(found[0] for found in spread) < np.quantile(radius, 0.25)
    assert max(found[0] for found in dense) < radius.mean()
    assert min(found[1] for found in dense) > np.quantile(typical, 0.75)


def test_sets_cover_phantoms_better_than_random_ones(phantom: Dataset, tmp_path: Path) -> None:
    split = Split(pool=phantom.case_names, test=())
    descriptors = FakeTrainer(phantom, tmp_path).scan(split, lambda: None, describe=True).descriptors
    assert descriptors is not None
    assert_better_than_random(descriptors, 12)


def nnunet_trainer(dataset: Dataset, work: Path) -> nnunet.NnunetTrainer:
    return nnunet.NnunetTrainer(dataset, load_protocol("quick"), torch.device("cpu"), work, 0)


@pytest.mark.parametrize("guess", [None, 0, 2])
def test_nnunets_units_are_described_along_their_axis(
    guess: int | None, phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where headers suggest another axis than nnU-Net then slices along."""
    if guess is not None:
        monkeypatch.setattr(nnunet, "likely_axis", lambda cases: guess)
    split = Split(pool=tuple(sorted(phantom.case_names)[:3]), test=())
    found = nnunet_trainer(phantom, tmp_path).scan(split, lambda: None, describe=True)
    plain = nnunet_trainer(phantom, tmp_path).scan(split, lambda: None)
    assert plain.descriptors is None
    assert plain.pool.units == found.pool.units
    expected = []
    for name in split.pool:
        images, box = _images_and_box(phantom, name)
        axis = found.pool.axes[name]
        expected.append(describe_slices(images, box, axis)[slice(*box[axis])])
    assert found.descriptors is not None
    np.testing.assert_array_equal(found.descriptors, np.concatenate(expected))


def _images_and_box(dataset: Dataset, name: str) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    images = SimpleITKIO().read_images([str(path) for path in dataset.case(name).images])[0]
    filled = np.argwhere(images[0] != 0)
    return images, list(zip(filled.min(axis=0).tolist(), (filled.max(axis=0) + 1).tolist(), strict=True))


@pytest.mark.data
@pytest.mark.slow
def test_sets_cover_hippocampus_better_than_random_ones(real_data: Path, tmp_path: Path) -> None:
    dataset = load_dataset("hippocampus", data_dir=real_data, cache_dir=tmp_path / "cache")
    split = split_cases(
        dataset.case_names,
        test_share=0.2,
        max_test_cases=50,
        max_pool_cases=40,
        test_rng=generator(dataset.name, "test"),
        pool_rng=generator(dataset.name, 0, "pool"),
    )
    descriptors = nnunet_trainer(dataset, tmp_path).scan(split, lambda: None, describe=True).descriptors
    assert descriptors is not None
    assert len(descriptors) > 1000
    assert_better_than_random(descriptors, 40)
