"""Group-sequential boundaries: against published ones, and that they keep their level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from statsmodels.stats.power import TTestPower

from albench.stats.crossed import margin, variance_components
from albench.stats.sequential import conditional_power, crossing, detectable, nominal_levels, power, seeds_needed

LOOKS = st.lists(st.integers(3, 60), min_size=1, max_size=5, unique=True).map(lambda looks: tuple(sorted(looks)))


@pytest.mark.parametrize(("n_looks", "height"), [(1, 1.960), (2, 1.977), (3, 2.004), (4, 2.024), (5, 2.040)])
def test_they_are_those_of_the_tables(n_looks: int, height: float) -> None:
    """Jennison and Turnbull, table 2.3: C of O'Brien and Fleming's test, two-sided 5 %."""
    looks = tuple(range(5, 5 * n_looks + 1, 5))
    levels = nominal_levels(looks, 0.025)
    assert norm.isf(levels[-1]) == pytest.approx(height, abs=6e-4)
    bounds = norm.isf(np.array(levels)) * np.sqrt(np.array(looks) / looks[-1])
    assert bounds == pytest.approx(bounds[-1])


@settings(max_examples=25, deadline=None)
@given(LOOKS, st.floats(0.005, 0.2))
def test_the_chance_of_any_look_is_the_level(looks: tuple[int, ...], alpha: float) -> None:
    levels = nominal_levels(looks, alpha)
    times = np.array(looks) / looks[-1]
    assert crossing(times, norm.isf(levels), 0.0) == pytest.approx(alpha, abs=1e-7)
    assert list(levels) == sorted(levels)
    assert levels[-1] <= alpha + 1e-9
    assert sum(levels) >= alpha - 1e-9, "as Bonferroni's"


@settings(max_examples=10, deadline=None)
@given(LOOKS, st.sampled_from([0.025, 0.1]), st.floats(-1, 3), st.integers(0, 2**32))
def test_crossing_is_what_walks_do(looks: tuple[int, ...], alpha: float, drift: float, seed: int) -> None:
    times = np.array(looks) / looks[-1]
    bounds = norm.isf(nominal_levels(looks, alpha))
    steps = np.diff(times, prepend=0.0)
    n = 20_000
    walk = np.cumsum(np.random.default_rng(seed).normal(drift * steps, np.sqrt(steps), (n, len(looks))), axis=1)
    share = (walk / np.sqrt(times) >= bounds).any(axis=1).mean()
    expected = crossing(times, bounds, drift)
    assert abs(share - expected) < 6 * math.sqrt(max(expected * (1 - expected), 1 / n) / n)


@pytest.mark.parametrize("sd_case", [0.0, 0.02])
def test_claims_keep_their_level_with_the_crossed_test(sd_case: float) -> None:
    """2,000 studies of two equal strategies, looked at after 8, 16 and 24 seeds: 2.5 % and not more are shown."""
    looks, rng, n_studies = (8, 16, 24), np.random.default_rng(0), 2000
    levels = nominal_levels(looks, 0.025)
    shown = 0
    for _ in range(n_studies):
        values = rng.normal(0, 0.01, (24, 1, 1)) + rng.normal(0, sd_case, (1, 30, 1)) + rng.normal(0, 0.03, (24, 30, 1))
        shown += any(
            values[:n].mean() > margin(variance_components(values[:n]), 2 * level)
            for n, level in zip(looks, levels, strict=True)
        )
    error = math.sqrt(0.025 * 0.975 / n_studies)
    assert shown / n_studies < 0.025 + 3 * error
    assert shown > 0


def test_one_look_is_the_plain_test() -> None:
    for n, difference in [(4, 0.03), (5, 0.02), (10, 0.011), (30, 0.004)]:
        plain = TTestPower().power(difference / 0.01, n, 0.025, alternative="larger")
        assert power(difference, 0.01, (n,), 0.025) == pytest.approx(plain, abs=0.01)
    assert nominal_levels((7,), 0.025) == pytest.approx((0.025,))


@settings(max_examples=10, deadline=None)
@given(LOOKS, st.floats(0.001, 0.05))
def test_what_can_be_detected_is_detected(looks: tuple[int, ...], sd: float) -> None:
    least = detectable(sd, looks, 0.025)
    assert power(least, sd, looks, 0.025) == pytest.approx(0.8, abs=1e-3)
    assert detectable(2 * sd, looks, 0.025) == pytest.approx(2 * least, rel=1e-3)


def test_seeds_needed_are_the_fewest() -> None:
    looks = (8, 16, 24)
    needed = seeds_needed(0.01, 0.0145, looks, 0.025)
    assert 18 <= needed <= 24, "about 20, reckoned without looks"
    assert detectable(0.0145, (round(needed / 3), round(2 * needed / 3), needed), 0.025) <= 0.01
    assert seeds_needed(0.02, 0.0145, looks, 0.025) < needed < seeds_needed(0.005, 0.0145, looks, 0.025)
    assert seeds_needed(1e-9, 1.0, looks, 0.025) == 10**6


def test_conditional_power_ends_as_the_study_does() -> None:
    looks, alpha = (8, 16), 0.025
    bound = t.isf(nominal_levels(looks, alpha)[-1], 15) * 0.01 / 4
    assert conditional_power(bound * 1.001, 0.01, 16, looks, alpha, 0.0) == 1.0
    assert conditional_power(bound * 0.999, 0.01, 16, looks, alpha, 1.0) == 0.0
    hopeless, hopeful = (conditional_power(mean, 0.01, 8, looks, alpha, 0.005) for mean in (-0.01, 0.01))
    assert hopeless < 0.05
    assert hopeful > 0.8
