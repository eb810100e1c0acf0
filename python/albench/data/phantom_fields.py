"""Building blocks of the phantoms: random fields, poses, and what a scanner does to an image.

Everything is float64 and rounded to integers only at the end, so that the same seed gives the same voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PhantomCase:
    """One generated scan.

    Attributes
    ----------
    image
        (z, y, x) int16, arbitrary units.
    label
        (z, y, x) uint8.
    spacing_mm
        Along z, y, x.
    """

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


def grid_mm(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Array:
    """Positions of all voxels relative to the middle of the volume.

    Returns
    -------
    ndarray
        (3, z, y, x), mm; first axis z, y, x.
    """
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], spacing_mm: tuple[float, ...], length_mm: float
) -> Array:
    """Gaussian random field of mean 0 and variance 1 that varies over about ``length_mm``."""
    noise = rng.standard_normal(shape)
    sigma = [length_mm / 2 / step for step in spacing_mm]
    field = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float64)


def rotation(rng: np.random.Generator, degrees: float) -> Array:
    """(3, 3) matrix of a turn about each axis by a normal angle with this standard deviation."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees) * rng.standard_normal(3)):
        first, second = [(1, 2), (0, 2), (0, 1)][axis]
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def warp(
    rng: np.random.Generator,
    points: Array,
    spacing_mm: tuple[float, float, float],
    length_mm: float,
    by_mm: float,
) -> Array:
    """Points (3, z, y, x) moved by a smooth random displacement of ``by_mm`` standard deviation an axis."""
    shape = points.shape[1:]
    return points + by_mm * np.stack([smooth_field(rng, shape, spacing_mm, length_mm) for _ in range(3)])


def ellipsoid(points: Array, centre: Array, radii: Array, exponent: float = 2.0) -> Array:
    """Rough signed distance in mm to a superquadric, negative inside; above exponent 2 it gets boxier."""
    relative = np.abs(points - centre[:, None, None, None]) / radii[:, None, None, None]
    radius = np.sum(relative**exponent, axis=0) ** (1 / exponent)
    return np.asarray((radius - 1) * radii.min(), dtype=np.float64)


def inside(distance_mm: Array, edge_mm: float) -> Array:
    """Soft membership 0..1 of a signed distance: partial volume over ``edge_mm`` to both sides."""
    return np.asarray(0.5 * (1 - np.tanh(distance_mm / edge_mm)), dtype=np.float64)


def bias_field(
    rng: np.random.Generator, points: Array, spacing_mm: tuple[float, float, float], strength: float
) -> Array:
    """Smooth multiplicative shading around 1, like that of a coil: a slope and a slow random part."""
    slope = rng.standard_normal(3)
    slope /= np.linalg.norm(slope)
    along = np.tensordot(slope, points, axes=1)
    along /= np.abs(along).max()
    slow = smooth_field(rng, points.shape[1:], spacing_mm, 40.0)
    return np.asarray(np.exp(strength * (0.8 * along + 0.35 * slow)), dtype=np.float64)


def rician(rng: np.random.Generator, image: Array, sigma: float) -> Array:
    """Magnitude of a complex signal with Gaussian noise ``sigma`` in both parts, as MRI has it."""
    real = image + sigma * rng.standard_normal(image.shape)
    imaginary = sigma * rng.standard_normal(image.shape)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float64)


def ghosts(rng: np.random.Generator, image: Array, strength: float) -> Array:
    """Add weak copies shifted along y, as motion during the scan leaves."""
    shift = int(rng.integers(image.shape[1] // 5, image.shape[1] // 2))
    copies = np.roll(image, shift, axis=1) + np.roll(image, -shift, axis=1)
    return np.asarray((image + strength * copies) / (1 + 2 * strength), dtype=np.float64)


def to_int16(rng: np.random.Generator, image: Array) -> NDArray[np.int16]:
    """Integers in arbitrary units with a gain of the case's own."""
    gain = np.exp(rng.uniform(np.log(200), np.log(1500)))
    scaled = np.clip(np.rint(image * gain), np.iinfo(np.int16).min, np.iinfo(np.int16).max)
    return np.asarray(scaled, dtype=np.int16)
