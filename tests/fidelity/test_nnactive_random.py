"""nnActive's random choices: which image, which kind of place in it, and which voxels are such places.

The patch itself is not compared: theirs lies around the drawn voxel, ours is the one of a fixed grid that holds it.
"""

from __future__ import annotations

import numpy as np
import pytest

from albench.scoring.request import Scores
from albench.strategies import PoolView, make_strategy
from albench.strategies.base import Oracle
from albench.units.borders import border
from albench.units.pool import Unit
from tests.fidelity.fidelity_inputs import inputs, published

MAPS = inputs("label_maps")["maps"]
EDGE = 4
N_CELLS = 12 // EDGE


def counts(voxels: np.ndarray) -> np.ndarray:
    """Voxels in each patch of the grid, image by image; (images * patches,)."""
    cells = voxels.reshape(len(voxels), N_CELLS, EDGE, N_CELLS, EDGE, N_CELLS, EDGE)
    return cells.sum(axis=(2, 4, 6)).reshape(-1)


def our_borders() -> np.ndarray:
    return np.stack([border(labels, range(3)) for labels in MAPS])


def view() -> PoolView:
    """The frozen label maps on a grid of patches."""
    places = [
        np.stack([counts(np.equal(MAPS, label) & kind) for label in range(3)], axis=1) for kind in (True, our_borders())
    ]
    units = tuple(Unit(f"image{image}", i) for image in range(3) for i in range(N_CELLS**3))
    return PoolView(units, Scores(), np.ones(3), oracle=Oracle(*places))


class Turns:
    """Puts the images in the published order, and draws kinds of places as the published code did."""

    def __init__(self, kinds: list[str], choices: list[str]) -> None:
        order = ["seg", "border", "all"]  # as ours divide the unit interval
        below = {kind: sum(choices.count(before) for before in order[: order.index(kind)]) for kind in order}
        self._uniform = [(below[kind] + 0.5) / len(choices) for kind in kinds]
        self._rng = np.random.default_rng(0)

    def permutation(self, x: int | np.ndarray) -> np.ndarray:
        return np.array([1, 0, 2]) if isinstance(x, int) else x

    def random(self) -> float:
        return self._uniform.pop(0)

    def choice(self, *args: object, **kwargs: object) -> object:
        return self._rng.choice(*args, **kwargs)  # type: ignore[call-overload]


def images_of(indices: np.ndarray) -> list[int]:
    return (indices // N_CELLS**3).tolist()


def test_random_takes_images_in_turn() -> None:
    theirs = published("nnactive_random")["results"]["images"]
    found = make_strategy("random+per=case").select(view(), len(theirs), Turns([], []))  # type: ignore[arg-type]
    assert images_of(found.indices) == theirs == [1, 0, 2] * 3


@pytest.mark.parametrize("percent", [66, 33])
def test_kinds_of_places(percent: int) -> None:
    """Anywhere, in the foreground and on a border by the same probabilities."""
    theirs = published(f"nnactive_random_fg{percent}")["results"]["area_choices"]
    share = make_strategy(f"random-fg{percent}").foreground_share  # type: ignore[attr-defined]
    assert theirs.count("seg") / len(theirs) == pytest.approx(share / 2)
    assert theirs.count("border") / len(theirs) == pytest.approx(share / 2)
    assert theirs.count("all") / len(theirs) == pytest.approx(1 - share)


@pytest.mark.parametrize("percent", [66, 33])
def test_foreground_draws_take_images_in_turn(percent: int) -> None:
    """While all patches can be placed, the same images in the same order, and places of the kinds that were drawn."""
    theirs = published(f"nnactive_random_fg{percent}")["results"]
    kinds = theirs["areas"][:3]
    rng = Turns(list(kinds), theirs["area_choices"])
    seen = view()
    found = make_strategy(f"random-fg{percent}").select(seen, 3, rng)  # type: ignore[arg-type]
    assert images_of(found.indices) == theirs["images"][:3]
    assert seen.oracle is not None
    held = {"seg": seen.oracle.voxel_counts, "border": seen.oracle.border_counts}
    for unit, kind in zip(found.indices, kinds, strict=True):
        assert kind == "all" or held[kind][unit, 1:].any()


def test_foreground_voxels_and_borders() -> None:
    """The same voxels, but that the published erosion takes the image's edge for a border."""
    theirs = published("nnactive_random_fg66")["results"]
    at_edge = np.ones(MAPS.shape[1:], dtype=bool)
    at_edge[1:-1, 1:-1, 1:-1] = False
    for image, (labels, ours) in enumerate(zip(MAPS, our_borders(), strict=True)):
        for label in (1, 2):
            voxels = labels == label
            assert voxels.sum() == theirs["voxels"].get(f"{image}/{label}/seg", 0)
            found = np.zeros(labels.size, dtype=bool)
            found[theirs["border"][str(image)][label - 1]] = True
            np.testing.assert_array_equal(found.reshape(labels.shape), voxels & (ours | at_edge))
    assert (MAPS[2][at_edge] > 0).any()
    assert not MAPS[:2, at_edge].any()
