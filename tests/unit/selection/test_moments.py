from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import albench
from albench.errors import InputError
from albench.scoring.batches import UnitBatch
from albench.scoring.moments import mean_entropy
from albench.scoring.moments import moments as of_a_round
from albench.scoring.request import MOMENTS

KINDS: dict[str, Callable[[np.ndarray], Any]] = {"NumPy": np.asarray, "PyTorch": torch.from_numpy}
kinds = pytest.mark.parametrize("kind", KINDS)


def softmaxes(seed: int = 0, shape: tuple[int, ...] = (4, 6, 3, 8, 7), spread: float = 3.0) -> np.ndarray:
    """Float32 (member, unit, class, *spatial)."""
    logits = np.random.default_rng(seed).normal(scale=spread, size=shape)
    return scipy.special.softmax(logits, axis=2).astype(np.float32)


def made(scores: albench.Scores) -> dict[str, np.ndarray]:
    return {field.name: value for field in fields(scores) if (value := getattr(scores, field.name)) is not None}


@kinds
@pytest.mark.parametrize("spatial", [(8, 7), (4, 5, 6)])
def test_a_round_makes_the_same_of_the_same_passes(kind: str, spatial: tuple[int, ...]) -> None:
    logits = np.random.default_rng(1).normal(scale=3, size=(5, 6, 3, *spatial)).astype(np.float32)
    crop = tuple(slice(0, length) for length in spatial)
    batch = UnitBatch(np.arange(6), torch.zeros((6, 1, *spatial)), crop)
    expected = of_a_round(lambda _: iter(torch.from_numpy(logits)), [batch], 6, 3, MOMENTS)
    softmax = torch.softmax(torch.from_numpy(logits), dim=2).numpy()
    found = made(albench.moments([KINDS[kind](member) for member in softmax]))
    assert set(found) == set(expected)
    for name, values in found.items():
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected[name], rtol=2e-6, err_msg=name)


@kinds
def test_one_pass_is_the_entropy_of_a_round(kind: str) -> None:
    logits = torch.randn((6, 3, 8, 7), generator=torch.Generator().manual_seed(0))
    batch = UnitBatch(np.arange(6), logits, (slice(0, 8), slice(0, 7)))
    expected = mean_entropy(torch.nn.Identity(), [batch], 6)
    found = made(albench.moments([KINDS[kind](torch.softmax(logits, 1).numpy())]))
    np.testing.assert_allclose(found["entropy"], expected, rtol=2e-6)
    assert set(found) == {"entropy", "predictive_entropy", "expected_entropy", "class_entropy"}


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(2, 4), st.integers(1, 5)),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 0.1, 3.0, 300.0]),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_the_formulas(shape: tuple[int, ...], seed: int, spread: float, kind: str) -> None:
    p = softmaxes(seed, shape, spread).astype(np.float64)
    p /= p.sum(axis=2, keepdims=True)
    mean = p.mean(axis=0)
    entropy, own = scipy.stats.entropy(mean, axis=1), scipy.stats.entropy(p, axis=2)
    both, either = (p * mean).sum(-1), (p + mean).sum(-1)
    with np.errstate(invalid="ignore"):
        dice = np.nanmean(2 * both / either, axis=-1).mean(axis=0)
    expected = {
        "variance": p.var(axis=0).mean(axis=-1),
        "predictive_entropy": entropy.mean(axis=-1),
        "expected_entropy": own.mean(axis=(0, -1)),
        "mutual_information": np.maximum((entropy - own.mean(axis=0)).mean(axis=-1), 0),
        "class_entropy": (mean * entropy[:, None]).mean(axis=-1),
        "expected_dice": dice,
    }
    found = made(albench.moments(KINDS[kind](p)))
    assert set(found) == set(expected)
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


@kinds
def test_a_generator_is_gone_over_once_and_its_members_left_alone(kind: str) -> None:
    kept = [KINDS[kind](member) for member in softmaxes()]
    before = [np.asarray(member).copy() for member in kept]

    def passes() -> Iterator[Any]:
        yield from kept

    found, whole = made(albench.moments(passes())), made(albench.moments(kept))
    assert set(whole) - set(found) == {"expected_dice"}
    for name, values in found.items():
        np.testing.assert_array_equal(values, whole[name])
    for member, value in zip(kept, before, strict=True):
        np.testing.assert_array_equal(np.asarray(member), value)


def test_one_member_is_in_memory_at_a_time() -> None:
    import weakref

    alive: list[weakref.ref[Any]] = []

    def passes() -> Iterator[np.ndarray]:
        for member in softmaxes(shape=(6, 2, 3, 4)):
            assert sum(each() is not None for each in alive) <= 1
            passed = member.copy()
            alive.append(weakref.ref(passed))
            yield passed
            del passed

    albench.moments(passes())
    assert len(alive) == 6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, np.float16])
def test_half_precision_is_widened(dtype: Any) -> None:
    p = softmaxes()
    half = p.astype(dtype) if isinstance(dtype, type) else torch.from_numpy(p).to(dtype)
    wide = half.astype(np.float32) if isinstance(half, np.ndarray) else half.float()
    found, expected = made(albench.moments(list(half))), made(albench.moments(list(wide)))
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])


def test_tensors_of_a_graph_and_of_inference() -> None:
    logits = torch.randn((3, 2, 3, 4), generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected = made(albench.moments(torch.softmax(logits, 2).detach().numpy()))

    @torch.inference_mode()
    def passes() -> Iterator[torch.Tensor]:
        for member in logits:
            yield torch.softmax(member, 1)

    for members in (passes(), torch.softmax(logits, 2)):
        found = made(albench.moments(members))
        np.testing.assert_allclose(found["variance"], expected["variance"], rtol=1e-6)


P = softmaxes(shape=(2, 3, 2, 4))
WRONG: dict[str, tuple[Any, str]] = {
    "none": ([], "`members`: expected at least one softmax map, got none"),
    "no members": (3.0, "`members`: expected softmax maps, one after the other, got float"),
    "logits": ([np.full((2, 2, 3), 4.0)], r"`members\[0\]`: expected a softmax over axis 1, .* off by 7"),
    "negative": ([np.tile([[[1.5], [-0.5]]], (2, 1, 1))], r"`members\[0\]`: expected a softmax"),
    "NaN": ([np.full((2, 2, 3), np.nan)], r"`members\[0\]`: expected a softmax"),
    "one class": ([np.ones((2, 1, 3))], r"`members\[0\]`: expected shape \(n, C, ...\) with two classes or more"),
    "one unit's": ([np.ones(2)], r"`members\[0\]`: expected shape"),
    "another shape": ([P[0], P[1][:2]], r"`members\[1\]`: expected as many units, classes and voxels as the first"),
    "another library": ([P[0], torch.from_numpy(P[1])], r"`members\[1\]`: expected an array .* got a tensor"),
    "the other library": ([torch.from_numpy(P[0]), P[1]], r"`members\[1\]`: expected a tensor .* got an array"),
    "words": (["softmax"], r"`members\[0\]`: expected real numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_members_are_named(name: str) -> None:
    members, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        albench.moments(members)
