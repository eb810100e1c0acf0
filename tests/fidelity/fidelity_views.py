"""The frozen inputs as strategies see them, scored by the project's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch

from albench.scoring.batches import UnitBatch
from albench.scoring.features import stage_features
from albench.scoring.moments import mean_entropy, moments
from albench.scoring.request import MOMENTS, Scores, class_weights
from albench.strategies import PoolView
from albench.units.pool import Unit
from tests.fidelity.fidelity_inputs import inputs

GRID = (4, 3, 2)  # patches of 2 x 2 x 2 voxels in an image
UNLABELLED = 3


def whole_images(images: torch.Tensor) -> UnitBatch:
    """A batch in which each image is one unit."""
    return UnitBatch(np.arange(len(images)), images, tuple(slice(0, edge) for edge in images.shape[2:]))


@cache
def slices_view() -> PoolView:
    """View of `slices.npz`: moments over its passes, entropy of its plain logits, weights of its labels."""
    frozen = inputs("slices")
    passes, plain = (torch.from_numpy(frozen[name].astype(np.float32)) for name in ("passes", "plain"))
    batch = whole_images(plain)
    n, n_labels = plain.shape[:2]
    values = moments(lambda _: iter(passes.clone()), [batch], n, n_labels, MOMENTS)
    values["entropy"] = mean_entropy(lambda _: plain, [batch], n)
    counts = np.bincount(frozen["labelled"].ravel(), minlength=UNLABELLED + 1)[:UNLABELLED]
    return PoolView(tuple(Unit("case", i) for i in range(n)), Scores(**values), class_weights(counts))


def patches(image: int) -> UnitBatch:
    """The patches of an image of (8, 6, 4) voxels, in C order, each a unit."""
    boxes = [tuple(slice(2 * at, 2 * at + 2) for at in place) for place in np.ndindex(GRID)]
    positions = np.arange(len(boxes)) + image * len(boxes)
    return UnitBatch(positions, torch.zeros(1, 1, 8, 6, 4), None, tuple((0, box) for box in boxes))


class Stage:
    """A network whose encoder has the given maps as its second-deepest stage, image after image."""

    def __init__(self, maps: torch.Tensor) -> None:
        self._maps = iter(maps)

    def get_submodule(self, name: str) -> Callable[[torch.Tensor], list[torch.Tensor]]:
        assert name == "encoder"
        return lambda _: [torch.empty(0), next(self._maps)[None], torch.empty(0)]


def of_stages() -> np.ndarray:
    """Features of the patches of `volumes.npz`, from its maps of an encoder stage."""
    maps = torch.from_numpy(inputs("volumes")["stage"])
    networks = [Stage(maps[:, fold]) for fold in range(maps.shape[1])]
    units = [Unit(f"image{image}", i) for image in range(len(maps)) for i in range(int(np.prod(GRID)))]
    return stage_features(networks, units, lambda _: map(patches, range(len(maps))))  # type: ignore[arg-type]


@cache
def volumes_view(name: str = "volumes", *, query: int = 0, n_queries: int = 1) -> PoolView:
    """View of the patches of `volumes.npz` or `apart.npz`, its folds being the members of an ensemble."""
    logits = torch.from_numpy(inputs(name)["logits"])
    n_images, _, n_labels = logits.shape[:3]
    units = tuple(Unit(f"image{image}", i) for image in range(n_images) for i in range(int(np.prod(GRID))))

    def members(batch: UnitBatch) -> Iterator[torch.Tensor]:
        image = int(batch.positions[0]) // int(np.prod(GRID))
        return (member[None].clone() for member in logits[image])

    values = moments(members, map(patches, range(n_images)), len(units), n_labels, MOMENTS)
    return PoolView(units, Scores(**values), np.ones(n_labels), query_number=query, n_queries=n_queries)
