"""How far the outlines of two masks lie apart: normalised surface Dice and 95 % Hausdorff distance, in mm.

Both come from one set of distances, computed with scipy: erosion finds the surface, a k-d tree the nearest point of
the other one. MONAI's metrics are made of the same calls, and a test holds these against SimpleITK's distance maps;
but importing MONAI takes seconds in every worker, compares distances in single precision and measures twice what both
metrics share. DeepMind's ``surface-distance`` needs NumPy before 1.24 in its one release, ``seg-metrics`` and MedPy
have no surface Dice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

# a voxel exactly at the tolerance counts, whatever the last bit of its distance
_SLACK = 1e-9


@dataclass(frozen=True)
class SurfaceScores:
    """Agreement of two surfaces.

    Attributes
    ----------
    nsd
        Normalised surface Dice, 0 to 1: the share of both surfaces' voxels within the tolerance of the other surface
        (Nikolov et al., J Med Internet Res 2021; counted in voxels as in Metrics Reloaded, Maier-Hein et al., Nat
        Methods 2024). NaN without a tolerance.
    hd95
        The larger of the two directed distances' 95th percentiles, in mm.
    """

    nsd: float
    hd95: float


def surface_scores(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    tolerance_mm: float | None,
) -> SurfaceScores:
    """Compare the surfaces of two masks.

    A surface voxel belongs to the mask and has a neighbour along an axis that does not, the image's outside included.
    Axes along which the image is one voxel long are left out, so that a slice's surface is its outline. Where both
    masks are empty the result is NaN: there is nothing to find. Where one is, nothing found is right and the distance
    is as large as the image allows: NSD 0, HD95 the image's diagonal (an infinite one would make every mean infinite).

    Parameters
    ----------
    prediction, reference
        Masks of one shape, axes as in `spacing_mm`.
    spacing_mm
        Distance between voxel centres along each axis.
    tolerance_mm
        Surfaces this close agree; None: no NSD.

    Raises
    ------
    ValueError
        If shapes or the number of axes differ.
    """
    if prediction.shape != reference.shape or len(spacing_mm) != reference.ndim:
        raise ValueError(
            f"prediction: expected the reference's shape {reference.shape} and a spacing for each axis, "
            f"got {prediction.shape} and {len(spacing_mm)} spacings"
        )
    nan = float("nan")
    empty = [not mask.any() for mask in (prediction, reference)]
    if all(empty):
        return SurfaceScores(nan, nan)
    if any(empty):
        return SurfaceScores(nan if tolerance_mm is None else 0.0, _diagonal(reference.shape, spacing_mm))
    long_axes = [axis for axis, edge in enumerate(reference.shape) if edge > 1]
    if not long_axes:
        return SurfaceScores(nan if tolerance_mm is None else 1.0, 0.0)
    ours, theirs = (mask.reshape([mask.shape[axis] for axis in long_axes]) for mask in (prediction, reference))
    to_theirs, to_ours = _surface_distances(ours, theirs, np.asarray(spacing_mm, dtype=np.float64)[long_axes])
    hd95 = max(float(np.percentile(distances, 95)) for distances in (to_theirs, to_ours))
    if tolerance_mm is None:
        return SurfaceScores(nan, hd95)
    bound = tolerance_mm * (1 + _SLACK)
    near = int((to_theirs <= bound).sum()) + int((to_ours <= bound).sum())
    return SurfaceScores(near / (to_theirs.size + to_ours.size), hd95)


def _diagonal(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Distance in mm between the centres of an image's opposite corner voxels."""
    return float(np.linalg.norm((np.asarray(shape) - 1) * np.asarray(spacing_mm, dtype=np.float64)))


def _surface_distances(
    ours: NDArray[np.bool_], theirs: NDArray[np.bool_], spacing_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From every surface voxel of each mask to the other's surface, in mm; neither mask is empty."""
    box = _bounding_box(ours | theirs)
    points = [np.argwhere(mask & ~binary_erosion(mask)) * spacing_mm for mask in (ours[box], theirs[box])]
    # trees, not distance maps: surfaces are sparse, and a map of a whole CT takes seconds for each class
    return KDTree(points[1]).query(points[0])[0], KDTree(points[0]).query(points[1])[0]


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Smallest box that holds all of a mask, which is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
