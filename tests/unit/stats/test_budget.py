from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.stats.budget import budget_table, budget_to_reach
from albench.stats.efficiency import foreground_efficiency, study_start


def test_the_budget_is_where_the_line_between_rounds_crosses_the_target() -> None:
    assert budget_to_reach([100, 200, 300], [0.5, 0.7, 0.8], 0.65) == pytest.approx(175)
    assert budget_to_reach([100, 200, 300], [0.5, 0.7, 0.8], 0.7) == pytest.approx(200)
    assert budget_to_reach([100, 200, 300], [0.5, 0.7, 0.6], 0.65) == pytest.approx(175), "the first crossing"
    assert budget_to_reach([100, 200, 300], [0.5, 0.7, 0.8], 0.4) == 100, "an upper bound"
    assert np.isnan(budget_to_reach([100, 200, 300], [0.5, 0.7, 0.8], 0.81))
    assert np.isnan(budget_to_reach([100, 200], [np.nan, 0.8], 0.7)), "where it crossed is not known"


@given(st.lists(st.floats(0.1, 0.9), min_size=2, max_size=8), st.floats(0.1, 0.9))
def test_interpolating_at_the_budget_gives_the_target(dice: list[float], target: float) -> None:
    budgets = np.arange(1, len(dice) + 1) * 50.0
    found = budget_to_reach(budgets, dice, target)
    if np.isnan(found):
        assert max(dice) < target
    elif dice[0] < target:
        assert np.interp(found, budgets, dice) == pytest.approx(target)
        assert all(np.interp(x, budgets, dice) <= target + 1e-9 for x in np.linspace(50, found, 20))


def curves(**by_strategy: list[list[float]]) -> pd.DataFrame:
    """Mean Dice by seed and round; the ceiling has one round a seed."""
    rows = []
    for strategy, seeds in by_strategy.items():
        for seed, values in enumerate(seeds):
            for number, dice in enumerate(values):
                key = {"dataset": "d", "protocol": "q", "strategy": strategy, "seed": seed, "round": number}
                budget = {"n_annotated_units": 100 * (number + 1), "n_annotated_voxels": 1000 * (number + 1)}
                budget |= {"n_annotated_fg_voxels": 10 * (number + 1) * (2 if strategy == "usim" else 1)}
                rows.append({**key, **budget, "annotation_s": np.nan, "dice": dice})
    return pd.DataFrame(rows)


def test_annotation_saved_is_paired_by_seed_against_random() -> None:
    table = (
        budget_table(
            curves(
                random=[[0.5, 0.7, 0.9], [0.5, 0.9, 0.95]],
                usim=[[0.5, 0.9, 0.95], [0.5, 0.9, 0.9]],
                full=[[1.0], [1.0]],
            )
        )
        .set_index(["target", "measure", "strategy"])
        .sort_index()
    )
    units = table.loc[(0.9, "n_annotated_units")]
    # random needs 300 and 200, usim 200 and 200: it saves 1/3 and nothing
    assert units.loc["random", "budget"] == pytest.approx(250)
    assert units.loc["usim", "budget"] == pytest.approx(200)
    assert units.loc["usim", "saved"] == pytest.approx((1 / 3 + 0) / 2)
    assert units.loc["usim", "n_saved"] == 2
    assert np.isnan(units.loc["random", "saved"])
    foreground = table.loc[(0.9, "n_annotated_fg_voxels")]
    assert foreground.loc["usim", "saved"] == pytest.approx((1 - 40 / 30 + 1 - 40 / 20) / 2), "but not in foreground"
    high = table.loc[(0.95, "n_annotated_units")]
    assert (high.loc["usim", "n_reached"], high.loc["usim", "n_seeds"]) == (1, 2)
    assert np.isnan(high.loc["usim", "budget"]), "not reached by all"
    assert np.isnan(high.loc["usim", "saved"]), "no seed in which both reach it"
    assert "annotation_s" not in table.index.get_level_values("measure"), "nobody counted it"


def test_without_a_ceiling_nothing_is_reached() -> None:
    table = budget_table(curves(random=[[0.5, 0.9]]))
    assert (table["n_seeds"] == 0).all()
    assert table["budget"].isna().all()


def test_a_seed_without_a_ceiling_takes_the_mean_of_the_others() -> None:
    table = budget_table(curves(random=[[0.45, 0.9], [0.45, 0.9]], full=[[0.8]]))
    row = table[(table["target"] == 0.9) & (table["measure"] == "n_annotated_units")].iloc[0]
    assert (row["n_seeds"], row["n_reached"]) == (2, 2)
    assert row["budget"] == pytest.approx(100 + 100 * (0.72 - 0.45) / 0.45)


def test_efficiency_recovers_a_planted_rate_with_its_standard_error() -> None:
    """The error of a least-squares fit with one parameter: sqrt(s^2 / sum of squared slopes), by plain formula."""
    rng = np.random.default_rng(0)
    x = np.tile(np.linspace(0.01, 0.4, 8), 3)
    slope = lambda gamma: 0.4 * (x - 0.01) * np.exp(-gamma * (x - 0.01))  # noqa: E731
    estimates, errors = [], []
    for _ in range(60):
        y = 0.9 - 0.4 * np.exp(-7 * (x - 0.01)) + rng.normal(0, 0.01, x.size)
        fit = foreground_efficiency(x, y, (0.01, 0.5), 0.9)
        rest = y - (0.9 - 0.4 * np.exp(-fit.gamma * (x - 0.01)))
        plain = np.sqrt((rest**2).sum() / (x.size - 1) / (slope(fit.gamma) ** 2).sum())
        assert fit.standard_error == pytest.approx(plain, rel=1e-3)
        assert fit.n_points == 24
        estimates.append(fit.gamma)
        errors.append(fit.standard_error)
    assert np.mean(estimates) == pytest.approx(7, abs=0.15)
    assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.35), "the error, not the variance"


@pytest.mark.parametrize(
    ("x", "ceiling", "reason"),
    [([0.1], 0.9, "fewer than 2"), ([0.1, 0.2], 0.4, "no ceiling"), ([0.1, 0.1], 0.9, "nothing queried")],
)
def test_efficiency_says_why_there_is_none(x: list[float], ceiling: float, reason: str) -> None:
    fit = foreground_efficiency(np.array(x), np.full(len(x), 0.5), (0.1, 0.5), ceiling)
    assert reason in fit.reason
    assert np.isnan(fit.gamma)


def test_a_curve_that_is_at_the_ceiling_at_once_has_no_rate() -> None:
    """Where warnings are shown, as for users, and not raised, as in these tests."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        fit = foreground_efficiency(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.9, 0.9]), (0.1, 0.5), 0.9)
    assert np.isnan(fit.gamma)
    assert fit.reason == "the fit did not converge"
    assert not shown


def test_the_start_is_the_smallest_share_and_the_mean_dice_there() -> None:
    share, dice = np.array([0.2, 0.1, 0.1, np.nan]), np.array([0.9, 0.4, 0.6, 0.1])
    assert study_start(share, dice) == (0.1, pytest.approx(0.5))
    assert np.isnan(study_start(share * np.nan, dice)).all()
