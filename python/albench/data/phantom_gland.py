"""Phantom like a kidney with its adrenal gland: on few slices of a long scan, and not in every scan as bright."""

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

# Made so that choosing slices pays for the reasons it does in scans: two slices in three show neither structure, one in
# ten the gland, and in one scan in five both stand out about half as much. None is hard to learn once it was seen.
PLAIN_SHARE = 0.2


def gland_case(rng: np.random.Generator) -> PhantomCase:
    """One scan of the ``phantom-gland`` kind: labels 0, 1 (organ), 2 (gland)."""
    plain = rng.random() < PLAIN_SHARE  # without contrast agent
    # Few voxels, so that a network learns in seconds what it can learn.
    shape = (int(rng.integers(40, 49)), int(rng.integers(29, 33)), int(rng.integers(37, 41)))
    jitter = rng.uniform(0.96, 1.04, 3)
    spacing = (float(7.0 * jitter[0]), float(5.0 * jitter[1]), float(5.0 * jitter[2]))
    points = grid_mm(shape, spacing)
    own = np.tensordot(rotation(rng, 4.0), points - rng.normal(0, (0.0, 4.0, 4.0))[:, None, None, None], axes=1)
    own = warp(rng, own, spacing, 70.0, 3.0)

    image = 0.42 + 0.04 * smooth_field(rng, shape, spacing, 30.0)
    for centre, radii, level in _neighbours(rng):
        blob = inside(ellipsoid(own, centre, radii), 2.0)
        texture = 0.04 * smooth_field(rng, shape, spacing, 25.0)
        image = image * (1 - blob) + (level + rng.normal(0, 0.03) + texture) * blob
    organ_mm, gland_mm = _structures(rng, own)
    organ, gland = inside(organ_mm, 1.5), inside(gland_mm, 1.5)
    enhancement = rng.uniform(0.5, 0.6) if plain else rng.uniform(0.9, 1.1)
    texture = 0.03 * smooth_field(rng, shape, spacing, 12.0)
    image = image * (1 - organ) + (0.5 + 0.4 * enhancement + texture) * organ
    image = image * (1 - gland) + (0.46 - (0.3 if plain else 0.26) * enhancement) * gland
    trunk = inside(ellipsoid(own, np.zeros(3), np.array([900.0, 68.0, 86.0]), 2.5), 3.0)
    image = image * trunk + 0.05 * (1 - trunk)

    image = image * bias_field(rng, points, spacing, rng.uniform(0.0, 0.1))
    label = np.zeros(shape, np.uint8)
    label[organ_mm < 0] = 1
    label[gland_mm < 0] = 2
    label[trunk < 0.5] = 0
    return PhantomCase(to_int16(rng, rician(rng, image, rng.uniform(0.02, 0.04))), label, spacing)


def _structures(rng: np.random.Generator, own: Array) -> tuple[Array, Array]:
    """Signed distances (mm) to the organ, anywhere along the scan, and to the gland on its upper end."""
    centre = np.array([rng.uniform(-60.0, 60.0), 18.0, 48.0]) + rng.normal(0, (0.0, 5.0, 5.0))
    radii = np.array([42.0, 27.0, 23.0]) * rng.normal(1.0, 0.08, 3)
    on_top = centre + np.array([radii[0] + 8.0, rng.normal(-6.0, 3.0), rng.normal(-6.0, 3.0)])
    small = np.array([15.0, 18.0, 18.0]) * rng.normal(1.0, 0.08, 3)
    return ellipsoid(own, centre, radii, 2.5), ellipsoid(own, on_top, small, 3.0)


def _neighbours(rng: np.random.Generator) -> list[tuple[Array, Array, float]]:
    """Centres and radii (mm; z, y, x) and intensities of what surrounds the organ, none of it labelled."""
    places = [
        ((40.0, -10.0, -42.0), (75.0, 44.0, 36.0), 0.6),  # large, on the other side
        ((rng.uniform(-90, 90), -25.0, 30.0), (40.0, 20.0, 26.0), 0.6),
        ((rng.uniform(-90, 90), 18.0, -40.0), (40.0, 24.0, 20.0), 0.72),
        ((0.0, 48.0, 0.0), (900.0, 13.0, 13.0), 1.05),  # spine
        ((0.0, 24.0, 10.0), (900.0, 7.0, 7.0), 0.75),  # vessel
    ]
    return [
        (np.array(centre) + rng.normal(0, 4.0, 3), np.array(radii) * rng.normal(1.0, 0.1, 3), level)
        for centre, radii, level in places
    ]
