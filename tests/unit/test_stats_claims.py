from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from stats_fixtures import made_grid, made_results

from albench.stats.claims import Claim, at_least, judge, partial_conjunction, study_claims
from albench.stats.mixed import fit_mixed
from albench.stats.ranks import nemenyi_difference, rank_strategies
from albench.stats.tables import ALL, compute_statistics

FIELD = {"random": 0.0, "entropy": 0.0, "mcd": 0.0, "badge": 0.0, "usim-f": 0.0}


def ask(
    effects: dict[str, float], seed: int = 0, practicable: list[str] | None = None, **settings: float
) -> list[Claim]:
    grid = made_grid(effects, np.random.default_rng(seed), **settings)
    return study_claims(grid, practicable or list(effects), fit_mixed([grid]), "d", "quick")


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


@pytest.mark.slow
def test_no_difference_is_not_supported_at_about_the_level() -> None:
    """60 null studies: 'every' and 'most' are cautious, a single contrast is wrong in about 5 %."""
    wrong: dict[str, int] = {}
    for seed in range(60):
        grid = made_grid(FIELD, np.random.default_rng(seed), n_cases=8, n_labels=1)
        # the model has tests of its own, and takes longer
        nothing = fit_mixed([made_grid({"random": 0.0}, np.random.default_rng(0))])
        for claim in study_claims(grid, list(FIELD), nothing, "d", str(seed)):
            if "mixed" not in claim.test:
                key = claim.claim.split(" (")[0]
                wrong[key] = wrong.get(key, 0) + (claim.verdict == "supported")
    assert len(wrong) == 4
    assert max(wrong.values()) <= 9, f"binomial 99.9 % around 3: {wrong}"


def test_two_seeds_cannot_tell() -> None:
    claims = ask({"random": 0.0, "entropy": 0.3, "usim-f": 0.5}, n_seeds=2)
    assert {claim.verdict for claim in claims} == {"cannot tell: too few seeds"}
    assert all(np.isnan(claim.p) for claim in claims)
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


@pytest.mark.parametrize("u", [1, 2, 3])
def test_partial_conjunction_is_the_worst_of_the_intersections(u: int) -> None:
    """At least u of m are false where each choice of m - u + 1 holds a false one: the largest of their Bonferroni p."""
    p = [0.2, 0.004, 0.03]
    size = len(p) - u + 1
    expected = max(min(1.0, size * min(chosen)) for chosen in itertools.combinations(p, size))
    assert partial_conjunction(p, u) == pytest.approx(expected)


def test_the_estimate_of_at_least_u_is_the_contrast_that_decides() -> None:
    grid = made_grid({"a": 0.0, "b": 0.1, "c": 0.3, "d": 0.2}, np.random.default_rng(0))
    contrasts = {name: {name: 1.0, "a": -1.0} for name in ("b", "c", "d")}
    claim = at_least(grid, contrasts, 2, "two of three", "x")
    means = sorted(grid.contrast(weights, "aubc").mean() for weights in contrasts.values())
    assert claim.estimate == pytest.approx(means[-2])
    assert claim.low < claim.estimate < claim.high


@pytest.mark.parametrize(
    ("p", "opposite", "n_seeds", "expected"),
    [
        (0.01, 0.99, 3, "supported"),
        (0.99, 0.01, 3, "contradicted"),
        (0.3, 0.7, 3, "not supported"),
        (0.01, 0.99, 2, "cannot tell: too few seeds"),
        (np.nan, np.nan, 5, "cannot tell: no model"),
    ],
)
def test_verdicts_in_words(p: float, opposite: float, n_seeds: int, expected: str) -> None:
    assert judge(p, opposite, n_seeds) == expected


def made_runs(results: pd.DataFrame) -> pd.DataFrame:
    keys = ["dataset", "protocol", "strategy", "seed", "round"]
    return results[keys].drop_duplicates().assign(n_pool_fg_voxels=600_000.0)


def test_several_studies_have_a_model_together() -> None:
    rng = np.random.default_rng(0)
    effects = {"random": 0.0, "usim-f": 0.05}
    results = pd.concat([made_results(effects, rng, dataset=name, n_labels=1) for name in ("one", "two")])
    tables = compute_statistics(results, made_runs(results), lambda name: False)
    assert list(tables.mixed["dataset"]) == ["one", "two", ALL]
    joint = tables.mixed.iloc[2]
    assert joint["n_cases"] == 20
    claims = tables.claims[tables.claims["dataset"] == ALL]
    assert list(claims["verdict"]) == ["supported", "supported"]
    assert claims["estimate"].iloc[0] == pytest.approx(joint["estimate"]), "one strategy is the whole field"
    assert joint["converged"]


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
    apart = abs(found.ranks["a"] - found.ranks["c"]) > found.critical_difference
    assert (found.p_pairs.loc["a", "c"] < 0.05) == apart


def test_too_few_data_sets_have_no_test_of_ranks() -> None:
    scores = pd.DataFrame({"dataset": ["d"] * 3, "strategy": list("abc"), "aubc": [0.7, 0.8, 0.6]})
    found = rank_strategies(scores)
    assert found.note == "1 data set, 5 are needed"
    assert np.isnan([found.p, found.critical_difference]).all()
