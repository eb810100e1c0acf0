"""How often the report's tests and intervals are right on simulated studies.

``python benchmarks/statistics_coverage.py`` writes benchmarks/results/statistics.md. A study is a difference of two
strategies by seed and case, with no mean.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import stats

from albench.stats.crossed import bootstrap_means, quantile_interval, standard_error
from albench.stats.pairs import case_test, seed_test

TARGET = Path(__file__).parent / "results" / "statistics.md"
N_STUDIES, N_CASES, N_LABELS = 500, 50, 2
SEEDS = (2, 3, 5, 10)
# standard deviation over seeds, cases, and the rest
MIXTURES = {
    "seeds": (0.01, 0.0, 0.03),
    "cases": (0.0, 0.03, 0.03),
    "both": (0.01, 0.03, 0.03),
    "seeds far more": (0.02, 0.01, 0.01),
}
HEADER = """# Tests and intervals on simulated studies

{n_studies} studies without a difference for each row, {n_cases} cases, {n_labels} classes; the binomial error of 5 % is
{error:.1f} %. Rejected at 5 %: by the crossed test that the report's p comes from, the paired t-test over seeds, the
Wilcoxon test over cases. Covered: how many 95 % bootstrap intervals over seeds and cases hold 0. The report gives no
crossed p and no interval for two seeds. Made by `python benchmarks/statistics_coverage.py`.

| seeds | what varies | crossed rejects % | over seeds % | over cases % | interval covers % |
|---:|---|---:|---:|---:|---:|
"""


def main() -> None:
    error = 100 * (0.05 * 0.95 / N_STUDIES) ** 0.5
    text = HEADER.format(n_studies=N_STUDIES, n_cases=N_CASES, n_labels=N_LABELS, error=error)
    for n_seeds in SEEDS:
        for name, deviations in MIXTURES.items():
            rates = 100 * np.mean(
                [study(np.random.default_rng(i), n_seeds, deviations) for i in range(N_STUDIES)], axis=0
            )
            text += f"| {n_seeds} | {name} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |\n"
    TARGET.write_text(text, encoding="utf-8")


def study(rng: np.random.Generator, n_seeds: int, deviations: tuple[float, float, float]) -> tuple[bool, ...]:
    """Whether each test rejects, and whether the interval holds the truth."""
    of_seed, of_case, of_rest = deviations
    values = rng.normal(0, of_seed, (n_seeds, 1, 1)) + rng.normal(0, of_case, (1, N_CASES, 1))
    values = values + rng.normal(0, of_rest, (n_seeds, N_CASES, N_LABELS))
    error, df = standard_error(values)
    crossed = 2 * stats.t.sf(abs(values.mean()) / error, df)
    low, high = quantile_interval(bootstrap_means(values, rng), df, n_seeds)
    return crossed < 0.05, seed_test(values) < 0.05, case_test(values) < 0.05, low <= 0 <= high


if __name__ == "__main__":
    main()
