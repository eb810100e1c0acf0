from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from albench.stats import aubc, curve_scores, mean_interval, share_of_ceiling


def curves(*entries: tuple[str, int, list[float]]) -> pd.DataFrame:
    """Mean-Dice table from (strategy, seed, Dice by round)."""
    return pd.DataFrame(
        [
            {
                "dataset": "d",
                "protocol": "quick",
                "strategy": strategy,
                "seed": seed,
                "round": index,
                "n_annotated_units": 40 * (index + 1),
                "dice": dice,
            }
            for strategy, seed, values in entries
            for index, dice in enumerate(values)
        ]
    )


def test_aubc_equals_the_area_computed_by_hand() -> None:
    # trapezoids of width 1/3: (.4+.6)/2/3 + (.6+.7)/2/3 + (.7+.8)/2/3 = .16667 + .21667 + .25
    assert aubc([0.4, 0.6, 0.7, 0.8]) == pytest.approx(0.6333333)
    assert aubc([0.5] * 7) == pytest.approx(0.5)
    assert aubc([0.2, 0.8]) == pytest.approx(0.5)


def test_aubc_of_one_round_or_with_a_gap_is_not_a_number() -> None:
    assert np.isnan(aubc([0.7]))
    assert np.isnan(aubc([0.4, np.nan, 0.8]))
    with pytest.raises(ValueError, match=r"dice: expected shape \(rounds,\), got \(1, 2\)"):
        aubc([[0.4, 0.8]])


def test_curve_scores_are_per_seed_and_an_unfinished_curve_has_none() -> None:
    scores = curve_scores(
        curves(("random", 0, [0.4, 0.6, 0.8]), ("random", 1, [0.5, 0.5, 0.5]), ("usim-f", 0, [0.4, 0.9]))
    ).set_index(["strategy", "seed"])
    assert scores.loc[("random", 0), "aubc"] == pytest.approx(0.6)
    assert scores.loc[("random", 1), "final_dice"] == pytest.approx(0.5)
    assert scores.loc[("usim-f", 0)][["aubc", "final_dice"]].isna().all()


def test_the_ceiling_has_a_final_dice_whatever_its_round_number() -> None:
    table = curves(("random", 0, [0.4, 0.6, 0.8]))
    ceiling = curves(("full", 0, [0.9])).assign(round=9)
    scores = curve_scores(pd.concat([table, ceiling])).set_index("strategy")
    assert scores.loc["full", "final_dice"] == pytest.approx(0.9)
    assert np.isnan(scores.loc["full", "aubc"])
    assert scores.loc["random", "aubc"] == pytest.approx(0.6), "the ceiling's round is no round of the curves"


def test_one_seed_has_no_interval() -> None:
    one = mean_interval([0.7])
    assert (one.mean, one.n) == (0.7, 1)
    assert np.isnan(one.low)
    assert np.isnan(one.high)
    none = mean_interval([np.nan])
    assert none.n == 0
    assert np.isnan(none.mean)


@pytest.mark.parametrize("n_seeds", [2, 3, 5, 10])
def test_the_interval_of_a_few_seeds_covers_what_it_says(n_seeds: int) -> None:
    """2,000 studies; a percentile bootstrap covers 50, 75, 84 and 90 %."""
    values = np.random.default_rng(n_seeds).normal(0.7, 0.01, (2000, n_seeds))
    found = [mean_interval(own) for own in values]
    assert 1862 <= sum(own.low <= 0.7 <= own.high for own in found) <= 1934, "binomial 99.9 % around 1,900"


def test_an_interval_is_students_and_ends_where_the_metric_does() -> None:
    x = np.array([0.9, np.nan, 0.95, 0.97])
    low, high = stats.t.interval(0.95, 2, np.nanmean(x), stats.sem(x, nan_policy="omit"))
    found = mean_interval(x)
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 3)
    assert high > 1
    assert mean_interval(x, 0.0, 1.0).high == 1.0
    assert mean_interval([0.01, 0.05], 0.0, 1.0).low == 0.0


def test_share_of_ceiling_uses_the_seeds_that_have_both() -> None:
    final = pd.Series([0.6, 0.7, 0.1], index=[0, 1, 2])
    assert share_of_ceiling(final, pd.Series([0.8, 0.8], index=[0, 1])) == pytest.approx(0.65 / 0.8)
    assert np.isnan(share_of_ceiling(final, pd.Series([], dtype=float)))
    assert np.isnan(share_of_ceiling(final, pd.Series([0.0], index=[0])))
