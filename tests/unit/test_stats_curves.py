from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from albench.seeding import generator
from albench.stats import (
    aubc,
    bootstrap_mean,
    curve_scores,
    paired_difference,
    share_of_ceiling,
)


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


def cases(strategy: str, seed: int, dice: dict[tuple[str, int], float], last: int = 1) -> pd.DataFrame:
    """Result rows of a strategy from {(case, label): dice} at its last round; round 0 is 0 everywhere."""
    return pd.DataFrame(
        [
            {
                "dataset": "d",
                "protocol": "quick",
                "strategy": strategy,
                "seed": seed,
                "round": index,
                "case": case,
                "label": label,
                "dice": value if index == last else 0.0,
            }
            for index in range(last + 1)
            for (case, label), value in dice.items()
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
    one = bootstrap_mean([0.7], generator("x"))
    assert (one.mean, one.n) == (0.7, 1)
    assert np.isnan(one.low)
    assert np.isnan(one.high)
    none = bootstrap_mean([np.nan], generator("x"))
    assert none.n == 0
    assert np.isnan(none.mean)


def test_bootstrap_interval_is_near_the_normal_one_for_many_values() -> None:
    x = np.random.default_rng(7).normal(0.7, 0.1, size=200)
    interval = bootstrap_mean(x, generator("x"))
    half = 1.96 * x.std(ddof=1) / np.sqrt(200)
    assert interval.mean == pytest.approx(x.mean())
    assert interval.low == pytest.approx(x.mean() - half, abs=0.002)
    assert interval.high == pytest.approx(x.mean() + half, abs=0.002)


def test_bootstrap_ignores_nan_and_repeats_for_the_same_names() -> None:
    first = bootstrap_mean([0.6, np.nan, 0.8], generator("a", "b"))
    assert (first.n, first.mean) == (2, pytest.approx(0.7))
    assert first == bootstrap_mean([0.6, 0.8], generator("a", "b"))


def test_share_of_ceiling_uses_the_seeds_that_have_both() -> None:
    final = pd.Series([0.6, 0.7, 0.1], index=[0, 1, 2])
    assert share_of_ceiling(final, pd.Series([0.8, 0.8], index=[0, 1])) == pytest.approx(0.65 / 0.8)
    assert np.isnan(share_of_ceiling(final, pd.Series([], dtype=float)))
    assert np.isnan(share_of_ceiling(final, pd.Series([0.0], index=[0])))


def test_paired_difference_joins_on_seed_case_and_class_at_the_last_round() -> None:
    table = pd.concat(
        [
            cases("random", 0, {("a", 1): 0.5, ("b", 1): 0.6, ("a", 2): 0.2, ("b", 2): 0.4}),
            cases("usim-f", 0, {("b", 2): 0.5, ("a", 2): 0.5, ("b", 1): 0.7, ("a", 1): 0.6}),
        ]
    )
    found = paired_difference(table, "usim-f", generator("x"))
    # class 1: (.1 + .1) / 2, class 2: (.3 + .1) / 2
    assert found.mean == pytest.approx(0.15)
    assert (found.n_cases, found.n_seeds, found.n_pairs, found.n_unpaired) == (2, 1, 4, 0)
    # the four equally likely draws of two cases give 0.1, 0.15, 0.15, 0.2
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.2)


def test_paired_difference_counts_what_it_cannot_pair() -> None:
    table = pd.concat(
        [
            cases("random", 0, {("a", 1): 0.5, ("b", 1): np.nan, ("c", 1): np.nan, ("d", 1): 0.5}),
            cases("usim-f", 0, {("a", 1): 0.7, ("b", 1): 0.0, ("c", 1): np.nan}),
        ]
    )
    found = paired_difference(table, "usim-f", generator("x"))
    assert found.mean == pytest.approx(0.2)
    assert (found.n_cases, found.n_pairs) == (1, 1)
    assert found.n_unpaired == 2, "b: present on one side; d: missing; c is absent on both and no loss"
    assert np.isnan(found.low), "one case has no interval"


def test_paired_difference_without_its_reference_is_empty() -> None:
    found = paired_difference(cases("usim-f", 0, {("a", 1): 0.7}), "usim-f", generator("x"))
    assert found.n_pairs == 0
    assert np.isnan(found.mean)


def test_paired_interval_covers_a_planted_difference_at_about_its_level() -> None:
    """Of 100 planted studies with a true difference of 0.03, about 95 % of the intervals hold it."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        base = rng.uniform(0.4, 0.8, size=25)
        shifted = base + rng.normal(0.03, 0.05, size=25)
        names = [(f"c{i}", 1) for i in range(25)]
        table = pd.concat(
            [
                cases("random", 0, dict(zip(names, base, strict=True)), last=0),
                cases("usim-f", 0, dict(zip(names, shifted, strict=True)), last=0),
            ]
        )
        found = paired_difference(table, "usim-f", rng, n_resamples=500)
        held += found.low <= 0.03 <= found.high
    assert 86 <= held <= 99
