from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from albench.stats.power import ALPHA, POWER, detectable_difference, power_of, seeds_needed


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.8, 15), (1.0, 10), (2.0, 5)])
def test_seeds_are_those_of_cohens_tables(effect: float, n: int) -> None:
    """Pairs for 80 % power at two-sided 5 % (Cohen 1988; G*Power 3.1, matched pairs)."""
    assert seeds_needed(effect * 0.01, 0.01) == n


@pytest.mark.parametrize("n_seeds", [3, 5, 12])
def test_the_detectable_difference_is_found_in_four_of_five_simulated_studies(n_seeds: int) -> None:
    sd = 0.013
    difference = detectable_difference(n_seeds, sd)
    draws = np.random.default_rng(n_seeds).normal(difference, sd, size=(20_000, n_seeds))
    found = (stats.ttest_1samp(draws, 0, axis=1).pvalue < ALPHA).mean()
    assert found == pytest.approx(POWER, abs=0.012)
    assert seeds_needed(difference * 1.0001, sd) == n_seeds


def test_a_single_seed_finds_nothing() -> None:
    power = power_of(1, 0.01)
    assert math.isnan(power.detectable)
    assert power.as_json() == {"sd": 0.01, "detectable": None, "seeds_needed": {"0.01": 10, "0.005": 34}}
    assert power.as_text().startswith("nothing with a single seed")
    assert "0.01 needs 10 seeds, 0.005 needs 34 seeds" in power_of(5, 0.01).as_text()
