"""Where a registered claim stands: which seeds, classes and looks count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from albench.results.registered import RegisteredClaim
from albench.stats.crossed import crossed_test
from albench.stats.registered import counted_labels, difference, finished_seeds, pilot_spread, standing
from albench.stats.sequential import nominal_levels

LOOKS = (4, 8, 12)


def claim(**change: Any) -> RegisteredClaim:
    about = {"strategy": "usim-f", "against": "random", "endpoint": "final", "smallest": 0.01, "looks": LOOKS}
    return RegisteredClaim.model_validate(about | change)


def table(gain: float, n_seeds: int = 12, *, sd: float = 0.005, n_rounds: int = 2, draw: int = 0) -> pd.DataFrame:
    """Dice of two strategies, equal in round 0; label 3 is the worst, then 1."""
    rng = np.random.default_rng(draw)
    rows = []
    for seed in range(n_seeds):
        start = rng.normal(0, 0.01)
        of_seed = rng.normal(gain, sd)
        for strategy, more in (("random", 0.0), ("usim-f", of_seed), ("full", 0.2)):
            for number in range(n_rounds):
                for case in range(6):
                    for label, base in ((1, 0.5), (2, 0.7), (3, 0.3)):
                        dice = base + start + number * (0.1 + more) + (rng.normal(0, 0.003) if number else 0.0)
                        rows.append((strategy, seed, number, f"c{case}", label, dice))
    return pd.DataFrame(rows, columns=["strategy", "seed", "round", "case", "label", "dice"])


def test_a_large_gain_is_shown_at_the_first_look_and_stays_so() -> None:
    results = table(0.05)
    found = standing(results, claim(), 2)
    assert (found.decision, found.n_seeds, found.n_finished) == ("shown", 4, 12)
    first = crossed_test(difference(results, claim(), range(4), (1, 2, 3)))
    assert (found.mean, found.p) == (first.mean, first.p)
    assert found.boundary == 2 * nominal_levels(LOOKS, 0.025)[0] >= found.p
    assert found.low > 0, "the interval leaves 0 out where the claim is shown"
    assert math.isnan(found.conditional_power)


def test_a_moderate_gain_waits_for_a_later_look() -> None:
    results = table(0.007)
    assert standing(results[results["seed"] < 4], claim(), 2).decision == "not shown yet"
    found = standing(results, claim(), 2)
    assert (found.decision, found.n_seeds) == ("shown", 8)
    assert 0.003 < found.detectable < 0.006


def test_no_gain_is_not_shown_and_a_loss_cannot_be_reached() -> None:
    assert standing(table(0.0), claim(), 2).decision == "not shown"
    lost = standing(table(-0.05, 9), claim(), 2)
    assert (lost.decision, lost.n_seeds) == ("cannot be reached", 8)
    assert lost.p < lost.boundary, "a loss is never a gain, however sure"
    assert lost.high < 0
    assert lost.conditional_power < 0.01
    assert lost.row()["decision"] == "cannot be reached"


def test_before_the_first_look_nothing_is_said() -> None:
    found = standing(table(0.05, 3), claim(), 2)
    assert (found.decision, found.n_finished, found.n_seeds) == ("no look yet", 3, 0)
    assert math.isnan(found.mean)
    assert standing(table(0.05, 3)[:0], claim(), 2).n_finished == 0


def test_seeds_count_from_the_first_without_a_gap_and_whole() -> None:
    results = table(0.05, 6)
    assert finished_seeds(results, claim(), 2) == 6
    assert finished_seeds(results, claim(), 3) == 0, "every chain still runs"
    unfinished = (results["seed"] == 2) & (results["strategy"] == "usim-f") & (results["round"] == 1)
    assert finished_seeds(results[~unfinished], claim(), 2) == 2
    others = results["strategy"] == "full"
    assert finished_seeds(results[~others], claim(), 2) == 6


def test_the_worst_classes_are_those_of_the_shared_start_and_the_first_look() -> None:
    results = table(0.05)
    assert counted_labels(results, claim()) == (1, 2, 3)
    assert counted_labels(results, claim(classes="worst-1")) == (3,)
    assert counted_labels(results, claim(classes="worst-2")) == (1, 3)
    later = results.assign(dice=results["dice"].where((results["round"] == 0) & (results["seed"] < 4), 0.0))
    assert counted_labels(later, claim(classes="worst-2")) == (1, 3)
    found = standing(results, claim(classes="worst-2"), 2)
    assert found.classes == (1, 3)
    assert found.mean == crossed_test(difference(results, claim(), range(found.n_seeds), (1, 3))).mean


def test_aubc_of_two_rounds_is_half_of_the_last() -> None:
    results = table(0.05)
    final, area = (standing(results, claim(endpoint=endpoint), 2) for endpoint in ("final", "aubc"))
    assert area.mean == pytest.approx(final.mean / 2)
    assert area.p == pytest.approx(final.p, rel=1e-6)


def test_a_pilot_says_what_spread_to_reckon_with() -> None:
    assert pilot_spread(table(0.01, 200, sd=0.02), claim()) == pytest.approx(0.02, rel=0.15)
    assert math.isnan(pilot_spread(table(0.01, 1), claim()))
    assert math.isnan(pilot_spread(table(0.01, 5), claim(strategy="bald")))
