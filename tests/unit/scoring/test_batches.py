from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.scoring.batches import pad_images, padded_edge, slice_batches
from albench.units.pool import Unit
from tests.support.scoring_fixtures import DIVISORS, FIRST_SLICE, IMAGES, PATCH, UNITS, small_batches


@settings(deadline=None)
@given(length=st.integers(1, 300), patch=st.integers(1, 300), divisor=st.integers(1, 64))
def test_padded_edge_is_the_smallest_that_fits(length: int, patch: int, divisor: int) -> None:
    edge = padded_edge(length, patch, divisor)
    fits = [n for n in range(1, 700) if n >= length and n >= patch and n % divisor == 0]
    assert edge == fits[0]


@pytest.mark.parametrize("shape", [(13, 19), (16, 16), (5, 30), (1, 1), (17, 16)])
def test_padding_is_centred_zeros_and_the_crop_undoes_it(shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, *shape)).astype(np.float32)
    padded, (rows, columns) = pad_images(torch.from_numpy(images), (16, 20), (4, 8))
    expected_shape = [max(16, -(-shape[0] // 4) * 4), max(24, -(-shape[1] // 8) * 8)]
    extra = [e - s for e, s in zip(expected_shape, shape, strict=True)]
    expected = np.pad(images, [(0, 0), (0, 0), *((e // 2, e - e // 2) for e in extra)])
    np.testing.assert_array_equal(padded.numpy(), expected)
    np.testing.assert_array_equal(padded[..., rows, columns].numpy(), images)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_every_unit_comes_once_with_its_own_slice(batch_size: int) -> None:
    seen = []
    for batch in small_batches(batch_size=batch_size):
        assert 1 <= len(batch.positions) <= batch_size
        assert batch.positions.dtype == np.int64
        assert batch.images.dtype == torch.float32
        for position, image in zip(batch.positions, batch.images, strict=True):
            unit = UNITS[position]
            inside = image[:, batch.crop[0], batch.crop[1]].numpy()
            np.testing.assert_array_equal(inside, IMAGES[unit.case][:, unit.index - FIRST_SLICE[unit.case]])
        assert {UNITS[p].case for p in batch.positions} == {UNITS[batch.positions[0]].case}
        seen += batch.positions.tolist()
    assert sorted(seen) == list(range(len(UNITS)))


def test_each_image_is_read_once() -> None:
    read: list[str] = []

    def image_of(case: str) -> np.ndarray:
        read.append(case)
        return IMAGES[case]

    for _ in slice_batches(
        UNITS,
        image_of,
        FIRST_SLICE.__getitem__,
        patch_size=PATCH,
        divisors=DIVISORS,
        batch_size=2,
        device=torch.device("cpu"),
    ):
        pass
    assert sorted(read) == ["a", "b"]


def test_no_units_no_batches() -> None:
    assert list(small_batches([])) == []


def test_a_repeated_unit_keeps_both_places() -> None:
    positions = np.concatenate([b.positions for b in small_batches([Unit("a", 1), Unit("b", 3), Unit("a", 1)])])
    assert sorted(positions) == [0, 1, 2]
