"""Labels laid over a case part by part, and the voxels sampled from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

from albench.training import annotated
from albench.training.annotated import AnnotatedLabels, sample_locations

SHAPE, IGNORE = (1, 7, 6, 5), 3
FOREGROUND, CLASSES = [1, 2], [1, 2, (-1, 0, 1, 2)]
references = arrays(np.int16, SHAPE, elements=st.integers(-1, 2))


@st.composite
def box_lists(draw: st.DrawFn) -> list[tuple[slice, ...]]:
    boxes = []
    for _ in range(draw(st.integers(0, 5))):
        bounds = [sorted(draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))) for n in SHAPE[1:]]
        boxes.append(tuple(slice(low, high + 1) for low, high in bounds))
    return boxes


windows = st.tuples(*(st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted) for n in SHAPE)).map(
    lambda bounds: tuple(slice(low, high) for low, high in bounds)
)


def laid_over(reference: np.ndarray, boxes: list[tuple[slice, ...]]) -> np.ndarray:
    labels = np.full_like(reference, IGNORE)
    for box in boxes:
        labels[(slice(None), *box)] = reference[(slice(None), *box)]
    return labels


@given(references, box_lists(), windows)
def test_a_window_is_that_part_of_the_whole(
    reference: np.ndarray, boxes: list[tuple[slice, ...]], window: tuple[slice, ...]
) -> None:
    labels = AnnotatedLabels(reference, boxes, IGNORE)
    np.testing.assert_array_equal(labels[window], laid_over(reference, boxes)[window])
    assert labels.shape == reference.shape and labels[window].dtype == labels.dtype == np.int16


@pytest.mark.parametrize("slab_voxels", [1, 60, 10**6])
@given(reference=references, boxes=box_lists())
def test_slabs_hold_all_that_is_annotated(
    slab_voxels: int, reference: np.ndarray, boxes: list[tuple[slice, ...]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotated, "_SLAB_VOXELS", slab_voxels)
        slabs = list(AnnotatedLabels(reference, boxes, IGNORE).slabs())
    found = np.full_like(reference, IGNORE)
    for first, slab in slabs:
        assert slab.size <= max(slab_voxels, 30)
        found[:, first : first + slab.shape[1]] = slab
    np.testing.assert_array_equal(found, laid_over(reference, boxes))


@given(references, box_lists())
def test_locations_are_those_that_nnunet_draws(reference: np.ndarray, boxes: list[tuple[slice, ...]]) -> None:
    found = sample_locations(AnnotatedLabels(reference, boxes, IGNORE), CLASSES)
    expected = DefaultPreprocessor._sample_foreground_locations(laid_over(reference, boxes), CLASSES)
    assert list(found) == list(expected)
    for label, rows in expected.items():
        np.testing.assert_array_equal(found[label], np.reshape(rows, (-1, 4)))


def test_of_a_large_class_a_hundredth_is_drawn_as_nnunet_does() -> None:
    """More than a million voxels, so that neither all of them nor 10,000 are taken."""
    rng = np.random.default_rng(0)
    reference = rng.choice([-1, 0, 1, 2], (1, 60, 160, 160), p=[0.1, 0.05, 0.8, 0.05]).astype(np.int16)
    boxes = [(slice(0, 59), slice(0, 160), slice(0, 160))]
    found = sample_locations(AnnotatedLabels(reference, boxes, IGNORE), CLASSES)
    expected = DefaultPreprocessor._sample_foreground_locations(laid_over(reference, boxes), CLASSES)
    assert len(found[1]) == np.ceil((reference[:, :59] == 1).sum() / 100)
    assert len(found[2]) == 10_000
    for label, rows in expected.items():
        np.testing.assert_array_equal(found[label], rows)
