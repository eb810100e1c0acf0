from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from albench.stats.crossed import bootstrap_means, crossed_test, standard_error


def made(rng: np.random.Generator, shape: tuple[int, int, int], sd: tuple[float, float, float]) -> np.ndarray:
    """Differences with no mean: what varies with the seed, the case, and the rest."""
    n_seeds, n_cases, _ = shape
    seed, case = rng.normal(0, sd[0], (n_seeds, 1, 1)), rng.normal(0, sd[1], (1, n_cases, 1))
    return seed + case + rng.normal(0, sd[2], shape)


def test_the_standard_error_is_that_of_the_two_way_analysis_of_variance() -> None:
    values = made(np.random.default_rng(0), (4, 7, 1), (0.02, 0.02, 0.02))
    table = values[:, :, 0]
    total = table.mean()
    seed = sum(7 * (row.mean() - total) ** 2 for row in table) / 3
    case = sum(4 * (column.mean() - total) ** 2 for column in table.T) / 6
    rest = sum(
        (table[s, c] - table[s].mean() - table[:, c].mean() + total) ** 2 for s in range(4) for c in range(7)
    ) / (3 * 6)
    error, df = standard_error(values)
    assert error == pytest.approx(np.sqrt((seed + case - rest) / 28))
    assert df == pytest.approx((seed + case - rest) ** 2 / (seed**2 / 3 + case**2 / 6 + rest**2 / 18))
    result = crossed_test(values, np.random.default_rng(1))
    assert result.p == pytest.approx(2 * stats.t.sf(abs(total) / error, df))
    assert result.p_greater == pytest.approx(stats.t.sf(total / error, df))


def test_with_cases_alike_it_is_the_t_test_over_seeds() -> None:
    values = np.random.default_rng(2).normal(0.01, 0.02, (5, 1, 1)) + np.zeros((5, 20, 2))
    result = crossed_test(values, np.random.default_rng(1))
    assert result.p == pytest.approx(stats.ttest_1samp(values[:, 0, 0], 0).pvalue)
    assert result.df == 4


@pytest.mark.parametrize(
    "sd", [(0.01, 0.0, 0.03), (0.0, 0.03, 0.03), (0.01, 0.03, 0.03)], ids=["seeds vary", "cases vary", "both"]
)
def test_no_difference_is_rejected_at_about_its_level_and_covered_by_the_interval(
    sd: tuple[float, float, float],
) -> None:
    """300 null studies of 5 seeds, 30 cases: the test rejects about 5 %, the bootstrap covers at least about 95 %."""
    rng = np.random.default_rng(4)
    results = [crossed_test(made(rng, (5, 30, 2), sd), rng) for _ in range(300)]
    rejected = sum(result.p < 0.05 for result in results)
    covered = sum(result.low <= 0 <= result.high for result in results)
    assert 3 <= rejected <= 27, "binomial 99.9 % around 15, the lower end free: the test may be cautious"
    assert covered >= 274, "binomial 99 % around 285; wider than needed is allowed"


def test_counting_cases_as_if_one_training_were_many_rejects_far_too_often() -> None:
    """Why seeds and cases are crossed: a t-test over all (seed, case) values of the same null studies."""
    rng = np.random.default_rng(5)
    studies = [made(rng, (5, 30, 1), (0.02, 0.0, 0.02)) for _ in range(100)]
    naive = sum(stats.ttest_1samp(values.ravel(), 0).pvalue < 0.05 for values in studies)
    crossed = sum(crossed_test(values, rng).p < 0.05 for values in studies)
    assert naive > 40
    assert crossed <= 13


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(6)
    found = [crossed_test(0.03 + made(rng, (5, 30, 2), (0.01, 0.02, 0.03)), rng) for _ in range(50)]
    assert sum(result.p_greater < 0.05 for result in found) >= 45
    assert np.mean([result.mean for result in found]) == pytest.approx(0.03, abs=0.004)


def test_few_seeds_or_a_single_case_have_an_estimate_alone() -> None:
    for shape in ((2, 20, 1), (5, 1, 1)):
        result = crossed_test(made(np.random.default_rng(0), shape, (0.01, 0.01, 0.01)), np.random.default_rng(0))
        assert np.isfinite(result.mean)
        assert np.isnan([result.p, result.p_greater, result.low, result.high, result.df]).all()
        assert (result.n_seeds, result.n_cases) == shape[:2]


def test_missing_values_are_left_out_and_counted() -> None:
    values = made(np.random.default_rng(0), (5, 8, 2), (0.01, 0.02, 0.02)) + 0.05
    values[2] = np.nan
    values[:, 3, 1] = np.nan
    result = crossed_test(values, np.random.default_rng(0))
    kept = values[[0, 1, 3, 4]]
    assert result.mean == pytest.approx((kept[:, :, 0].mean() + np.nanmean(kept[:, :, 1])) / 2)
    assert (result.n_seeds, result.n_cases, result.n_pairs, result.n_unpaired) == (4, 8, 60, 20)
    whole = values[[0, 1, 3, 4]][:, [0, 1, 2, 4, 5, 6, 7]]
    assert standard_error(kept)[0] == pytest.approx(standard_error(whole)[0], rel=0.2)
    nothing = crossed_test(np.full((3, 4, 1), np.nan), np.random.default_rng(0))
    assert (nothing.n_pairs, nothing.n_unpaired) == (0, 12)
    assert np.isnan(nothing.mean)


def test_bootstrap_means_are_means_of_resampled_seeds_and_cases() -> None:
    rng = np.random.default_rng(7)
    values = made(rng, (4, 6, 2), (0.1, 0.1, 0.1))
    values[1, 2, 0] = np.nan
    found = bootstrap_means(values, np.random.default_rng(3), n_resamples=50)
    draws = np.random.default_rng(3)
    seeds, cases = draws.multinomial(4, [1 / 4] * 4, size=50), draws.multinomial(6, [1 / 6] * 6, size=50)
    for mean, of_seeds, of_cases in zip(found, seeds, cases, strict=True):
        drawn = values[np.repeat(np.arange(4), of_seeds)][:, np.repeat(np.arange(6), of_cases)]
        assert mean == pytest.approx(np.nanmean([np.nanmean(drawn[:, :, 0]), drawn[:, :, 1].mean()]))
