from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stats_fixtures import made_grid

from albench.stats import mixed
from albench.stats.grid import seed_means
from albench.stats.mixed import fit_mixed


def test_on_a_balanced_study_it_is_the_split_plot_analysis() -> None:
    """Effects are differences of means; their error is that of chains, by plain formula."""
    effects = {"random": 0.0, "entropy": 0.01, "usim-f": 0.04}
    made = made_grid(effects, np.random.default_rng(0), n_labels=1, chain_sd=0.03)
    # with every variance well above 0: at the boundary REML pools strata, and is not that analysis
    dice = made.dice + np.array([-0.05, 0.05, 0.03, -0.03])[:, None, None, None]
    grid = replace(made, dice=dice)
    model = fit_mixed([grid])
    assert model.converged
    assert min(model.deviations.values()) > 0.005
    chains = seed_means(grid)[:, :, 1:].mean(axis=2)  # the first round is left out
    names = list(grid.strategies)
    usim, random = names.index("usim-f"), names.index("random")
    effect = model.contrast({"usim-f": 1.0})
    assert effect.estimate == pytest.approx((chains[usim] - chains[random]).mean(), abs=1e-9)
    rest = chains - chains.mean(axis=1, keepdims=True) - chains.mean(axis=0) + chains.mean()
    spread = (rest**2).sum() / (2 * 3)  # strategies - 1 times seeds - 1
    assert effect.error == pytest.approx(np.sqrt(spread * 2 / 4), rel=0.02)
    assert (model.df, model.n_rows, model.n_seeds, model.n_cases) == (6, 3 * 4 * 2 * 10, 4, 10)
    assert model.rounds == (1, 2)
    assert effect.low < effect.estimate < effect.high
    assert effect.p == pytest.approx(2 * effect.p_greater)
    contrast = model.contrast({"usim-f": 1.0, "entropy": -0.5, "random": -0.5})
    expected = effect.estimate - model.contrast({"entropy": 0.5}).estimate
    assert contrast.estimate == pytest.approx(expected)


@pytest.mark.slow
def test_it_keeps_its_level_on_null_studies_whose_chains_have_luck() -> None:
    rng = np.random.default_rng(1)
    studies = [
        made_grid({"random": 0.0, "a": 0.0, "b": 0.0}, rng, n_labels=1, n_cases=8, chain_sd=0.02, case_sd=0.0)
        for _ in range(100)
    ]
    models = [fit_mixed([grid]) for grid in studies]
    rejected = [model.contrast({"a": 1.0}).p < 0.05 for model in models if model.converged]
    assert len(rejected) >= 95
    assert sum(rejected) <= 13, "binomial 99.9 % around 5"


def test_studies_are_joined_with_cases_and_seeds_of_their_own() -> None:
    rng = np.random.default_rng(2)
    one = made_grid({"random": 0.0, "usim-f": 0.05, "only-here": 0.0}, rng, n_labels=1)
    other = made_grid({"random": 0.0, "usim-f": 0.03}, rng, n_labels=1, n_cases=6, n_seeds=3)
    model = fit_mixed([one, other])
    assert model.strategies == ("random", "usim-f")
    assert (model.n_cases, model.n_seeds, model.n_rows) == (16, 3, 2 * 4 * 2 * 10 + 2 * 3 * 2 * 6)
    assert model.df == 3 + 2
    assert 0.02 < model.contrast({"usim-f": 1.0}).estimate < 0.06


def test_a_large_study_is_thinned_by_rounds_and_keeps_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed, "MAX_ROWS", 170)
    grid = made_grid({"random": 0.0, "usim-f": 0.05}, np.random.default_rng(3), n_rounds=6, n_labels=1)
    model = fit_mixed([grid])
    assert model.n_rows == 160
    assert model.rounds == (1, 5)


@pytest.mark.parametrize(
    ("effects", "n_seeds", "note"),
    [({"random": 0.0, "a": 0.1}, 2, "fewer than 3 seeds"), ({"random": 0.0}, 4, "fewer than 2 strategies")],
)
def test_too_little_data_says_so(effects: dict[str, float], n_seeds: int, note: str) -> None:
    model = fit_mixed([made_grid(effects, np.random.default_rng(0), n_seeds=n_seeds)])
    assert not model.converged
    assert note in model.note
    assert np.isnan(model.contrast({"a": 1.0}).p)


def test_missing_runs_are_left_out() -> None:
    grid = made_grid({"random": 0.0, "usim-f": 0.05}, np.random.default_rng(4), n_labels=1)
    dice = grid.dice.copy()
    dice[0, 1, 2] = np.nan
    model = fit_mixed([replace(grid, dice=dice)])
    assert model.n_rows == 2 * 4 * 2 * 10 - 10
    assert model.contrast({"usim-f": 1.0}).estimate == pytest.approx(
        fit_mixed([grid]).contrast({"usim-f": 1.0}).estimate, abs=0.01
    )
