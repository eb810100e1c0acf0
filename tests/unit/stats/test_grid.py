from __future__ import annotations

import numpy as np
import pytest

from albench.results.tables import mean_dice
from albench.stats.curves import aubc
from albench.stats.grid import dice_grid, nan_mean, round_weights, seed_means
from tests.support.stats_fixtures import made_results


def test_a_contrast_is_the_difference_of_the_curves_scores() -> None:
    results = made_results({"random": 0.0, "usim-f": 0.03}, np.random.default_rng(0), n_rounds=4)
    grid = dice_grid(results)
    curves = mean_dice(results[results["strategy"] != "full"]).set_index(["strategy", "seed", "round"])["dice"]
    for endpoint in ("aubc", "final"):
        difference = grid.contrast({"usim-f": 1.0, "random": -1.0}, endpoint)
        assert difference.shape == (4, 10, 2)
        for seed in range(4):
            ours, theirs = (curves[strategy, seed].to_numpy() for strategy in ("usim-f", "random"))
            expected = aubc(ours) - aubc(theirs) if endpoint == "aubc" else ours[-1] - theirs[-1]
            assert difference[seed].mean() == pytest.approx(expected)


def test_the_grid_joins_by_name_whatever_the_order_of_the_rows() -> None:
    results = made_results({"random": 0.0, "usim-f": 0.03}, np.random.default_rng(0))
    shuffled = results.sample(frac=1, random_state=3)
    np.testing.assert_array_equal(dice_grid(results).dice, dice_grid(shuffled).dice)
    grid = dice_grid(results)
    row = results[(results["strategy"] == "usim-f") & (results["seed"] == 2) & (results["round"] == 1)]
    row = row[(row["case"] == "c07") & (row["label"] == 2)]
    assert grid.dice[grid.strategies.index("usim-f"), 2, 1, 7, 1] == row["dice"].iloc[0]
    assert "full" not in grid.strategies


def test_what_is_missing_in_any_round_has_no_area() -> None:
    results = made_results({"random": 0.0, "usim-f": 0.03}, np.random.default_rng(0))
    lost = (results["strategy"] == "random") & (results["seed"] == 1) & (results["round"] == 1)
    absent = (results["case"] == "c03") & (results["label"] == 2) & (results["round"] == 0)
    results = results.assign(dice=results["dice"].where(~absent))[~lost]
    difference = dice_grid(results).contrast({"usim-f": 1.0, "random": -1.0}, "aubc")
    assert np.isnan(difference[1]).all()
    assert np.isnan(difference[:, 3, 1]).all()
    assert np.isnan(difference).sum() == 20 + 3
    final = dice_grid(results).contrast({"usim-f": 1.0, "random": -1.0}, "final")
    assert not np.isnan(final).any(), "the last round is whole"


def test_round_weights_are_those_of_the_trapezoid() -> None:
    np.testing.assert_allclose(round_weights(4, "aubc"), [1 / 6, 1 / 3, 1 / 3, 1 / 6])
    np.testing.assert_allclose(round_weights(3, "final"), [0, 0, 1])
    np.testing.assert_allclose(round_weights(1, "aubc"), [1])


def test_seed_means_are_the_mean_dice_of_results() -> None:
    results = made_results({"random": 0.0, "usim-f": 0.03}, np.random.default_rng(1))
    results.loc[5, "dice"] = np.nan
    grid = dice_grid(results)
    curves = mean_dice(results[results["strategy"] != "full"]).set_index(["strategy", "seed", "round"])["dice"]
    means = seed_means(grid)
    for (strategy, seed, number), dice in curves.items():
        assert means[grid.strategies.index(strategy), seed, number] == pytest.approx(dice)


def test_nan_mean_leaves_nan_out_and_is_nan_for_nothing() -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 5.0]])
    np.testing.assert_allclose(nan_mean(values, 1), [2, 5])
    np.testing.assert_array_equal(nan_mean(values, 0), [1, np.nan, 4])
