from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albench.metrics.surface import SurfaceScores, surface_scores

Mask = np.ndarray


def surface_by_hand(mask: Mask) -> list[tuple[int, ...]]:
    """Voxels of a mask with a neighbour outside it along an axis that has more than one voxel."""
    found = []
    for voxel in zip(*np.nonzero(mask), strict=True):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            neighbour = list(voxel)
            neighbour[axis] += step
            inside = 0 <= neighbour[axis] < mask.shape[axis]
            if mask.shape[axis] > 1 and not (inside and mask[tuple(neighbour)]):
                found.append(tuple(int(i) for i in voxel))
                break
    return found


def scores_by_hand(ours: Mask, theirs: Mask, spacing: tuple[float, ...], tolerance: float) -> tuple[float, float]:
    """All pairs of surface voxels, by the definitions; masks that are not empty."""
    surfaces = [surface_by_hand(mask) for mask in (ours, theirs)]
    directed = []
    for own, other in (surfaces, surfaces[::-1]):
        directed.append(
            [
                min(np.sqrt(sum(((a - b) * s) ** 2 for a, b, s in zip(p, q, spacing, strict=True))) for q in other)
                for p in own
            ]
        )
    together = [*directed[0], *directed[1]]
    nsd = sum(distance <= tolerance + 1e-9 for distance in together) / len(together)
    return nsd, max(float(np.percentile(distances, 95)) for distances in directed)


shapes = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5).filter(lambda shape: max(shape) > 1)
pairs = shapes.flatmap(lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape)))


@settings(deadline=None, max_examples=150)
@given(pairs, st.tuples(*[st.sampled_from([0.6, 1.0, 2.5, 5.0])] * 3), st.sampled_from([0.5, 1.0, 2.5, 3.0]))
@example((np.ones((1, 3, 3), bool), np.eye(3, dtype=bool)[None]), (5.0, 1.0, 1.0), 1.0)
def test_scores_are_those_of_all_pairs_of_surface_voxels(
    masks: tuple[Mask, Mask], spacing: tuple[float, float, float], tolerance: float
) -> None:
    found = surface_scores(*masks, spacing, tolerance)
    if not all(mask.any() for mask in masks):
        return
    nsd, hd95 = scores_by_hand(*masks, spacing, tolerance)
    assert found.nsd == pytest.approx(nsd, abs=1e-12)
    assert found.hd95 == pytest.approx(hd95, abs=1e-9)
    assert found == surface_scores(*masks[::-1], spacing, tolerance)


def test_scores_by_hand_of_two_squares() -> None:
    """Two 3 x 3 squares in a slice, one shifted by 2 voxels of 1.5 mm; the slice is one voxel thick, 8 mm."""
    ours, theirs = np.zeros((2, 1, 5, 8), dtype=bool)
    ours[0, 1:4, 1:4], theirs[0, 1:4, 3:6] = True, True
    found = surface_scores(ours, theirs, (8.0, 1.5, 1.5), 1.5)
    # of the 8 outline voxels of ours: the 3 of the right column lie on theirs' left column, the 2 in the middle one
    # voxel from it, the 3 of the left column two voxels; the centre is no outline
    assert found.nsd == pytest.approx(10 / 16)
    assert found.hd95 == pytest.approx(3.0)


def test_whatever_is_equal_is_perfect_and_a_larger_tolerance_never_hurts() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 4, 6, 5)) < 0.4
    assert surface_scores(ours, ours, (1, 2, 3), 0.1) == SurfaceScores(1.0, 0.0)
    by_tolerance = [surface_scores(ours, theirs, (1, 2, 3), t).nsd for t in (0.1, 1.0, 2.0, 4.0, 40.0)]
    assert by_tolerance == sorted(by_tolerance)
    assert by_tolerance[-1] == 1


def test_empty_masks_follow_the_stated_rules() -> None:
    empty, full = np.zeros((3, 4, 5), dtype=bool), np.zeros((3, 4, 5), dtype=bool)
    full[1, 2, 2] = True
    both = surface_scores(empty, empty, (2, 1, 1), 1)
    assert np.isnan([both.nsd, both.hd95]).all()
    diagonal = np.sqrt((2 * 2) ** 2 + 3**2 + 4**2)
    for masks in ((empty, full), (full, empty)):
        found = surface_scores(*masks, (2, 1, 1), 1)
        assert found.nsd == 0
        assert found.hd95 == pytest.approx(diagonal)


def test_without_a_tolerance_there_is_a_distance_but_no_nsd() -> None:
    ours, theirs = np.zeros((2, 1, 4, 4), dtype=bool)
    ours[0, 0, 0], theirs[0, 3, 0] = True, True
    found = surface_scores(ours, theirs, (9, 2, 2), None)
    assert np.isnan(found.nsd)
    assert found.hd95 == pytest.approx(6)


@pytest.mark.parametrize(("shape", "spacing"), [((3, 4, 6), (1, 1, 1)), ((3, 4, 5), (1, 1))])
def test_shapes_and_spacing_must_fit(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="prediction: expected the reference's shape"):
        surface_scores(np.ones(shape, dtype=bool), np.ones((3, 4, 5), dtype=bool), spacing, 1.0)


def test_distances_agree_with_simpleitk() -> None:
    """Another library, another way: contour filter and Maurer's distance maps, on an organ-like pair of shapes."""
    z, y, x = np.ogrid[:12, :40, :36]
    ours = ((z - 6) / 4.0) ** 2 + ((y - 19) / 13.0) ** 2 + ((x - 17) / 11.0) ** 2 < 1
    theirs = ((z - 5) / 4.5) ** 2 + ((y - 21) / 12.0) ** 2 + ((x - 16) / 12.0) ** 2 < 1
    spacing, tolerance = (3.0, 0.7, 0.9), 2.0
    contours = []
    for mask in (ours, theirs):
        image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(spacing[::-1])
        contours.append(SimpleITK.LabelContour(image, fullyConnected=False))
    directed = []
    for own, other in (contours, contours[::-1]):
        distances = SimpleITK.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True)
        directed.append(np.abs(SimpleITK.GetArrayFromImage(distances))[SimpleITK.GetArrayFromImage(own) == 1])
    found = surface_scores(ours, theirs, spacing, tolerance)
    assert found.hd95 == pytest.approx(max(np.percentile(d, 95) for d in directed), abs=1e-4)
    assert found.nsd == pytest.approx((np.concatenate(directed) <= tolerance + 1e-4).mean(), abs=1e-9)
