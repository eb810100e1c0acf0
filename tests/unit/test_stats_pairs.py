from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from stats_fixtures import made_grid, made_results

from albench.results import mean_dice
from albench.stats.grid import dice_grid
from albench.stats.pairs import case_test, holm, pair_table, paired_t, seed_test
from albench.stats.penalty import penalty_matrix


@pytest.fixture(autouse=True, scope="module")
def no_collection() -> Iterator[None]:
    """statsmodels collects garbage in every correction, a tenth of a second each time under pytest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda: 0)
        yield


@given(hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_is_the_step_down_procedure(p: np.ndarray) -> None:
    order = np.argsort(p, kind="stable")
    expected, so_far = np.empty_like(p), 0.0
    for rank, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p) - rank) * p[index]))
        expected[index] = so_far
    np.testing.assert_allclose(holm(p), expected, atol=1e-12)
    with_gap = holm(np.append(p, np.nan))
    np.testing.assert_allclose(with_gap[:-1], expected, atol=1e-12)
    assert np.isnan(with_gap[-1])


def test_holm_keeps_the_family_wise_error_on_null_studies() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        means = rng.normal(0, 0.01, (6, 5))
        p = [paired_t(means[a] - means[b]) for a in range(6) for b in range(a)]
        wrong += bool((holm(np.array(p)) < 0.05).any())
    assert wrong <= 17, "binomial 99.9 % around 7.5"


def test_the_tests_over_seeds_and_over_cases_are_scipys() -> None:
    difference = np.random.default_rng(1).normal(0.01, 0.03, (4, 15, 2))
    by_seed, by_case = difference.mean(axis=(1, 2)), difference.mean(axis=(0, 2))
    assert seed_test(difference) == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
    assert case_test(difference) == pytest.approx(stats.wilcoxon(by_case).pvalue)
    assert np.isnan(seed_test(difference[:1]))
    assert np.isnan(case_test(difference[:, :1]))
    assert case_test(np.zeros((3, 5, 1))) == seed_test(np.zeros((3, 5, 1))) == 1
    assert paired_t(np.full(3, 0.1)) == 0, "the same gain every time"


def test_every_pair_is_compared_once_and_corrected_within_its_endpoint() -> None:
    results = made_results({"random": 0.0, "entropy": 0.0, "usim-f": 0.1}, np.random.default_rng(2))
    table = pair_table(dice_grid(results), "d", "quick")
    assert len(table) == 2 * 3
    final = table[table["endpoint"] == "final"].set_index(["strategy", "reference"])
    curves = mean_dice(results).set_index(["strategy", "seed", "round"])["dice"].unstack("seed")
    row = final.loc[("random", "usim-f")]
    expected = curves.loc[("random", 2)] - curves.loc[("usim-f", 2)]
    assert row["mean"] == pytest.approx(expected.mean())
    assert row["p_seeds"] == pytest.approx(stats.ttest_1samp(expected, 0).pvalue)
    assert (row["n_seeds"], row["n_cases"], row["n_pairs"], row["n_unpaired"]) == (4, 10, 80, 0)
    assert row["high"] < 0
    for column in ("p", "p_seeds", "p_cases"):
        np.testing.assert_allclose(final[f"{column}_holm"], holm(final[column].to_numpy()))
    again = pair_table(dice_grid(results), "d", "quick")
    assert table.equals(again), "the same report each time"


def test_one_strategy_has_no_pairs() -> None:
    assert pair_table(made_grid({"random": 0.0}, np.random.default_rng(0)), "d", "q").empty


def test_the_penalty_matrix_counts_significant_wins_budget_by_budget() -> None:
    results = made_results(
        {"random": 0.0, "entropy": 0.01, "usim-f": 0.05}, np.random.default_rng(3), n_seeds=5, n_rounds=5
    )
    grid = dice_grid(results)
    curves = mean_dice(results[results["strategy"] != "full"]).set_index(["strategy", "seed", "round"])["dice"]
    found = penalty_matrix(grid)
    for i, one in enumerate(grid.strategies):
        for j, other in enumerate(grid.strategies):
            if i == j:
                continue
            wins = 0
            for number in range(1, 5):
                ours, theirs = ([curves[name, seed, number] for seed in range(5)] for name in (one, other))
                wins += np.mean(ours) > np.mean(theirs) and stats.ttest_rel(ours, theirs).pvalue < 0.05
            assert found[i, j] == pytest.approx(wins / 4)
    assert np.isnan(np.diag(found)).all()
    assert np.nanmax(found) > 0.5


def test_a_penalty_matrix_needs_two_seeds_and_a_second_round() -> None:
    rng = np.random.default_rng(0)
    assert np.isnan(penalty_matrix(made_grid({"a": 0.0, "b": 0.1}, rng, n_seeds=1))).all()
    assert np.isnan(penalty_matrix(made_grid({"a": 0.0, "b": 0.1}, rng, n_rounds=1))).all()
