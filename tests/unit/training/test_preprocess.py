"""What preprocessing may know: images alone, and of labels those of a unit for that unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

from albench.config import Protocol
from albench.data import Dataset
from albench.training.nnunet import NnunetTrainer
from albench.training.nnunet_env import quiet
from albench.training.preprocess import PreprocessedStore
from albench.units.pool import Pool, Split, Unit
from tests.support.fake_study import fake_protocol, patch_protocol
from tests.support.framed_data import make_framed, mask_of, scrambled

SHAPE = (22, 66, 58)
PROTOCOLS = {"slices": fake_protocol(), "patches": patch_protocol()}
SPLIT = Split(("case_0", "case_1"), ("case_2",))


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_framed(tmp_path_factory.mktemp("framed") / "heads", 3, SHAPE)


@pytest.fixture(scope="module")
def stores(framed: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreprocessedStore]:
    return {kind: prepared(framed, protocol, tmp_path_factory.mktemp(kind)) for kind, protocol in PROTOCOLS.items()}


def prepared(dataset: Dataset, protocol: Protocol, work: Path) -> PreprocessedStore:
    """A data set of which some units are drawn."""
    trainer = NnunetTrainer(dataset, protocol, torch.device("cpu"), work, 0)
    pool = trainer.scan(SPLIT, lambda: None).pool
    trainer.preprocess(SPLIT, pool, drawn_of(pool), lambda: None)
    return trainer.store


def drawn_of(pool: Pool) -> tuple[Unit, ...]:
    return pool.units[1::4]


def nnunets_own(store: PreprocessedStore, dataset: Dataset, case: str, label: Path | None) -> tuple[np.ndarray, ...]:
    files = dataset.case(case)
    with quiet():
        image, labels, _ = DefaultPreprocessor(verbose=False).run_case(
            [str(path) for path in files.images],
            None if label is None else str(label),
            store.plans_manager,
            store.configuration_manager,
            store.dataset_json,
        )
    return image, labels


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_labels_that_nobody_drew_change_nothing(
    kind: str, framed: Dataset, stores: dict[str, PreprocessedStore], tmp_path: Path
) -> None:
    """Neither images nor plans, nor the labels of what was drawn; nnU-Net's own way changes images."""
    store, pool = stores[kind], stores[kind].pool
    drawn = drawn_of(pool)
    boxes = {case: pool.boxes([unit for unit in drawn if unit.case == case]) for case in pool.cases}
    other = scrambled(framed, tmp_path / "noise", lambda case: mask_of(SHAPE, boxes[case]) if case in boxes else None)
    changed = prepared(other, PROTOCOLS[kind], tmp_path / "work")
    assert store.configuration_manager.use_mask_for_norm == [True]
    assert changed.plans == store.plans
    n_different = 0
    for case in (*SPLIT.pool, *SPLIT.test):
        np.testing.assert_array_equal(changed.image(case), store.image(case))
        assert changed.properties(case) == store.properties(case)
        leaky, _ = nnunets_own(store, other, case, other.case(case).label)
        n_different += int((leaky != store.image(case)).sum())
        if case in SPLIT.test:
            np.testing.assert_array_equal(changed.reference(case), store.reference(case))
    assert n_different > 1000
    for unit in drawn:
        box = (0, *store.box(unit))
        np.testing.assert_array_equal(changed.reference(unit.case)[box], store.reference(unit.case)[box])


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_images_are_those_that_nnunets_predictor_sees(
    kind: str, framed: Dataset, stores: dict[str, PreprocessedStore]
) -> None:
    store = stores[kind]
    for case in (*SPLIT.pool, *SPLIT.test):
        image, _ = nnunets_own(store, framed, case, None)
        np.testing.assert_array_equal(store.image(case), image)
        assert (store.reference(case) == -1).any()  # the corners of the crop


def test_labels_of_slices_are_nnunets_own(framed: Dataset, stores: dict[str, PreprocessedStore]) -> None:
    store = stores["slices"]
    for case in SPLIT.pool:
        _, labels = nnunets_own(store, framed, case, framed.case(case).label)
        np.testing.assert_array_equal(store.reference(case), labels)


def test_labels_of_patches_are_nnunets_own_but_near_their_faces(
    framed: Dataset, stores: dict[str, PreprocessedStore]
) -> None:
    """Within a voxel of a patch's face a label may be that of the nearest voxel instead; true labels differ little."""
    store = stores["patches"]
    for case in SPLIT.pool:
        _, labels = nnunets_own(store, framed, case, framed.case(case).label)
        found = store.reference(case)
        assert store.grid(case).shape != tuple(high - low for low, high in store.grid(case).crop)
        inner = np.zeros(found.shape[1:], dtype=bool)
        for unit in (unit for unit in store.pool.units if unit.case == case):
            inner[tuple(slice(part.start + 1, part.stop - 1) for part in store.box(unit))] = True
        assert 0.2 < inner.mean() < 0.9
        np.testing.assert_array_equal(found[0][inner], labels[0][inner])
        assert 0.95 < (found == labels).mean() < 1


def test_a_pool_that_is_not_resampled_keeps_every_label(tmp_path: Path) -> None:
    framed = make_framed(tmp_path / "small", 3, (20, 24, 22))
    store = prepared(framed, PROTOCOLS["patches"], tmp_path / "work")
    for case in SPLIT.pool:
        assert store.grid(case).shape == tuple(high - low for low, high in store.grid(case).crop)
        _, labels = nnunets_own(store, framed, case, framed.case(case).label)
        np.testing.assert_array_equal(store.reference(case), labels)
