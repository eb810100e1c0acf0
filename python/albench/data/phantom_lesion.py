"""Phantom like a liver with tumours: a large organ with few, small lesions of low contrast."""

from __future__ import annotations

import numpy as np

from albench.data.phantom_fields import (
    Array,
    PhantomCase,
    bias_field,
    ellipsoid,
    grid_mm,
    inside,
    rician,
    rotation,
    smooth_field,
    to_int16,
    warp,
)

ODD_SHARE = 0.15
HEALTHY_SHARE = 0.25
MAX_LESIONS = 5


def lesion_case(rng: np.random.Generator) -> PhantomCase:
    """One scan of the ``phantom-lesion`` kind: labels 0, 1 (organ), 2 (lesion; a quarter has none)."""
    odd = rng.random() < ODD_SHARE
    shape = (int(rng.integers(26, 33)), int(rng.integers(52, 61)), int(rng.integers(60, 69)))
    jitter = rng.uniform(0.93, 1.07, 3)
    spacing = (float(5.0 * jitter[0]), float(3.5 * jitter[1]), float(3.5 * jitter[2]))
    points = grid_mm(shape, spacing)
    pose = rotation(rng, 7.0)
    own = np.tensordot(pose, points - rng.normal(0, (9.0, 6.0, 6.0))[:, None, None, None], axes=1)
    own = warp(rng, own, spacing, 60.0, 5.0)

    distance = _organ(rng, own)
    organ = inside(distance, 3.0)
    tissue = rng.uniform(0.62, 0.74)
    image = 0.5 + 0.1 * np.tanh(2 * smooth_field(rng, shape, spacing, 45.0))
    neighbour = inside(ellipsoid(own, np.array([0.0, 5.0, 62.0]), np.array([45.0, 34.0, 26.0])), 3.0)
    image = image * (1 - neighbour) + (tissue + rng.normal(0, 0.04)) * neighbour
    inner = tissue + 0.03 * smooth_field(rng, shape, spacing, 25.0)
    # Vessels: bright in most cases, but dark like a lesion in some.
    vessels = inside(np.abs(smooth_field(rng, shape, spacing, 40.0)) * 12.0 - 0.7, 0.4)
    vessels = vessels * inside(np.abs(smooth_field(rng, shape, spacing, 40.0)) * 12.0 - 2.0, 0.6)
    inner = inner + (rng.uniform(0.05, 0.13) if rng.random() < 0.75 else -0.1) * vessels
    inner, lesions = _add_lesions(rng, own, distance, inner)
    image = image * (1 - organ) + inner * organ
    trunk = inside(ellipsoid(own, np.zeros(3), np.array([400.0, 84.0, 104.0]), 2.5), 4.0)
    image = image * trunk + 0.05 * (1 - trunk)

    label = ((distance < 0) & (trunk > 0.5)).astype(np.uint8)
    label[(label == 1) & lesions] = 2
    image = image * bias_field(rng, points, spacing, rng.uniform(0.25, 0.5) if odd else rng.uniform(0.0, 0.1))
    noise = rng.uniform(0.08, 0.11) if odd else rng.uniform(0.025, 0.055)
    return PhantomCase(to_int16(rng, rician(rng, image, noise)), label, spacing)


def _organ(rng: np.random.Generator, own: Array) -> Array:
    """Signed distance (mm) to a large wedge: two merged ellipsoids."""
    centre = np.array([0.0, 0.0, -30.0]) + rng.normal(0, 5.0, 3)
    right = ellipsoid(own, centre, np.array([52.0, 52.0, 46.0]) * rng.normal(1.0, 0.08, 3))
    left_centre = centre + np.array([12.0, -22.0, 48.0])
    left = ellipsoid(own, left_centre, np.array([28.0, 24.0, 42.0]) * rng.normal(1.0, 0.12, 3))
    return np.minimum(right, left)


def _add_lesions(
    rng: np.random.Generator, own: Array, distance: Array, inner: Array
) -> tuple[Array, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Tissue with lesions blended in, and where they are; all lie within the organ."""
    lesions = np.zeros(distance.shape, bool)
    n_lesions = 0 if rng.random() < HEALTHY_SHARE else int(rng.integers(1, MAX_LESIONS + 1))
    candidates = np.argwhere(distance < -6.0)
    for _ in range(n_lesions):
        z, y, x = candidates[int(rng.integers(len(candidates)))]
        # Mostly small, seldom large.
        radius = float(np.clip(rng.lognormal(np.log(7.5), 0.4), 4.5, 22.0))
        offset = ellipsoid(own, own[:, z, y, x], radius * rng.uniform(0.8, 1.25, 3), 2.0)
        blob = inside(offset, 2.5)
        # Mostly darker than the organ; a few brighter.
        contrast = rng.uniform(0.07, 0.2) * (-1 if rng.random() < 0.85 else 0.7)
        inner = inner + contrast * blob
        lesions |= offset < 0
    return inner, lesions
