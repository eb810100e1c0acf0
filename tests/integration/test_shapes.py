"""Images of any orientation, number of channels, anisotropy and thickness, through nnU-Net from files to scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from albench.config import Protocol
from albench.data import Dataset, verify_cases
from albench.errors import InputError
from albench.metrics.evaluate import dice_score
from albench.scoring.request import Need, ScoringRequest
from albench.seeding import generator
from albench.study.setup import start_units
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split, Unit
from tests.support.fake_study import fake_protocol, patch_protocol
from tests.support.made_archives import make_archive, make_photographs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLAT, LONG = [(8, 40, 36), (6, 44, 40), (18, 36, 40), (10, 40, 40)], (10.0, 1.5, 1.5)


@dataclass(frozen=True)
class Kind:
    """Shapes and spacing along (z, y, x), and the axis that slices should lie along."""

    shapes: list[tuple[int, int, int]]
    spacing_mm: tuple[float, float, float]
    n_channels: int
    axis: int


def turned(axes: tuple[int, int, int], n_channels: int) -> Kind:
    """The flat images with their axes in another order."""
    shapes = [(shape[axes[0]], shape[axes[1]], shape[axes[2]]) for shape in FLAT]
    z, y, x = (LONG[axis] for axis in axes)
    return Kind(shapes, (z, y, x), n_channels, axes.index(0))


KINDS = {
    "slices along z": turned((0, 1, 2), 1),
    "slices along y, two channels": turned((1, 0, 2), 2),
    "slices along x, three channels": turned((1, 2, 0), 3),
    "single slices": Kind([(1, 40, 36), (1, 44, 40), (1, 36, 40), (1, 40, 40), (1, 48, 32)], (999.0, 1.0, 1.0), 1, 0),
}


def trained(dataset: Dataset, protocol: Protocol, work: Path, iterations: int = 60) -> tuple[NnunetTrainer, Pool, Path]:
    """Scan, plan, preprocess and train on a third of the units of all cases but the last."""
    configure_cpu(1)
    trainer = NnunetTrainer(dataset, protocol, torch.device("cpu"), work, 0)
    split = Split(dataset.case_names[:-1], dataset.case_names[-1:])
    pool = trainer.scan(split, lambda: None).pool
    start = start_units(pool, max(2, len(pool) // 3), generator("shapes"))
    trainer.preprocess(split, pool, start, lambda: None)
    target = work / "model.pth"
    trainer.train(
        start, iterations=iterations, key=("shapes",), initial=None, target=target, on_iteration=lambda loss: None
    )
    return trainer, pool, target


def assert_scores(trainer: NnunetTrainer, pool: Pool, model: Path) -> None:
    plan = ScoringRequest(2, 0.1, 4, False, np.array([0.0, 1.0]), ("shapes",), 5, 200, labelled=pool.units[:2])
    scores = trainer.load(model).score(pool.units, ~Need.NOTHING, plan)
    for name in ("entropy", "predictive_entropy", "mutual_information"):
        values = getattr(scores, name)
        assert values.shape == (len(pool),)
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert values.max() > 0
    assert scores.fisher is not None
    assert len(scores.fisher.gradients) == len(pool)


def assert_predicts(trainer: NnunetTrainer, dataset: Dataset, model: Path, at_least: float) -> None:
    loaded, case = trainer.load(model), dataset.case_names[-1]
    prediction, reference = loaded.predict(case), loaded.reference(case)
    assert prediction.shape == reference.shape
    assert dice_score(prediction == 1, reference == 1) > at_least


@pytest.mark.parametrize("name", KINDS)
def test_slices_of_any_images(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    dataset = make_archive(tmp_path / "balls", kind.shapes, kind.spacing_mm, kind.n_channels)
    trainer, pool, model = trained(dataset, fake_protocol(), tmp_path / "work")
    assert set(pool.axes.values()) == {kind.axis}
    assert len(pool) == sum(shape[kind.axis] for shape in kind.shapes[:-1])
    assert_scores(trainer, pool, model)
    assert_predicts(trainer, dataset, model, 0.8)


@pytest.mark.parametrize("colours", [False, True])
def test_photographs(colours: bool, tmp_path: Path) -> None:
    """2D files, of which nnU-Net makes volumes of one slice, 999 mm thick."""
    shapes = [(40, 36), (44, 40), (36, 40), (40, 40), (48, 32)]
    dataset = make_photographs(tmp_path / "pictures", shapes, colours)
    assert dataset.n_channels == (3 if colours else 1)
    verify_cases(dataset, n_workers=1)
    trainer, pool, model = trained(dataset, fake_protocol(), tmp_path / "work")
    assert set(pool.axes.values()) == {0}
    assert pool.units == tuple(Unit(f"p{index}", 0) for index in range(4))
    assert pool.n_voxels.tolist() == [y * x for y, x in shapes[:-1]]
    assert_scores(trainer, pool, model)
    assert_predicts(trainer, dataset, model, 0.8)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "single slices"])
def test_patches_of_anisotropic_images(name: str, tmp_path: Path) -> None:
    """Patches a few slices thick, as nnActive's of cardiac MR are."""
    kind = KINDS[name]
    dataset = make_archive(tmp_path / "balls", kind.shapes, kind.spacing_mm, kind.n_channels)
    size = [16, 16, 16]
    size[kind.axis] = 4
    plain = patch_protocol()
    protocol = plain.model_copy(update={"pool": plain.pool.model_copy(update={"patch_size": tuple(size)})})
    trainer, pool, model = trained(dataset, protocol, tmp_path / "work")
    assert (pool.stops - pool.starts <= size).all()
    transpose = trainer.store.plans_manager.transpose_forward
    assert transpose[0] == kind.axis
    for case, shape in zip(pool.cases, kind.shapes, strict=False):
        assert trainer.store.grid(case).shape[0] == pytest.approx(shape[kind.axis], abs=2)  # the coarse axis stays
    assert_scores(trainer, pool, model)
    assert_predicts(trainer, dataset, model, 0.5)


