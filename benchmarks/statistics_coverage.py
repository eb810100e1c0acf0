"""How often the report's tests and intervals are right on simulated studies, in which no strategy is better.

``python benchmarks/statistics_coverage.py`` writes benchmarks/results/statistics.md; ten minutes on two cores.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from albench.stats.claims import Claim, joint_claims, study_claims
from albench.stats.crossed import Components, crossed_test, p_value, variance_components
from albench.stats.grid import DiceGrid, nan_mean, round_weights, seed_means
from albench.stats.intervals import mean_interval, paired_t
from albench.stats.pairs import pair_table, pairs_of

TARGET = Path(__file__).parent / "results" / "statistics.md"
N_STUDIES, N_COMPARISONS, N_VARYING = 1000, 10_000, 4000
N_CASES, N_LABELS, N_ROUNDS = 50, 2, 5
N_KNOWN = 240
TAIL = 0.05 / 28
STRATEGIES = ("random", "entropy", "mcd", "bald", "coreset", "badge", "usim-f", "usim-c")
CHAIN, HELPED, REST = 0.006, 0.01, 0.03
# standard deviation of a difference over seeds, cases, and the rest
MIXTURES = {
    "seeds": (0.01, 0.0, 0.03),
    "cases": (0.0, 0.03, 0.03),
    "both": (0.01, 0.03, 0.03),
    "seeds far more": (0.02, 0.01, 0.01),
}
# number, standard deviation of what a strategy does on one of them, and whether their errors are unlike
DATASETS = [
    (1, 0.0, False),
    *((n, spread, False) for n in (3, 5, 8) for spread in (0.0, 0.006)),
    *((n, 0.0, True) for n in (3, 5, 8)),
]
Study = Callable[[int], Sequence[float]]

HEADER = """# Tests and intervals on simulated studies

No strategy is better than another in any of them. {n_cases} cases, {n_labels} classes, tests two-sided at 5 %. Unless
another number is named, {n_studies} studies for each row, whose 5 % have a binomial error of {error:.1f} %. Made by
`python benchmarks/statistics_coverage.py`.
"""
PAGE = """
## A whole page

{n_strategies} strategies, {n_rounds} rounds of which the first is shared. Standard deviations: {chain} of a chain (one
strategy on one seed, alike in all its rounds), {helped} of what a strategy does to one case, {rest} of the rest.
Percentage of studies in which the page calls some difference better or worse: in the headline (of all strategies the
one with the largest AUBC, against random), in the column of differences to random, in the matrix of pairs; in which it
calls a claim supported or contradicted; or any of these. "Cases alone" is what the report did before: last round, each
difference over cases (averaged over seeds), not corrected; claims apart.

| seeds | test | headline | vs random | matrix | claims | anywhere |
|---:|---|---:|---:|---:|---:|---:|
"""
CLAIMS = """
## Claims about averages

