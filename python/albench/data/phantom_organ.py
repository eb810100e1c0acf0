"""Phantom like a spleen: one organ among look-alikes, told by its place, shape and texture."""

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


def organ_case(rng: np.random.Generator) -> PhantomCase:
    """One scan of the ``phantom-organ`` kind: labels 0, 1 (the organ)."""
    odd = rng.random() < ODD_SHARE
    shape = (int(rng.integers(26, 33)), int(rng.integers(52, 61)), int(rng.integers(60, 69)))
    jitter = rng.uniform(0.93, 1.07, 3)
    spacing = (float(5.0 * jitter[0]), float(3.5 * jitter[1]), float(3.5 * jitter[2]))
    points = grid_mm(shape, spacing)
    pose = rotation(rng, 6.0)
    own = np.tensordot(pose, points - rng.normal(0, (8.0, 5.0, 5.0))[:, None, None, None], axes=1)
    own = warp(rng, own, spacing, 60.0, 4.0)

    trunk = inside(ellipsoid(own, np.zeros(3), np.array([400.0, 82.0, 100.0]), 2.5), 4.0)
    image = 0.42 + 0.05 * smooth_field(rng, shape, spacing, 35.0)
    tissue = rng.uniform(0.66, 0.76)  # of organ and look-alikes both: intensity alone tells nothing
    for centre, radii in _look_alikes(rng):
        blob = inside(ellipsoid(own, centre, radii), 3.0)
        # Their texture is as strong as the organ's and coarser.
        texture = 0.05 * smooth_field(rng, shape, spacing, 30.0)
        image = image * (1 - blob) + (tissue + rng.normal(0, 0.035) + texture) * blob
    distance = _organ(rng, own)
    organ = inside(distance, 3.0)
    texture = 0.05 * smooth_field(rng, shape, spacing, 11.0)
    image = image * (1 - organ) + (tissue + rng.normal(0, 0.03) + texture) * organ
    spine = inside(ellipsoid(own, np.array([0.0, 55.0, 0.0]), np.array([400.0, 15.0, 15.0])), 3.0)
    image = image * (1 - spine) + 1.05 * spine
    image = image * trunk + 0.05 * (1 - trunk)

    image = image * bias_field(rng, points, spacing, rng.uniform(0.3, 0.6) if odd else rng.uniform(0.0, 0.12))
    noise = rng.uniform(0.09, 0.13) if odd else rng.uniform(0.03, 0.07)
    label = ((distance < 0) & (trunk > 0.5)).astype(np.uint8)
    return PhantomCase(to_int16(rng, rician(rng, image, noise)), label, spacing)


def _organ(rng: np.random.Generator, own: Array) -> Array:
    """Signed distance (mm) to a bean in the left back of the trunk: an ellipsoid dented from the middle."""
    centre = np.array([5.0, 30.0, 58.0]) + rng.normal(0, (14.0, 6.0, 6.0))
    radii = np.array([38.0, 29.0, 17.0]) * rng.normal(1.0, 0.12, 3)
    turned = np.tensordot(rotation(rng, 14.0), own - centre[:, None, None, None], axes=1)
    body = ellipsoid(turned, np.zeros(3), radii)
    dent = ellipsoid(turned, np.array([0.0, rng.normal(-6, 5), -radii[2] * 1.1]), radii * [0.7, 0.6, 0.75])
    return np.maximum(body, -dent)


def _look_alikes(rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """Centres and radii (mm; z, y, x) of what has the organ's intensity and is not it."""
    places = [
        ((20.0, -5.0, -50.0), (55.0, 42.0, 38.0)),  # large, on the other side
        ((10.0, -30.0, 35.0), (30.0, 22.0, 26.0)),  # in front of the organ, touching it in some cases
        ((-45.0, 40.0, 42.0), (32.0, 17.0, 16.0)),  # below it
        ((-40.0, 40.0, -42.0), (32.0, 17.0, 16.0)),  # below it, on the other side
        ((-30.0, -25.0, 0.0), (26.0, 15.0, 40.0)),
    ]
    return [
        (np.array(centre) + rng.normal(0, 7.0, 3), np.array(radii) * rng.normal(1.0, 0.13, 3))
        for centre, radii in places
        if rng.random() < 0.9
    ]
