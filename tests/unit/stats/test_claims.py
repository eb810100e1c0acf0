from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from albench.stats.claims import Claim, at_least, joint_claims, study_claims
from albench.stats.crossed import crossed_test
from albench.stats.grid import DiceGrid
from albench.stats.pairs import Pair, holm, pair_table, pairs_of
from albench.stats.ranks import Ranks, nemenyi_difference, rank_strategies
from albench.stats.tables import ALL, compute_statistics
from tests.support.stats_fixtures import made_grid, made_results

FIELD = {"random": 0.0, "entropy": 0.0, "mcd": 0.0, "badge": 0.0, "usim-f": 0.0}


def ask(
    effects: dict[str, float], seed: int = 0, practicable: list[str] | None = None, **settings: float
) -> list[Claim]:
    grid = made_grid(effects, np.random.default_rng(seed), **settings)
    return study_claims(grid, pairs_of(pair_table(grid)), practicable or list(effects))


def verdicts(claims: list[Claim]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for claim in claims:
        found.setdefault(claim.claim.split(" (")[0], set()).add(claim.verdict)
    return found


def test_true_claims_are_supported() -> None:
    found = verdicts(ask({"random": 0.0, "entropy": 0.1, "mcd": 0.1, "badge": 0.09, "usim-f": 0.2}))
    assert found == {
        "Most of the field beats random": {"supported"},
        "The field beats random on average": {"supported"},
        "usim-f beats the paper's baselines on average": {"supported"},
        "usim-f beats every one of the paper's baselines": {"supported"},
    }


def test_false_claims_are_contradicted() -> None:
    found = verdicts(ask({"random": 0.1, "entropy": 0.0, "mcd": 0.0, "badge": 0.0, "usim-f": -0.1}))
    assert {"contradicted"} == set().union(*found.values())


def test_one_better_baseline_contradicts_that_usim_beats_every_one() -> None:
    found = verdicts(ask({"random": 0.0, "entropy": 0.0, "mcd": 0.0, "badge": 0.3, "usim-f": 0.15}))
    assert found["usim-f beats every one of the paper's baselines"] == {"contradicted"}
    assert found["usim-f beats the paper's baselines on average"] == {"supported"}


def test_averages_have_a_crossed_test_corrected_among_themselves() -> None:
    grid = made_grid(FIELD | {"usim-c": 0.01}, np.random.default_rng(1))
    claims = [
        claim for claim in study_claims(grid, pairs_of(pair_table(grid)), grid.strategies) if "average" in claim.claim
    ]
    assert len(claims) == 3
    weights = {"usim-f": 1.0} | dict.fromkeys(["random", "entropy", "mcd", "badge"], -0.25)
    expected = crossed_test(grid.contrast(weights, "aubc"))
    found = next(claim for claim in claims if claim.claim.startswith("usim-f"))
    assert found.estimate == pytest.approx(expected.mean)
    assert (found.low, found.high, found.p_two_sided) == pytest.approx((expected.low, expected.high, expected.p))
    raw = np.array([claim.p_two_sided for claim in claims])
    np.testing.assert_allclose([claim.p_two_sided_holm for claim in claims], holm(raw))


def test_what_is_a_pair_is_left_to_the_pair_table() -> None:
    assert ask({"random": 0.0, "usim-f": 0.1}) == []


@pytest.mark.slow
@pytest.mark.long
def test_claims_about_equal_strategies_are_decided_at_most_at_the_level() -> None:
    wrong = 0
    for seed in range(100):
        claims = ask(FIELD, seed, n_cases=8, n_labels=1)
        wrong += any(claim.verdict != "not supported" for claim in claims)
    assert wrong <= 13, "binomial 99.9 % around 5"


def test_two_seeds_cannot_tell() -> None:
    claims = ask({"random": 0.0, "entropy": 0.3, "usim-f": 0.5}, n_seeds=2)
    assert {claim.verdict for claim in claims} == {"cannot tell: too few seeds or cases"}
    assert all(np.isnan(claim.p_two_sided) for claim in claims)
    assert all(claim.n_seeds == 2 for claim in claims)


def test_strategies_that_read_ground_truth_count_in_no_claim() -> None:
    effects = {"random": 0.0, "random-fg66": 0.5, "entropy": 0.0, "usim-f": 0.02}
    with_it = ask(effects, practicable=[name for name in effects if name != "random-fg66"])
    assert not any("random-fg66" in claim.claim for claim in with_it)
    assert {claim.n_strategies for claim in with_it} == {2}
    results = made_results(effects, np.random.default_rng(0))
    tables = compute_statistics(results, made_runs(results), lambda name: name.startswith("random-fg"))
    assert not tables.claims["claim"].str.contains("random-fg66").any()
    assert "random-fg66" not in tables.ranks.ranks
    assert "random-fg66" in set(tables.scores["strategy"]), "described like the others"


def made_pair(mean: float, p: float) -> Pair:
    return Pair(mean, mean - 0.1, mean + 0.1, p / 3, p, 5, 10, 100, 0, 0.01)


@pytest.mark.parametrize(
    ("u", "decides", "verdict"),
    [(1, "a", "supported"), (2, "b", "supported"), (3, "c", "not supported"), (4, "d", "contradicted")],
)
def test_at_least_u_is_counted_in_the_pairs(u: int, decides: str, verdict: str) -> None:
    """Two pairs are better, one is worse: the u-th from the top decides, with its own numbers."""
    pairs = {
        ("c", "z"): made_pair(0.3, 0.4),
        ("b", "z"): made_pair(0.1, 0.04),
        ("d", "z"): made_pair(-0.2, 0.01),
        ("a", "z"): made_pair(0.2, 0.001),
    }
    claim = at_least(pairs, list(pairs), u, "so many of four")
    pair = pairs[decides, "z"]
    assert f"{decides} against z decides" in claim.test
    assert claim.verdict == verdict
    assert (claim.estimate, claim.low, claim.high) == (pair.mean, pair.low, pair.high)
    assert (claim.p_two_sided, claim.p_two_sided_holm) == (pair.p, pair.p_holm)


def test_a_pair_without_a_test_leaves_the_count_open() -> None:
    pairs = {("a", "z"): made_pair(0.2, 0.001), ("b", "z"): made_pair(0.3, np.nan)}
    claim = at_least(pairs, list(pairs), 2, "both")
    assert claim.verdict == "cannot tell: too few seeds or cases"


def made_runs(results: pd.DataFrame) -> pd.DataFrame:
    keys = ["dataset", "protocol", "strategy", "seed", "round"]
    return results[keys].drop_duplicates().assign(n_pool_fg_voxels=600_000.0)


def test_three_data_sets_are_asked_together_and_two_are_not() -> None:
    rng = np.random.default_rng(0)
    effects = {"random": 0.0, "usim-f": 0.05}
    parts = [made_results(effects, rng, dataset=name, n_labels=1) for name in ("one", "two", "three")]
    results = pd.concat(parts)
    tables = compute_statistics(results, made_runs(results), lambda name: False)
    claims = tables.claims[tables.claims["dataset"] == ALL]
    assert list(claims["verdict"]) == ["supported", "supported"]
    assert (claims["protocol"] == "quick").all()
    aubc = tables.pairs[tables.pairs["endpoint"] == "aubc"]
    assert claims["estimate"].iloc[0] == pytest.approx(aubc["mean"].mean()), "one strategy is the whole field"
    assert claims["p_two_sided"].iloc[0] == pytest.approx(stats.ttest_1samp(aubc["mean"], 0).pvalue)
    interval = stats.t.interval(0.95, 2, aubc["mean"].mean(), stats.sem(aubc["mean"]))
    assert tuple(claims[["low", "high"]].iloc[0]) == pytest.approx(interval)
    assert (claims["n_cases"].iloc[0], claims["n_seeds"].iloc[0]) == (30, 4)
    fewer = pd.concat([*parts[:2], parts[2].assign(protocol="other")])
    assert compute_statistics(fewer, made_runs(fewer), lambda name: False).claims.empty


@pytest.mark.slow
@pytest.mark.long
def test_claims_over_data_sets_hold_their_level_where_a_strategy_helps_some_and_harms_others() -> None:
    """200 null studies of 3 data sets; without the spread over data sets in the error a third would be rejected."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(200):
        grids = [made_grid_of(rng, rng.normal(0, 0.01)) for _ in range(3)]
        wrong += joint_claims(grids, ["random", "usim-f"])[0].p_two_sided < 0.05
    assert 2 <= wrong <= 21, "binomial 99.9 % around 10"


def made_grid_of(rng: np.random.Generator, shift: float) -> DiceGrid:
    """Two strategies, of which the second is `shift` better on this data set."""
    dice = 0.7 + rng.normal(0, 0.006, (2, 3, 1, 1, 1)) + rng.normal(0, 0.02, (2, 3, 2, 6, 1))
    dice[1] += shift
    return DiceGrid(("random", "usim-f"), (0, 1, 2), (0, 1), tuple("abcdef"), (1,), dice)


def test_foreground_efficiency_counts_the_pools_foreground() -> None:
    results = made_results({"random": 0.0, "usim-f": 0.02}, np.random.default_rng(0), n_seeds=2)
    known = compute_statistics(results, made_runs(results), lambda name: False).scores.set_index("strategy")
    assert (known.loc[["random", "usim-f"], "gamma_points"] == 6).all()
    # an older run does not say how much the pool holds: the ceiling annotated all of it, as many voxels here
    older = made_runs(results).assign(n_pool_fg_voxels=np.nan)
    guessed = compute_statistics(results, older, lambda name: False).scores.set_index("strategy")
    np.testing.assert_allclose(guessed["gamma"], known["gamma"])
    alone = results[results["strategy"] != "full"]
    none = compute_statistics(alone, made_runs(alone).assign(n_pool_fg_voxels=np.nan), lambda name: False).scores
    assert none["gamma"].isna().all()


def test_ranks_are_friedmans_and_the_critical_difference_is_demsars() -> None:
    # Demsar (JMLR 2006): q for 4 classifiers is 2.569, and with 14 data sets the critical difference 1.25
    assert nemenyi_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    rng = np.random.default_rng(0)
    table = rng.normal(0.7, 0.02, (8, 3)) + np.array([0.0, 0.02, 0.1])
    rows = [(f"d{i}", name, value) for i, row in enumerate(table) for name, value in zip("abc", row, strict=True)]
    found = rank_strategies(pd.DataFrame(rows, columns=["dataset", "strategy", "aubc"]))
    assert found.p == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)
    by_hand = (len("abc") - table.argsort(axis=1).argsort(axis=1)).mean(axis=0)
    assert [found.ranks[name] for name in "abc"] == pytest.approx(list(by_hand))
    assert found.ranks.index[0] == "c"
    assert found.critical_difference == pytest.approx(nemenyi_difference(3, 8))
    assert found.ranks["a"] - found.ranks["c"] > found.critical_difference
    assert (0, 2) not in found.alike()


def test_strategies_are_alike_where_nemenyis_p_is_large() -> None:
    dice = [
        *((61, 62, 67, 58, 94), (68, 63, 75, 77, 78), (66, 63, 67, 70, 85), (59, 69, 65, 76, 75), (65, 67, 72, 78, 74)),
        *((65, 80, 58, 63, 71), (65, 66, 77, 81, 83), (61, 64, 76, 68, 79), (61, 78, 64, 68, 78)),
    ]
    rows = [(f"d{i}", name, value) for i, row in enumerate(dice) for name, value in zip("abcde", row, strict=True)]
    found = rank_strategies(pd.DataFrame(rows, columns=["dataset", "strategy", "aubc"]))
    assert list(found.ranks.index) == list("edcba")
    # posthoc_nemenyi_friedman of scikit-posthocs 0.17.1: p 0.0004 for a and e, at least 0.0564 for all other pairs
    assert found.alike() == [(0, 3), (1, 4)]
    q = (found.ranks["a"] - found.ranks["e"]) / found.critical_difference * 3.8577
    assert stats.studentized_range.sf(q, 5, np.inf) == pytest.approx(0.000399, abs=1e-6)
    nearly = (found.ranks["b"] - found.ranks["e"]) / found.critical_difference
    assert 0.98 < nearly < 1
    # by hand
    ranks = pd.Series([1.5, 2.0, 4.5, 4.6, 7.0, 9.9], index=list("abcdef"))
    assert Ranks(ranks, 0.01, 2.6, 8, "").alike() == [(0, 1), (1, 3), (2, 4)]
    assert Ranks(ranks, 0.01, 0.01, 8, "").alike() == []


def test_too_few_data_sets_have_no_test_of_ranks() -> None:
    scores = pd.DataFrame({"dataset": ["d"] * 3, "strategy": list("abc"), "aubc": [0.7, 0.8, 0.6]})
    found = rank_strategies(scores)
    assert found.note == "1 data set, 5 are needed"
    assert np.isnan([found.p, found.critical_difference]).all()
