"""Result rows of made-up studies whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from albench.results.tables import ANNOTATED, COSTS
from albench.stats.grid import DiceGrid, dice_grid


def made_results(
    effects: Mapping[str, float],
    rng: np.random.Generator,
    *,
    n_seeds: int = 4,
    n_rounds: int = 3,
    n_cases: int = 10,
    n_labels: int = 2,
    chain_sd: float = 0.01,
    case_sd: float = 0.02,
    ceiling: float | None = 0.9,
    dataset: str = "d",
) -> pd.DataFrame:
    """Rows whose strategies differ by `effects` after the first round, which they share.

    A chain has luck of its own in all its later rounds, a strategy helps some cases more than others (`case_sd`).
    """
    case = rng.normal(0, 0.06, n_cases)
    tables = []
    start = rng.normal(0, 0.02, (n_seeds, n_cases, n_labels))
    for strategy, effect in effects.items():
        helped = rng.normal(0, case_sd, n_cases)
        for seed in range(n_seeds):
            luck = rng.normal(0, chain_sd)
            for number in range(n_rounds):
                base = 0.8 - 0.3 * np.exp(-number)
                noise = start[seed] if number == 0 else rng.normal(0, 0.02, (n_cases, n_labels))
                shift = (effect + luck + helped)[:, None] if number else 0.0
                dice = np.clip(base + case[:, None] + shift + noise, 0, 1)
                tables.append(_rows(dataset, strategy, seed, number, 100 * (number + 1), dice))
    if ceiling is not None:
        full = np.full((n_cases, n_labels), ceiling)
        tables += [_rows(dataset, "full", seed, n_rounds - 1, 2000, full) for seed in range(n_seeds)]
    return pd.concat(tables, ignore_index=True)


def made_grid(effects: Mapping[str, float], rng: np.random.Generator, **settings: float) -> DiceGrid:
    return dice_grid(made_results(effects, rng, **settings))  # type: ignore[arg-type]


def _rows(dataset: str, strategy: str, seed: int, number: int, n_units: int, dice: np.ndarray) -> pd.DataFrame:
    case, label = np.indices(dice.shape)
    key = {"dataset": dataset, "protocol": "quick", "strategy": strategy, "seed": seed, "round": number}
    budget = dict(zip([*ANNOTATED, *COSTS], (n_units * k for k in (1, 5000, 300, 1, 40, 13)), strict=True))
    columns = {"case": [f"c{i:02d}" for i in case.ravel()], "label": label.ravel() + 1, "dice": dice.ravel()}
    scores = {"label_name": "x", "nsd": dice.ravel() ** 2, "hd95": 10 * (1 - dice.ravel())}
    return pd.DataFrame({**columns, **scores}).assign(**key, **budget)