def test_the_default_patch_is_a_third_of_the_images(tmp_path: Path) -> None:
    dataset = make_archive(tmp_path / "balls", FLAT, LONG)
    plain = patch_protocol()
    protocol = plain.model_copy(update={"pool": plain.pool.model_copy(update={"patch_size": None})})
    trainer = NnunetTrainer(dataset, protocol, torch.device("cpu"), tmp_path / "work", 0)
    pool = trainer.scan(Split(dataset.case_names, ()), lambda: None).pool
    # median 9 x 40 x 40, a third rounded up: 3 x 14 x 14
    assert (pool.stops - pool.starts).max(axis=0).tolist() == [3, 14, 14]


def test_single_slices_have_no_3d_network(tmp_path: Path) -> None:
    kind = KINDS["single slices"]
    dataset = make_archive(tmp_path / "balls", kind.shapes, kind.spacing_mm)
    with pytest.raises(InputError, match=r"network\.configuration: expected 2d for images of a single slice"):
        trained(dataset, patch_protocol(), tmp_path / "work")


def test_patches_that_vanish_in_resampling_are_refused(tmp_path: Path) -> None:
    dataset = make_archive(tmp_path / "balls", [(40, 40, 40)] * 3, (1.0, 1.0, 1.0))
    plain = patch_protocol()
    pool = plain.pool.model_copy(update={"patch_size": (1, 40, 40)})
    network = plain.network.model_copy(update={"max_edge": 16})
    protocol = plain.model_copy(update={"pool": pool, "network": network})
    with pytest.raises(InputError, match=r"pool.patch_size: .* case_0 goes from \(40, 40, 40\) to \(16, 16, 16\)"):
        trained(dataset, protocol, tmp_path / "work")
