"""Axes turned to right, anterior, superior and back: nothing moves to another place in the world."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from albench.annotate.codes import Codes
from albench.annotate.turned import Turn, slices, widened
from albench.errors import InputError

ORDERS = list(itertools.permutations(range(3)))


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any order and direction of axes, tilted by less than what makes another axis the nearest."""
    order, signs = draw(st.sampled_from(ORDERS)), draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    turn = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        turn[world, axis] = sign
    tilt = Rotation.from_euler("xyz", draw(st.tuples(*[st.integers(-12, 12)] * 3)), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt @ turn * draw(st.tuples(*[st.floats(0.3, 5)] * 3))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return affine


SHAPES = st.tuples(*[st.integers(1, 6)] * 3)


@given(affines(), SHAPES)
def test_is_what_nibabel_calls_closest_canonical(affine: np.ndarray, shape: tuple[int, int, int]) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine))
    turn = Turn.of_affine(affine)
    assert np.array_equal(turn.turned(voxels), np.asarray(canonical.dataobj))
    assert np.array_equal(turn.back(turn.turned(voxels)), voxels)
    assert turn.triple(shape) == canonical.shape
    assert [turn.axis(axis) for axis in range(3)] == [turn.axes.index(axis) for axis in range(3)]


@given(affines(), SHAPES, st.data())
def test_boxes_hold_the_same_voxels(affine: np.ndarray, shape: tuple[int, int, int], data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, edge - 1)) for edge in shape)
    stop = tuple(data.draw(st.integers(low + 1, edge)) for low, edge in zip(start, shape, strict=True))
    voxels = np.arange(np.prod(shape)).reshape(shape)
    turn = Turn.of_affine(affine)
    box = turn.box(start, stop, shape)
    there = turn.turned(voxels)[slices(box)]
    assert np.array_equal(turn.back(there), voxels[slices((start, stop))])
    assert turn.box_back(*box, shape) == (start, stop)


@given(affines(), SHAPES, st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_labels_come_back_as_they_went(
    affine: np.ndarray, shape: tuple[int, int, int], n_classes: int, seed: int, ignore_is_low: bool
) -> None:
    values = [0, *range(2, 2 + 3 * n_classes, 3)]
    codes = Codes({f"class {value}": value for value in values}, 1 if ignore_is_low else 40000)
    rng = np.random.default_rng(seed)
    labels = rng.choice([*values, codes.ignore], shape).astype(np.uint16)
    turn = Turn.of_affine(affine)
    again = codes.decoded(codes.encoded(labels, turn), shape, turn)
    assert again.dtype == np.uint16
    assert np.array_equal(again, labels)


def test_photographs_stand_upright() -> None:
    turn = Turn.of_affine(None)  # rows run downwards, y upwards
    pixels = np.arange(6).reshape(3, 2, 1)
    assert np.array_equal(turn.turned(pixels), pixels[:, ::-1])


def test_axes_along_one_line_are_refused() -> None:
    with pytest.raises(InputError, match="span the space"):
        Turn.of_affine(np.diag([1.0, 1.0, 0.0, 1.0]))


def test_values_that_no_label_has_are_refused() -> None:
    codes, turn = Codes({"background": 0, "organ": 3}, 4), Turn((0, 1, 2), (False, False, False))
    for value in (1, 2, 5, 60000):
        with pytest.raises(InputError, match="expected labels 0, 3, 4"):
            codes.encoded(np.full((1, 1, 1), value, np.uint16), turn)


def test_more_labels_than_a_byte_holds_are_refused() -> None:
    with pytest.raises(InputError, match="at most 255"):
        Codes({f"class {value}": value for value in range(256)}, 256)


def test_boxes_are_widened_within_the_image() -> None:
    assert widened(((0, 3, 2), (4, 4, 9)), (0, 8, 4), (4, 10, 10)) == ((0, 0, 0), (4, 10, 10))
