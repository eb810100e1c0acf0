from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from albench.results.tables import mean_dice
from albench.stats.grid import dice_grid
from albench.stats.intervals import paired_t
from albench.stats.pairs import holm, pair_table, pair_tables, pairs_of
from albench.stats.penalty import penalty_matrix
from tests.support.stats_fixtures import made_grid, made_results


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


def test_the_t_test_over_seeds_is_scipys() -> None:
    difference = np.random.default_rng(1).normal(0.01, 0.03, 4)
    assert paired_t(np.append(difference, np.nan)) == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)
    assert np.isnan(paired_t(difference[:1]))
    assert paired_t(np.zeros(3)) == 1
    assert paired_t(np.full(3, 0.1)) < 1e-9, "the same gain every time"


def test_every_pair_is_compared_once_and_corrected_within_its_endpoint() -> None:
    results = made_results({"random": 0.0, "entropy": 0.0, "usim-f": 0.1}, np.random.default_rng(2))
    table = pair_tables(results)
    assert list(table["dataset"]) == ["d"] * 2 * 3
    final = table[table["endpoint"] == "final"].set_index(["strategy", "reference"])
    curves = mean_dice(results).set_index(["strategy", "seed", "round"])["dice"].unstack("seed")
    row = final.loc[("usim-f", "random")]
    expected = curves.loc[("usim-f", 2)] - curves.loc[("random", 2)]
    assert row["mean"] == pytest.approx(expected.mean())
    assert (row["n_seeds"], row["n_cases"], row["n_pairs"], row["n_unpaired"]) == (4, 10, 80, 0)
    assert row["low"] > 0
    for endpoint in ("aubc", "final"):
        own = table[table["endpoint"] == endpoint]
        np.testing.assert_allclose(own["p_two_sided_holm"], holm(own["p_two_sided"].to_numpy()))
    assert (final["verdict"] == "").all(), "no verdict rests on the last round"
    assert table.equals(pair_tables(results)), "the same report each time"


def test_pairs_read_the_same_from_either_side() -> None:
    grid = made_grid({"random": 0.0, "entropy": 0.001, "usim-f": 0.1}, np.random.default_rng(2))
    pairs = pairs_of(pair_table(grid))
    assert len(pairs) == 6
    ours, theirs = pairs["usim-f", "random"], pairs["random", "usim-f"]
    assert (ours.verdict, theirs.verdict) == ("better", "worse")
    assert (ours.mean, ours.low, ours.high) == (-theirs.mean, -theirs.high, -theirs.low)
    assert (ours.p, ours.p_holm, ours.n_pairs) == (theirs.p, theirs.p_holm, theirs.n_pairs)
    assert ours.low < ours.mean < ours.high
    assert pairs["entropy", "random"].verdict == "no evidence"


def test_fewer_than_three_seeds_have_no_p_and_no_verdict() -> None:
    pairs = pairs_of(pair_table(made_grid({"random": 0.0, "usim-f": 0.3}, np.random.default_rng(0), n_seeds=2)))
    pair = pairs["usim-f", "random"]
    assert pair.verdict == "not tested"
    assert pair.mean > 0.1
    assert np.isnan([pair.p, pair.p_holm, pair.low, pair.high]).all()


def test_one_strategy_has_no_pairs() -> None:
    assert pair_table(made_grid({"random": 0.0}, np.random.default_rng(0))).empty
    assert pair_tables(made_results({"random": 0.0}, np.random.default_rng(0))).empty


@pytest.mark.slow
@pytest.mark.long
def test_equal_strategies_are_told_apart_in_at_most_5_percent_of_studies() -> None:
    """100 null studies of 8 strategies and 28 pairs: any verdict at all counts."""
    rng = np.random.default_rng(7)
    names = dict.fromkeys(("random", "a", "b", "c", "d", "e", "f", "g"), 0.0)
    wrong = 0
    for _ in range(100):
        grid = made_grid(names, rng, n_seeds=5, n_cases=20, chain_sd=0.006, case_sd=0.01)
        wrong += any(pair.verdict != "no evidence" for pair in pairs_of(pair_table(grid)).values())
    assert wrong <= 13, "binomial 99.9 % around 5; cases resampled alone tell some apart in nearly every study"


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