The same studies, alone or as so many data sets, three claims each (the field against random, usim-f and usim-c against
the paper's baselines). Percentage of the claims rejected in either direction before they are corrected for each other,
and of the studies in which any is afterwards. "Spread": standard deviation of what a strategy does on one data set,
the same in all its seeds and cases. "Errors": whether the standard deviations above are those of every data set, or go
from half to one and a half times as much, where the t over data sets is known to be cautious.

| data sets | seeds | spread | errors | rejected, each claim | any, corrected |
|---:|---:|---:|---|---:|---:|
"""
PAIR = """
## One comparison

{n_studies} studies for each row. Percentage rejected at 5 % and at {tail:.2f} %, which is 5 % over 28 pairs: by the
crossed test that every verdict rests on (its interval leaves 0 out just where it rejects), by one t with
Satterthwaite's degrees of freedom, which the report had before; and at 5 % by a paired t-test over seeds and a Wilcoxon
test over cases. The report tests nothing with two seeds.

| seeds | what varies | crossed | at {tail:.2f} % | Satterthwaite | at {tail:.2f} % | over seeds | over cases |
|---:|---|---:|---:|---:|---:|---:|---:|
"""
VARYING = """
## Test cases that change with the seed

The same with `--split-by seed`, {n_studies} studies for each row: {n_cases} test cases a seed, of other patients each
("disjoint", as in folds) or drawn anew from {n_known} ("drawn"). The test treats them as crossed with gaps. Percentage
rejected at 5 % and at {tail:.2f} % by the crossed test, and at 5 % by a paired t-test over seeds.

| seeds | test cases | what varies | crossed | at {tail:.2f} % | over seeds |
|---:|---|---|---:|---:|---:|
"""
INTERVALS = """
## Intervals over seeds

{n_studies} studies for each row. Percentage of 95 % intervals that hold the mean: of the percentile bootstrap, which
the report had before, and of Student's t.

| seeds | bootstrap | t |
|---:|---:|---:|
"""


def main() -> None:
    error = 100 * (0.05 * 0.95 / N_STUDIES) ** 0.5
    text = HEADER.format(n_studies=N_STUDIES, n_cases=N_CASES, n_labels=N_LABELS, error=error)
    with ProcessPoolExecutor(initializer=quicken) as pool:

        def rates(study: Study, n_studies: int = N_STUDIES) -> str:
            found = list(pool.map(study, range(n_studies), chunksize=20))
            digits = 1 if n_studies == N_STUDIES else 2
            return " | ".join(f"{100 * rate:.{digits}f}" for rate in np.mean(found, axis=0))

        text += PAGE.format(n_strategies=len(STRATEGIES), n_rounds=N_ROUNDS, chain=CHAIN, helped=HELPED, rest=REST)
        for n_seeds in (3, 5, 10):
            text += f"| {n_seeds} | crossed, Holm | {rates(partial(page, n_seeds))} |\n"
            text += f"| {n_seeds} | cases alone | {rates(partial(page_of_cases_alone, n_seeds))} |\n"
        text += CLAIMS
        for n_sets, spread, unlike in DATASETS:
            for n_seeds in (3, 5):
                found = rates(partial(averages, n_sets, n_seeds, spread, unlike))
                errors = "unlike" if unlike else "alike"
                text += f"| {n_sets} | {n_seeds} | {spread:g} | {errors} | {found} |\n"
        text += PAIR.format(n_studies=N_COMPARISONS, tail=100 * TAIL)
        for n_seeds in (2, 3, 5, 10):
            for name, deviations in MIXTURES.items():
                found = rates(partial(comparison, n_seeds, deviations), N_COMPARISONS)
                text += f"| {n_seeds} | {name} | {found} |\n"
        text += VARYING.format(n_studies=N_VARYING, n_cases=N_CASES, n_known=N_KNOWN, tail=100 * TAIL)
        for n_seeds in (3, 5, 10):
            for drawn in (False, True):
                for name, deviations in MIXTURES.items():
                    found = rates(partial(varying_cases, n_seeds, drawn, deviations), N_VARYING)
                    text += f"| {n_seeds} | {'drawn' if drawn else 'disjoint'} | {name} | {found} |\n"
        text += INTERVALS.format(n_studies=N_COMPARISONS)
        for n_seeds in (2, 3, 5, 10):
            text += f"| {n_seeds} | {rates(partial(intervals, n_seeds), N_COMPARISONS)} |\n"
    TARGET.write_text(text, encoding="utf-8")


def quicken() -> None:
    """Keep small matrices from waiting for threads, and statsmodels from collecting garbage in every correction."""
    threadpool_limits(1)
    gc.freeze()


def made_grid(rng: np.random.Generator, n_seeds: int, spread: float = 0.0, scale: float = 1.0) -> DiceGrid:
    """Null study of all strategies, which share their first round; a data set of its own draws `spread`."""
    n = len(STRATEGIES)
    shape = (n, n_seeds, N_ROUNDS, N_CASES, N_LABELS)
    luck = rng.normal(0, scale * CHAIN, (n, n_seeds, 1, 1, 1)) + rng.normal(0, spread, (n, 1, 1, 1, 1))
    dice = 0.7 + luck + rng.normal(0, scale * HELPED, (n, 1, 1, N_CASES, 1)) + rng.normal(0, scale * REST, shape)
    dice[:, :, 0] = dice[0, :, 0]
    names = tuple(f"c{i}" for i in range(N_CASES))
    return DiceGrid(STRATEGIES, tuple(range(n_seeds)), tuple(range(N_ROUNDS)), names, tuple(range(N_LABELS)), dice)


def page(n_seeds: int, number: int) -> tuple[bool, ...]:
    """Whether a null study's page says of a difference that there is one, and where."""
    grid = made_grid(np.random.default_rng(number), n_seeds)
    pairs = pairs_of(pair_table(grid))
    told = {key: pair.verdict in ("better", "worse") for key, pair in pairs.items()}
    areas = nan_mean(seed_means(grid), 1) @ round_weights(N_ROUNDS, "aubc")
    best = STRATEGIES[int(areas.argmax())]
    against = [told[name, "random"] for name in STRATEGIES[1:]]
    claims = any(decided(claim) for claim in study_claims(grid, pairs, STRATEGIES))
    matrix = any(told.values())
    return told.get((best, "random"), False), any(against), matrix, claims, matrix or claims


def page_of_cases_alone(n_seeds: int, number: int) -> tuple[bool, ...]:
    """The same of a page whose differences at the last round are tested over cases, one by one."""
    grid = made_grid(np.random.default_rng(number), n_seeds)
    last = grid.dice[:, :, -1].mean(axis=(1, 3))
    differences = last[:, None] - last[None]
    n = len(STRATEGIES)
    told = np.array([[i != j and paired_t(differences[i, j]) < 0.05 for j in range(n)] for i in range(n)])
    best = int(last.mean(axis=1).argmax())
    matrix = bool(told.any())
    return bool(told[best, 0]), bool(told[1:, 0].any()), matrix, False, matrix


def averages(n_sets: int, n_seeds: int, spread: float, unlike: bool, number: int) -> tuple[float, bool]:
    """Share of the claims about averages that are rejected, and whether any is once they are corrected."""
    rng = np.random.default_rng(number)
    scales = np.linspace(0.5, 1.5, n_sets) if unlike else np.ones(n_sets)
    grids = [made_grid(rng, n_seeds, spread, scale) for scale in scales]
    if n_sets > 1:
        claims = joint_claims(grids, STRATEGIES)
    else:
        asked = study_claims(grids[0], pairs_of(pair_table(grids[0])), STRATEGIES)
        claims = [claim for claim in asked if "on average" in claim.claim]
    return float(np.mean([claim.p_two_sided < 0.05 for claim in claims])), any(map(decided, claims))


def decided(claim: Claim) -> bool:
    """Whether a claim is supported or contradicted."""
    return claim.verdict in ("supported", "contradicted")


def comparison(n_seeds: int, deviations: tuple[float, float, float], number: int) -> tuple[bool, ...]:
    """Whether each test rejects in a study of one difference."""
    rng = np.random.default_rng(number)
    of_seed, of_case, of_rest = deviations
    values = rng.normal(0, of_seed, (n_seeds, 1, 1)) + rng.normal(0, of_case, (1, N_CASES, 1))
    values = values + rng.normal(0, of_rest, (n_seeds, N_CASES, N_LABELS))
    mean, components = float(values.mean()), variance_components(values)
    satterthwaite = satterthwaite_p(mean, components)
    found = [limit > p for p in (p_value(mean, components), satterthwaite) for limit in (0.05, TAIL)]
    over_cases = float(stats.wilcoxon(values.mean(axis=(0, 2))).pvalue)
    return (*found, paired_t(values.mean(axis=(1, 2))) < 0.05, over_cases < 0.05)


def varying_cases(n_seeds: int, drawn: bool, deviations: tuple[float, float, float], number: int) -> tuple[bool, ...]:
    """Whether each test rejects in a study of one difference whose seeds are tested on other cases each."""
    rng = np.random.default_rng(number)
    n_known = N_KNOWN if drawn else n_seeds * N_CASES
    of_seed, of_case, of_rest = deviations
    values = rng.normal(0, of_seed, (n_seeds, 1, 1)) + rng.normal(0, of_case, (1, n_known, 1))
    values = values + rng.normal(0, of_rest, (n_seeds, n_known, N_LABELS))
    for seed in range(n_seeds):
        own = rng.choice(n_known, N_CASES, replace=False) if drawn else np.arange(N_CASES) + seed * N_CASES
        values[seed, np.setdiff1d(np.arange(n_known), own)] = np.nan
    p = crossed_test(values).p
    return p < 0.05, p < TAIL, paired_t(nan_mean(values, (1, 2))) < 0.05


def satterthwaite_p(mean: float, components: Components) -> float:
    """P of the quasi-F with Satterthwaite's degrees of freedom, never below what seeds or cases alone give."""
    (of_seed, seeds), (of_case, cases), of_both = components
    total = of_seed + of_case - of_both
    if total > max(of_seed, of_case):
        df = total**2 / (of_seed**2 / seeds + of_case**2 / cases + of_both**2 / (seeds * cases))
    else:
        total, df = max((of_seed, float(seeds)), (of_case, float(cases)))
    return 2 * float(stats.t.sf(abs(mean) / total**0.5, df))


def intervals(n_seeds: int, number: int) -> tuple[bool, ...]:
    """Whether each interval of a mean over seeds holds it."""
    rng = np.random.default_rng(number)
    values = rng.normal(0.7, CHAIN, n_seeds)
    means = values[rng.integers(n_seeds, size=(2000, n_seeds))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    student = mean_interval(values)
    return low <= 0.7 <= high, student.low <= 0.7 <= student.high


if __name__ == "__main__":
    main()
