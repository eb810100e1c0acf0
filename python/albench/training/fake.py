"""A trainer without a network, for tests of everything around it: fast, deterministic, better with better labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.config import PatchGrid
from albench.data import Dataset
from albench.machine.files import read_json, write_json
from albench.scoring.request import Features, FisherEmbedding, Need, Scores, ScoringRequest, unit_passes
from albench.seeding import Key, generator, seed_for
from albench.training.base import PoolScan, Saving, Tick, TrainingReport
from albench.training.reading import read_case_images, read_label
from albench.training.scan import scan_case
from albench.training.units import patch_pool, slice_pool
from albench.units.pool import Pool, Split, Unit, patch_grid, slice_boxes
from albench.units.view import UnitView

_AXIS = 0
_N_FEATURES = 12
PatchSize = tuple[int, int, int]


class FakeTrainer:
    """Remembers the annotated units; the "model" errs more on a unit the further that is from any of them.

    Parameters
    ----------
    dataset
        Real label maps: they are what is predicted, with errors.
    work
        Ignored but for the trainer interface: nothing is prepared.
    patch_size
        Units are 3D patches of at most this size, axes (z, y, x); None: slices along the first axis.
    patch_grid
        How patches cover an image.
    """

    def __init__(
        self, dataset: Dataset, work: Path, patch_size: PatchSize | None = None, patch_grid: PatchGrid = "tiling"
    ) -> None:
        self._dataset = dataset
        self._patch_size = patch_size
        self._patch_grid = patch_grid

    def scan(self, split: Split, on_case: Tick, describe: bool = False) -> PoolScan:
        """Units are all slices along the first axis, or patches of the whole image."""
        cases = [self._dataset.case(name) for name in split.pool]
        scans = {}
        for case in cases:
            scan = scan_case(case, self._dataset.n_labels, describe_axis=_AXIS if describe else None)
            scans[case.name] = replace(scan, box=tuple((0, edge) for edge in scan.shape))
            on_case()
        if self._patch_size:
            n_labels = self._dataset.n_labels
            return patch_pool(cases, scans, self._patch_size, n_labels, kind=self._patch_grid, describe=describe)
        return slice_pool(scans, _AXIS)

    def preprocess(self, split: Split, pool: Pool, start: Sequence[Unit], on_case: Tick) -> dict[str, str]:
        """Nothing to prepare."""
        for _ in (*split.pool, *split.test):
            on_case()
        return {}

    def train(
        self,
        units: Sequence[Unit],
        *,
        iterations: int,
        key: tuple[Key, ...],
        initial: Path | None,
        target: Path,
        on_iteration: Callable[[float], None],
        saving: Saving | None = None,
    ) -> TrainingReport:
        """Write down what was annotated, for how long it was trained, and with which seed; that takes no saving."""
        before = read_json(initial)["iterations"] if initial is not None else 0
        for _ in range(iterations):
            on_iteration(0.0)
        write_json(
            target,
            {
                "units": [[unit.case, unit.index] for unit in units],
                "iterations": before + iterations,
                "seed": seed_for(*key),
            },
        )
        return TrainingReport(iterations, loss=1.0 / len(units), setup_s=0.0, fit_s=0.0)

    def load(self, *paths: Path) -> FakeModel:
        """Open model files."""
        return FakeModel(self._dataset, paths, self._patch_size, self._patch_grid)


class FakeModel:
    """Predicts reference labels with errors, and scores units by how much it errs on them: less with more models."""

    def __init__(
        self, dataset: Dataset, paths: Sequence[Path], patch_size: PatchSize | None, patch_grid: PatchGrid = "tiling"
    ) -> None:
        self.warnings: list[str] = []
        contents = [read_json(path) for path in paths]
        self._dataset = dataset
        self._patch_size = patch_size
        self._patch_grid = patch_grid
        self._seed = contents[0]["seed"]
        self._known = np.stack([_features(Unit(*unit)) for content in contents for unit in content["units"]])
        iterations = sum(content["iterations"] for content in contents)
        self._skill = iterations / (iterations + 100)

    def predict(self, case: str) -> NDArray[np.uint8]:
        """Lose foreground voxels of the reference, more of them in units unlike the annotated ones."""
        labels = self.reference(case)
        rng = generator(self._seed, case)
        for index, box in enumerate(self._boxes(labels.shape)):
            lost = rng.random(labels[box].shape) < self._error(Unit(case, index))
            labels[box][lost] = 0
        return labels

    def _boxes(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        if self._patch_size:
            grid = patch_grid([(0, edge) for edge in shape], self._patch_size, self._patch_grid)
        else:
            grid = slice_boxes(shape, _AXIS, 0, shape[_AXIS])
        return [tuple(map(slice, start, stop)) for start, stop in zip(*grid, strict=True)]

    def reference(self, case: str) -> NDArray[np.uint8]:
        """Label map of the data set."""
        return np.array(read_label(self._dataset.case(case).reference), dtype=np.uint8)

    def score(
        self, units: Sequence[Unit], needs: Need, request: ScoringRequest, on_unit: Callable[[], None] = lambda: None
    ) -> Scores:
        """Scores that grow with the error, background least; positions in appearance space stand for embeddings."""
        errors = np.array([self._error(unit) for unit in units])
        features = _positions(units)
        for _ in range(unit_passes(needs, request.variance is not None) * len(units)):
            on_unit()
        by_class = np.outer(errors, np.linspace(0.5, 1.0, request.class_weights.size))
        values: dict[Need, dict[str, Any]] = {
            Need.ENTROPY: {"entropy": errors},
            Need.VARIANCE | Need.FISHER: {"variance": by_class},
            Need.PREDICTIVE_ENTROPY: {"predictive_entropy": 1.1 * errors},
            Need.MUTUAL_INFORMATION: {"mutual_information": errors**2},
            Need.CLASS_ENTROPY: {"class_entropy": by_class},
            Need.EXPECTED_ENTROPY: {"expected_entropy": 1.1 * errors - errors**2},
            Need.EXPECTED_DICE: {"expected_dice": 1 - errors / 2},
            Need.FISHER: {"fisher": FisherEmbedding(features, np.ones(_N_FEATURES))},
            Need.BOTTLENECK: {"bottleneck": features},
            # Gradients shrink where the model is sure, which is what BADGE relies on.
            Need.LAST_LAYER: {"last_layer": features * errors[:, None].astype(np.float32)},
            Need.STAGE_FEATURES: {"stage_features": features},
            Need.FEATURES: {"features": Features(features, _positions(request.labelled))},
        }
        return Scores(**{name: value for need, made in values.items() if needs & need for name, value in made.items()})

    def view(self, units: Sequence[Unit], request: ScoringRequest) -> list[UnitView]:
        """Uncertainty is the error where the reference has foreground."""
        views = []
        for unit in units:
            images, spacing = read_case_images(self._dataset.case(unit.case))
            box = self._boxes(images.shape[1:])[unit.index]
            middle = ((box[_AXIS].start + box[_AXIS].stop) // 2, *box[1:])
            reference = self.reference(unit.case)[middle]
            entropy = np.where(reference > 0, self._error(unit), 0.0).astype(np.float32)
            views.append(
                UnitView(
                    images[0][middle], self.predict(unit.case)[middle], reference, entropy, (spacing[1], spacing[2])
                )
            )
        return views

    def _error(self, unit: Unit) -> float:
        nearest = float(np.min(np.linalg.norm(self._known - _features(unit), axis=1)))
        return float(1.0 - self._skill * np.exp(-nearest))


def _positions(units: Sequence[Unit]) -> NDArray[np.float32]:
    return np.array([_features(unit) for unit in units], dtype=np.float32).reshape(-1, _N_FEATURES)


def _features(unit: Unit) -> NDArray[np.float64]:
    """Position of a unit in a made-up appearance space: smooth along a case, different between cases."""
    own = generator("fake", unit.case).normal(size=_N_FEATURES) * 0.3
    frequency = np.arange(1, _N_FEATURES + 1)
    return np.asarray(own + 0.5 * np.sin(unit.index * frequency / 20.0), dtype=np.float64)
