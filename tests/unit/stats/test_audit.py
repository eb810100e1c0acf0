"""Dice of a pool from an audit: against its definition, over all samples of small pools, and covering what it says."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albench.errors import InputError
from albench.stats.audit import Audit, audit_dice


def pool(seed: int, n: int = 400, n_classes: int = 2, quality: float = 0.85) -> np.ndarray:
    """Voxels right, too many, missing; int64 (n, C, 3): cases of twenty slices, a structure that swells and ends."""
    rng = np.random.default_rng(seed)
    place = np.tile(np.linspace(0, 1, 20), n // 20)
    area = 60 * np.clip(np.sin(np.pi * (place[:, None] * 1.6 - rng.uniform(0, 0.6, n_classes))), 0, None)
    area = rng.poisson(area * rng.lognormal(0, 0.3, (n // 20, 1)).repeat(20, axis=0))
    of_case = np.clip(rng.normal(quality, 0.08, (n // 20, n_classes)), 0.05, 0.99).repeat(20, axis=0)
    right = rng.binomial(area, of_case)
    return np.stack([right, rng.poisson(area * (1 - of_case) + 0.3), area - right], axis=-1)


def audit(units: np.ndarray, n_units: int | None) -> Audit:
    return audit_dice(units[..., 0], units[..., 1], units[..., 2], n_units)


def truth(units: np.ndarray) -> np.ndarray:
    true, too_many, missing = units.sum(axis=0).T
    return 2 * true / (2 * true + too_many + missing)


def test_the_estimate_is_the_pooled_dice_of_what_was_audited() -> None:
    drawn = pool(0)[::7]
    found = audit(drawn, 400)
    np.testing.assert_allclose([each.dice for each in found.classes], truth(drawn), rtol=1e-12)
    assert found.mean.dice == pytest.approx(truth(drawn).mean())
    assert all(each.low < each.dice < each.high for each in (*found.classes, found.mean))


@pytest.mark.parametrize("seed", range(3))
def test_over_all_audits_of_a_small_pool_it_is_right_on_average(seed: int) -> None:
    """Every one of the 924 audits of 6 among 12 units: bias far below the spread, and intervals for all draws."""
    units = pool(seed, n_classes=1)[np.random.default_rng(seed).choice(400, 12, replace=False)]
    exact = truth(units)[0]
    found = [audit(units[list(rows)], 12).classes[0] for rows in combinations(range(12), 6)]
    estimates = np.array([each.dice for each in found])
    assert abs(estimates.mean() - exact) < 0.25 * estimates.std()
    assert np.mean([each.low <= exact <= each.high for each in found]) >= 0.9


@pytest.mark.parametrize("m", [10, 20, 40])
@pytest.mark.parametrize("quality", [0.6, 0.85, 0.97])
def test_the_interval_holds_the_pools_dice(m: int, quality: float) -> None:
    held = []
    for seed in range(200):
        units = pool(seed, n=int(np.random.default_rng(seed).integers(10, 100)) * 20, quality=quality)
        found = audit(units[np.random.default_rng([seed, m]).choice(len(units), m, replace=False)], len(units))
        exact = truth(units)
        held += [each.low <= of <= each.high for each, of in zip(found.classes, exact, strict=True)]
        held.append(found.mean.low <= exact.mean() <= found.mean.high)
    assert np.mean(held) >= 0.91


def test_the_variance_is_the_jackknifes() -> None:
    """Written out: leave out one unit after the other."""
    from scipy import special, stats

    drawn, n_units = pool(1)[::33], 400
    m = len(drawn)
    dice = truth(drawn)
    without = np.array([truth(np.delete(drawn, j, axis=0)) for j in range(m)])
    sizes = drawn @ np.array([2, 1, 1])
    shares = sizes / sizes.sum(axis=0)
    wanted = [(dice[c], without[:, c] - dice[c], shares[:, c]) for c in range(2)]
    wanted.append((dice.mean(), (without - dice).mean(axis=1), shares.mean(axis=1)))
    found = audit(drawn, n_units)
    for (of, deviations, share), each in zip(wanted, (*found.classes, found.mean), strict=True):
        error = np.sqrt((1 - m / n_units) * (m - 1) / m * (deviations**2).sum())
        half = stats.t.ppf(0.975, share.sum() ** 2 / (share**2).sum() - 1) * error / (of * (1 - of))
        expected = special.expit(special.logit(of) + np.array([-half, half]))
        np.testing.assert_allclose([each.low, each.high], expected, rtol=1e-9)


counts = hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 50))


@settings(deadline=None, max_examples=200)
@given(true=counts, data=st.data())
def test_what_holds_for_any_counts(true: np.ndarray, data: st.DataObject) -> None:
    same_shape = hnp.arrays(np.int64, true.shape, elements=st.sampled_from([0, 0, 1, 7, 50]))
    units = np.stack([true, data.draw(same_shape), data.draw(same_shape)], axis=-1)
    m = len(units)
    found = audit(units, m + data.draw(st.integers(0, 1000)))
    for each, informative in zip(found.classes, (units.sum(axis=2) > 0).sum(axis=0), strict=True):
        assert each.n_informative == informative
        if informative == 0:
            assert np.isnan([each.dice, each.low, each.high]).all()
        else:
            assert 0 <= each.low <= each.dice + 1e-12
            assert each.dice - 1e-12 <= each.high <= 1
    if found.mean.n_informative:
        assert 0 <= found.mean.low <= found.mean.dice + 1e-12
        assert found.mean.dice - 1e-12 <= found.mean.high <= 1
    # In any order; all of the pool leaves no doubt; voxels of another size change nothing.
    other = audit(units[np.random.default_rng(0).permutation(m)] * 3, m)
    for each, first in zip(other.classes, found.classes, strict=True):
        np.testing.assert_allclose([each.low, each.dice, each.high], [first.dice] * 3, atol=1e-12)
    # A larger pool leaves more of it unseen, and one of unknown size is taken for the largest.
    near, far = (audit(units, n).mean for n in (m + 1, None))
    if near.n_informative:
        assert far.high - far.low >= near.high - near.low - 1e-12


def test_where_there_is_no_spread() -> None:
    perfect = np.array([[[10, 0, 0]], [[3, 0, 0]], [[0, 0, 0]]])
    found = audit(perfect, 1000).classes[0]
    assert (found.dice, found.high, found.n_informative) == (1.0, 1.0, 2)
    assert found.low == pytest.approx(1 - 0.997 * (1 - 0.025**0.5))
    nothing_right = audit(perfect[..., [1, 0, 2]], 1000).classes[0]
    assert (nothing_right.dice, nothing_right.low) == (0.0, 0.0)
    assert nothing_right.high == pytest.approx(1 - found.low)
    one = audit(np.array([[[30, 10, 10]]]), 10**6).classes[0]
    assert one.dice == 0.75
    assert (one.low, one.high) == pytest.approx((0.025 * 0.75, 0.975 + 0.025 * 0.75), abs=1e-5)
    many = audit(np.tile(perfect[:1], (100, 1, 1)), 10**6).classes[0]
    assert 0.96 < many.low < 0.97


def test_a_class_that_nobody_has_seen_is_no_part_of_the_mean() -> None:
    drawn = pool(2)[np.random.default_rng(2).choice(400, 20, replace=False)]
    absent = np.concatenate([drawn, np.zeros_like(drawn[:, :1])], axis=1)
    found, without = audit(absent, 400), audit(drawn, 400)
    assert found.mean == without.mean
    assert np.isnan(found.classes[2].dice)
    # One that has no spread widens the mean's interval by a third of its own.
    perfect = np.zeros_like(drawn[:, :1])
    perfect[:4, 0, 0] = 5
    wider = audit(np.concatenate([drawn, perfect], axis=1), 400)
    assert wider.mean.dice == pytest.approx((2 * without.mean.dice + 1) / 3)
    assert wider.mean.dice - wider.mean.low > (1 - wider.classes[2].low) / 3


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "one axis": ({"true_positives": np.ones(4)}, r"`true_positives`: expected shape \(m, C\)"),
    "no unit": ({"true_positives": np.ones((0, 2))}, r"`true_positives`: expected shape \(m, C\)"),
    "shapes that differ": ({"false_negatives": np.ones((4, 3))}, r"`false_negatives`: expected shape \(4, 2\)"),
    "below 0": ({"false_positives": -np.ones((4, 2))}, "`false_positives`: expected numbers of voxels"),
    "NaN": ({"false_positives": np.full((4, 2), np.nan)}, "`false_positives`: expected numbers of voxels"),
    "a pool that is too small": ({"n_units": 3}, r"`n_units`: expected an integer in 4\.\.\d+, got 3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name: str) -> None:
    changed, message = WRONG[name]
    ones = np.ones((4, 2))
    with pytest.raises(InputError, match=message):
        audit_dice(**{"true_positives": ones, "false_positives": ones, "false_negatives": ones, "n_units": 9} | changed)


def test_a_class_that_one_unit_holds_widens_the_interval_of_the_mean() -> None:
    """That unit's Dice is the class's whatever the pool's is: no deviation shows how far off it may be."""
    hits = np.array([[0, 90], [1, 80], [0, 95], [0, 85], [0, 92]])
    misses = np.array([[0, 10], [40, 20], [0, 5], [0, 15], [1, 8]])
    audit = audit_dice(hits, np.zeros_like(hits), misses)
    first, second = audit.classes
    assert (first.low, first.high) == pytest.approx((0, 1), abs=1e-3)
    assert audit.mean.low <= (first.low + second.dice) / 2
    assert audit.mean.high >= (first.high + second.dice) / 2
