from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from albench.stats.crossed import LEAST_P, crossed_test, variance_components


def made(rng: np.random.Generator, shape: tuple[int, int, int], sd: tuple[float, float, float]) -> np.ndarray:
    """Differences with no mean: what varies with the seed, the case, and the rest."""
    n_seeds, n_cases, _ = shape
    seed, case = rng.normal(0, sd[0], (n_seeds, 1, 1)), rng.normal(0, sd[1], (1, n_cases, 1))
    return seed + case + rng.normal(0, sd[2], shape)


def test_the_variance_is_that_of_the_two_way_analysis() -> None:
    values = made(np.random.default_rng(0), (4, 7, 1), (0.02, 0.02, 0.02))
    table = values[:, :, 0]
    total = table.mean()
    seed = sum(7 * (row.mean() - total) ** 2 for row in table) / 3
    case = sum(4 * (column.mean() - total) ** 2 for column in table.T) / 6
    rest = sum(
        (table[s, c] - table[s].mean() - table[:, c].mean() + total) ** 2 for s in range(4) for c in range(7)
    ) / (3 * 6)
    of_seed, of_case, of_rest = variance_components(values)
    assert of_seed == (pytest.approx(seed / 28), 3)
    assert of_case == (pytest.approx(case / 28), 6)
    assert of_rest == pytest.approx(rest / 28)


def test_the_interval_is_banerjees_and_p_its_inversion() -> None:
    values = made(np.random.default_rng(0), (4, 7, 1), (0.02, 0.04, 0.02))
    (of_seed, _), (of_case, _), of_rest = variance_components(values)
    assert of_case > of_rest
    result = crossed_test(values)
    half = np.sqrt(of_seed * stats.t.ppf(0.975, 3) ** 2 + (of_case - of_rest) * stats.t.ppf(0.975, 6) ** 2)
    assert (result.high - result.low) / 2 == pytest.approx(half)
    assert (result.high + result.low) / 2 == pytest.approx(result.mean)
    at_p = of_seed * stats.t.isf(result.p / 2, 3) ** 2 + (of_case - of_rest) * stats.t.isf(result.p / 2, 6) ** 2
    assert np.sqrt(at_p) == pytest.approx(abs(result.mean), rel=1e-6)


@pytest.mark.parametrize("shift", [-0.1, -0.03, -0.01, 0.0, 0.01, 0.03, 0.1])
def test_the_interval_leaves_0_out_just_where_p_is_below_5_percent(shift: float) -> None:
    result = crossed_test(shift + made(np.random.default_rng(3), (5, 12, 2), (0.01, 0.02, 0.02)))
    assert (result.p < 0.05) == (result.low > 0 or result.high < 0)
    assert LEAST_P <= result.p <= 1


def test_with_cases_alike_it_is_the_t_test_over_seeds() -> None:
    values = np.random.default_rng(2).normal(0.01, 0.02, (5, 1, 1)) + np.zeros((5, 20, 2))
    assert crossed_test(values).p == pytest.approx(stats.ttest_1samp(values[:, 0, 0], 0).pvalue)


def test_differences_that_are_all_the_same_leave_no_doubt_and_none_at_all_no_finding() -> None:
    assert crossed_test(np.full((3, 5, 1), 0.1)).p == LEAST_P
    assert crossed_test(np.zeros((3, 5, 1))).p == 1
    assert crossed_test(np.full((3, 5, 1), 1e-17)).p == 1, "rounding"


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize(
    "sd",
    [(0.01, 0.0, 0.03), (0.0, 0.03, 0.03), (0.01, 0.03, 0.03), (0.02, 0.01, 0.01)],
    ids=["seeds vary", "cases vary", "both", "seeds far more"],
)
def test_no_difference_is_rejected_at_most_at_its_level_in_the_tails_too(
    sd: tuple[float, float, float], n_seeds: int
) -> None:
    """1,000 null studies; 1 % stands for what Holm's correction over pairs needs."""
    rng = np.random.default_rng(4)
    p = np.array([crossed_test(made(rng, (n_seeds, 20, 1), sd)).p for _ in range(1000)])
    assert (p < 0.05).sum() <= 72, "binomial 99.9 % around 50; the test may be cautious"
    assert (p < 0.01).sum() <= 21, "binomial 99.9 % around 10; with Satterthwaite's degrees of freedom up to 32"


def test_counting_cases_as_if_one_training_were_many_rejects_far_too_often() -> None:
    """Why seeds and cases are crossed: a t-test over all (seed, case) values of the same null studies."""
    rng = np.random.default_rng(5)
    studies = [made(rng, (5, 30, 1), (0.02, 0.0, 0.02)) for _ in range(100)]
    naive = sum(stats.ttest_1samp(values.ravel(), 0).pvalue < 0.05 for values in studies)
    crossed = sum(crossed_test(values).p < 0.05 for values in studies)
    assert naive > 40
    assert crossed <= 13


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(6)
    found = [crossed_test(0.03 + made(rng, (5, 30, 2), (0.01, 0.02, 0.03))) for _ in range(50)]
    assert sum(result.low > 0 for result in found) >= 45
    assert np.mean([result.mean for result in found]) == pytest.approx(0.03, abs=0.004)


def test_few_seeds_or_a_single_case_have_an_estimate_alone() -> None:
    for shape in ((2, 20, 1), (5, 1, 1)):
        result = crossed_test(made(np.random.default_rng(0), shape, (0.01, 0.01, 0.01)))
        assert np.isfinite(result.mean)
        assert np.isnan([result.p, result.low, result.high]).all()
        assert (result.n_seeds, result.n_cases) == shape[:2]


def test_missing_values_are_left_out_and_counted() -> None:
    values = made(np.random.default_rng(0), (5, 8, 2), (0.01, 0.02, 0.02)) + 0.05
    values[2] = np.nan
    values[:, 3, 1] = np.nan
    result = crossed_test(values)
    kept = values[[0, 1, 3, 4]]
    assert result.mean == pytest.approx((kept[:, :, 0].mean() + np.nanmean(kept[:, :, 1])) / 2)
    assert (result.n_seeds, result.n_cases, result.n_pairs, result.n_unpaired) == (4, 8, 60, 20)
    whole = values[[0, 1, 3, 4]][:, [0, 1, 2, 4, 5, 6, 7]]
    with_gap, without = (sum(part[0] for part in variance_components(own)[:2]) for own in (kept, whole))
    assert with_gap == pytest.approx(without, rel=0.4)
    nothing = crossed_test(np.full((3, 4, 1), np.nan))
    assert (nothing.n_pairs, nothing.n_unpaired) == (0, 12)
    assert np.isnan(nothing.mean)
