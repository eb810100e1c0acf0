"""Descriptors of slices: what they see, what they must not see, and images with nothing to see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from albench.coldstart.descriptors import block_widths, describe_slices
from albench.coldstart.embedding import MAX_COMPONENTS, embed
from albench.data import Dataset
from albench.training.scan import scan_case

N_COLUMNS = 433


def whole(images: NDArray[np.float32]) -> list[tuple[int, int]]:
    return [(0, n) for n in images.shape[1:]]


def images(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).gamma(2.0, size=shape).astype(np.float32)


def parts(descriptors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Position, thumbnail, histogram, gradients."""
    return np.split(descriptors, np.cumsum(block_widths(descriptors.shape[1]))[:-1], axis=1)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 3), *[st.integers(1, 40)] * 3),
    st.sampled_from([0, 1, 2]),
    st.sampled_from(["noise", "constant", "zero", "one bright voxel"]),
    st.integers(0, 100),
)
def test_any_image_gives_numbers_from_0_to_1(shape: tuple[int, ...], axis: int, kind: str, seed: int) -> None:
    values = images(shape, seed) if kind == "noise" else np.full(shape, float(kind == "constant"), dtype=np.float32)
    if kind == "one bright voxel":
        values[0, 0, 0, 0] = 1e6
    found = describe_slices(values, whole(values), axis)
    assert found.shape == (shape[1 + axis], 1 + (N_COLUMNS - 1) * shape[0])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_thumbnails_and_histograms_equal_their_definitions() -> None:
    values = images((1, 3, 11, 45))
    _, thumbnail, histogram, _ = parts(describe_slices(values, whole(values), 0))
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = np.clip((values[0].astype(np.float64) - low) / (high - low), 0, 1)
    for number, image in enumerate(scaled):
        fine = np.repeat(np.repeat(image, 16, axis=0), 16, axis=1)  # whole voxels in every cell
        expected = fine.reshape(16, 11, 16, 45).mean(axis=(1, 3))
        np.testing.assert_allclose(thumbnail[number].reshape(16, 16), expected, atol=1e-5)
        counts = np.histogram(image, bins=32, range=(0, 1))[0]
        assert np.abs(histogram[number] ** 2 * image.size - counts).sum() < 3  # float32 at the levels' borders


def test_positions_run_through_the_region() -> None:
    values = images((1, 10, 4, 4))
    position, *_ = parts(describe_slices(values, [(2, 7), (0, 4), (0, 4)], 0))
    np.testing.assert_allclose(position[:, 0], [0, 0, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 1, 1], atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_is_as_good_as_another(axis: int) -> None:
    values = images((2, 6, 7, 8))
    first = np.moveaxis(values, 1 + axis, 1)
    expected = describe_slices(first, whole(first), 0)
    np.testing.assert_array_equal(describe_slices(values, whole(values), axis), expected)


def test_gain_offset_margin_and_resolution_leave_descriptors_alone() -> None:
    values = images((1, 4, 32, 64))
    found = describe_slices(values, whole(values), 0)
    np.testing.assert_allclose(describe_slices(values * 40 - 700, whole(values), 0), found, atol=2e-2)
    padded = np.pad(values, ((0, 0), (0, 0), (9, 3), (0, 5)))
    np.testing.assert_array_equal(describe_slices(padded, [(0, 4), (9, 41), (0, 64)], 0), found)
    finer = values.repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_allclose(describe_slices(finer, whole(finer), 0), found, atol=1e-2)


@pytest.mark.parametrize(
    ("angle", "orientation"), [(0.0, 0), (180.0, 0), (20.0, 1), (200.0, 1), (90.0, 4.5), (160.0, 8), (-20.0, 8)]
)
def test_ramps_vote_for_their_direction_and_its_opposite(angle: float, orientation: float) -> None:
    y, x = np.mgrid[:32, :32]
    ramp = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    values = ramp[None, None].astype(np.float32)
    gradients = parts(describe_slices(values, whole(values), 0))[3].reshape(4, 4, 9)
    votes = (gradients[1:3, 1:3] ** 2).sum(axis=(0, 1))  # corners are clipped
    low, share = int(orientation), orientation % 1
    expected = np.zeros(9)
    expected[[low, (low + 1) % 9]] = 1 - share, share
    np.testing.assert_allclose(votes / votes.sum(), expected, atol=1e-3)


def test_channels_are_side_by_side() -> None:
    values = images((2, 3, 20, 20))
    both = parts(describe_slices(values, whole(values), 0))
    for channel in (0, 1):
        one = parts(describe_slices(values[channel : channel + 1], whole(values), 0))
        for together, alone in zip(both[1:], one[1:], strict=True):
            np.testing.assert_array_equal(np.split(together, 2, axis=1)[channel], alone)


def test_labels_are_not_looked_at(phantom: Dataset, tmp_path: Path) -> None:
    case = phantom.cases[0]
    label = SimpleITK.ReadImage(str(case.label))
    blank = tmp_path / "blank.nii.gz"
    SimpleITK.WriteImage(label * 0, str(blank))
    found = scan_case(case, phantom.n_labels, 0)
    without = scan_case(replace(case, label=blank), phantom.n_labels, 0)
    assert found.voxel_counts[0][:, 1:].any()
    assert not without.voxel_counts[0][:, 1:].any()
    assert found.descriptors is not None
    assert without.descriptors is not None
    np.testing.assert_array_equal(found.descriptors, without.descriptors)
    assert scan_case(case, phantom.n_labels).descriptors is None


@pytest.mark.parametrize("n_columns", [0, 1, 432, 434])
def test_other_widths_are_refused(n_columns: int) -> None:
    with pytest.raises(ValueError, match=rf"expected 1 \+ 432 columns a channel, got {n_columns}"):
        block_widths(n_columns)


def test_embedding_keeps_distances_of_parts_with_equal_weight() -> None:
    descriptors = np.random.default_rng(0).random((40, N_COLUMNS), dtype=np.float32)
    descriptors[:, 1:257] *= 1e-3  # a part in small numbers counts no less
    X = embed(descriptors)
    assert X.shape == (40, 39)
    scaled = [part - part.mean(axis=0) for part in parts(descriptors.astype(np.float64))]
    scaled = [part / np.sqrt(np.square(part).sum() / 40) for part in scaled]
    expected = np.square(np.hstack(scaled)[:, None] - np.hstack(scaled)[None]).sum(axis=2)
    np.testing.assert_allclose(np.square(X[:, None] - X[None]).sum(axis=2), expected, atol=1e-8)
    assert np.square(X).sum() / 40 == pytest.approx(4.0)


def test_embedding_is_small_and_ordered_by_variance() -> None:
    X = embed(np.random.default_rng(1).random((300, N_COLUMNS), dtype=np.float32))
    assert X.shape == (300, MAX_COMPONENTS)
    assert (np.diff(X.var(axis=0)) <= 1e-12).all()
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 5])
def test_equal_slices_are_embedded_at_one_point(n: int) -> None:
    assert not embed(np.full((n, N_COLUMNS), 0.3, dtype=np.float32)).any()
