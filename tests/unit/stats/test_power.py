from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from albench.results.registered import RegisteredClaim
from albench.stats.power import ALPHA, POWER, ClaimPower, detectable_difference, power_of, seeds_needed


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


def test_a_claim_says_what_its_looks_can_find() -> None:
    claim = RegisteredClaim(strategy="usim-f", endpoint="final", smallest=0.01, looks=(8, 16, 24))
    few, some, all_ = (ClaimPower(claim, 0.015, "as given", n) for n in (5, 16, 24))
    assert few.as_json()["detectable"] is None
    assert "with 5 seeds has no look" in few.as_text()
    assert some.detectable > all_.detectable == pytest.approx(0.0093, abs=5e-4)
    assert few.seeds_needed == all_.seeds_needed <= 24
    assert "usim-f over random, final: with 24 seeds shows a difference of 0.009" in all_.as_text()
    assert "one-sided 2.5 % over looks at 8, 16, 24; SD over seeds 0.015, as given" in all_.as_text()
