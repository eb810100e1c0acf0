"""Phantom like a hippocampus: a curved body of two parts whose border the intensities hardly show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from albench.data.phantom_fields import (
    Array,
    PhantomCase,
    bias_field,
    ellipsoid,
    ghosts,
    grid_mm,
    inside,
    rician,
    rotation,
    smooth_field,
    to_int16,
    warp,
)

# About one case in seven looks unlike the others: what a random choice of slices seldom catches.
ODD_SHARE = 0.15
_ODD_WAYS = ("inverted", "shaded", "ghosted", "turned")
_N_AXIS_POINTS = 40


def pair_case(rng: np.random.Generator) -> PhantomCase:
    """One scan of the ``phantom-pair`` kind: labels 0, 1 (head), 2 (tail)."""
    odd = _ODD_WAYS[int(rng.integers(len(_ODD_WAYS)))] if rng.random() < ODD_SHARE else ""
    shape = (int(rng.integers(30, 35)), int(rng.integers(44, 53)), int(rng.integers(37, 44)))
    jitter = rng.uniform(0.93, 1.07, 3)
    # z is the coarsest axis, so nnU-Net cuts its 2D slices across it.
    spacing = (float(1.2 * jitter[0]), float(jitter[1]), float(jitter[2]))
    points = grid_mm(shape, spacing)

    pose = rotation(rng, 32.0 if odd == "turned" else 9.0)
    offset = rng.normal(0, (1.5, 2.0, 2.0))
    own = np.tensordot(pose, points - offset[:, None, None, None], axes=1)
    if rng.random() < 0.5:
        own[2] = -own[2]  # the left one mirrors the right one
    own = warp(rng, own, spacing, 14.0, 1.1)

    distance, along = _tube(rng, own)
    # The border between the parts: oblique and wavy, and not where the radius alone would put it.
    border = rng.normal(0.43, 0.03) + 0.035 * smooth_field(rng, shape, spacing, 8.0)
    body = inside(distance, 0.8)
    # The intensity changes over several mm, so that it tells the parts apart but not where the border is.
    tail = inside((border - along) * 28.0, 3.0)
    label = np.zeros(shape, np.uint8)
    label[distance < 0] = 1
    label[(distance < 0) & (along > border)] = 2

    image = _tissue(rng, own, shape, spacing)
    contrast = rng.uniform(0.26, 0.42)
    difference = rng.normal(0.14, 0.05)  # from head to tail; hardly there in some cases
    texture = 0.04 * smooth_field(rng, shape, spacing, 4.0)
    tissue = 0.56 + contrast + texture - difference * tail
    image = image * (1 - body) + tissue * body
    return PhantomCase(_acquire(rng, image, points, spacing, odd), label, spacing)


def _tube(rng: np.random.Generator, points: Array) -> tuple[Array, Array]:
    """Signed distance (mm) to a tapering bent tube, and every voxel's place along it (0 head, 1 tail)."""
    size = rng.normal(1.0, 0.09)
    t = np.linspace(0, 1, _N_AXIS_POINTS)
    bend, hook, rise = rng.normal((4.5, 1.8, 9.0), (1.4, 1.0, 2.5))
    axis = size * np.stack(
        [
            rise * (t - 0.5) + 2.0 * np.sin(np.pi * t),
            (t - 0.5) * 28.0,
            bend * (np.sin(np.pi * t) - 0.6) + hook * np.sin(2 * np.pi * t),
        ]
    )
    thick, thin = rng.normal((7.0, 5.7), (0.6, 0.5))
    radius = size * (thin + (thick - thin) * np.exp(-((t - 0.18) ** 2) / 0.055)) * np.sqrt(np.clip(8 * (1 - t), 0, 1))
    best = np.full(points.shape[1:], np.inf)
    along = np.zeros(points.shape[1:])
    for index in range(_N_AXIS_POINTS):
        # Flattened a little: widest across (x).
        offset = points - axis[:, index, None, None, None]
        distance = np.sqrt((offset[0] * 0.95) ** 2 + offset[1] ** 2 + (offset[2] * 0.9) ** 2) - radius[index]
        nearer = distance < best
        best[nearer] = distance[nearer]
        along[nearer] = t[index]
    return best, along


def _tissue(
    rng: np.random.Generator, own: Array, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> Array:
    """Surroundings: folded bright and dark tissue, fluid, and look-alikes that touch head and tail."""
    folds = smooth_field(rng, shape, spacing, 9.0)
    image = 0.54 + 0.07 * np.tanh(2.5 * folds) + 0.03 * smooth_field(rng, shape, spacing, 3.0)
    fluid = inside(1.5 - np.abs(smooth_field(rng, shape, spacing, 16.0)), 0.25)
    image = image * (1 - fluid) + 0.3 * fluid
    # The one at the head's end is as bright as the body in most cases, the one at the tail's end in few.
    for y, low, high in ((-21.0, 0.62, 0.82), (19.0, 0.45, 0.68)):
        centre = np.array([0.0, y, 0.0]) + rng.normal(0, 3.0, 3)
        radii = rng.uniform(3.0, 6.5, 3)
        blob = inside(ellipsoid(own, centre, radii), 0.8)
        image = image * (1 - blob) + rng.uniform(low, high) * blob
    return image


def _acquire(
    rng: np.random.Generator, image: Array, points: Array, spacing: tuple[float, float, float], odd: str
) -> NDArray[np.int16]:
    """Add what the scanner does: inversion, shading, ghosts, noise."""
    if odd == "inverted":
        image = 1.35 - image
    strength = rng.uniform(0.9, 1.2) if odd == "shaded" else rng.uniform(0.05, 0.4)
    image = image * bias_field(rng, points, spacing, strength)
    if odd == "ghosted":
        image = ghosts(rng, image, rng.uniform(0.35, 0.55))
    return to_int16(rng, rician(rng, image, rng.uniform(0.02, 0.06)))
