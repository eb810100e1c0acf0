"""Table of a study of USIM's variants: ``python benchmarks/usim.py``.

Reads the raw results under benchmarks/results/usim, which `al-bench run` wrote, and writes usim.md beside them. Every
comparison is paired by seed, case and class and tested by the crossed test, two-sided, Holm over the rows of its table.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from albench.stats.crossed import crossed_test
from albench.stats.grid import dice_grid
from albench.stats.pairs import holm

FOLDER = Path(__file__).parent / "results" / "usim"
ENDPOINTS = {"aubc": "AUBC", "final": "last round"}


def comparisons(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Each strategy against `reference`, over the seeds that both have."""
    rows = []
    for name in sorted(set(results["strategy"]) - {reference}):
        both = results[results["strategy"].isin([name, reference])]
        seeds = both.groupby("seed")["strategy"].nunique()
        grid = dice_grid(both[both["seed"].isin(seeds.index[seeds == 2])])
        for endpoint in ENDPOINTS:
            difference = grid.contrast({name: 1.0, reference: -1.0}, endpoint)
            found = crossed_test(difference)
            better = int((np.nanmean(difference, axis=(1, 2)) > 0).sum())
            rows.append({"strategy": name, "endpoint": endpoint, "better": better, **asdict(found)})
    table = pd.DataFrame(rows)
    table["holm"] = table.groupby("endpoint")["p"].transform(lambda p: holm(p.to_numpy()))
    return table


def finished(results: pd.DataFrame) -> pd.DataFrame:
    """Chains that went to the last round."""
    last = results.groupby(["strategy", "seed"])["round"].transform("max")
    return results[last == results["round"].max()]


def lines_of(table: pd.DataFrame) -> list[str]:
    lines = [
        "| strategy | | difference | 95 % interval | p | Holm | seeds better |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in table.itertuples():
        tested = row.n_seeds >= 3
        interval = f"{row.low:+.4f} to {row.high:+.4f}" if tested else "–"
        p, corrected = (f"{row.p:.3f}", f"{row.holm:.3f}") if tested else ("–", "–")
        lines.append(
            f"| `{row.strategy}` | {ENDPOINTS[row.endpoint]} | {row.mean:+.4f} | {interval} | {p} | {corrected} "
            f"| {row.better} of {row.n_seeds} |"
        )
    return lines


def curves(results: pd.DataFrame) -> list[str]:
    """Mean Dice by round, strategies over the seeds they have."""
    foreground = results[results["label"] > 0]
    means = (
        foreground.groupby(["strategy", "seed", "round", "label"])["dice"].mean().groupby(["strategy", "round"]).mean()
    )
    table = means.reset_index().pivot_table(index="strategy", columns="round", values="dice")
    seeds = foreground.groupby("strategy")["seed"].nunique()
    lines = [f"| strategy | seeds | {' | '.join(f'round {number}' for number in table)} |"]
    lines.append(f"|---|---:|{'---:|' * table.shape[1]}")
    lines += [
        f"| `{name}` | {seeds[name]} | {' | '.join(f'{value:.4f}' for value in row)} |"
        for name, row in table.iterrows()
    ]
    return lines


def main() -> None:
    parts = [(FOLDER / "preamble.md").read_text(encoding="utf-8").rstrip()]
    for path in sorted(FOLDER.glob("*-results.parquet"), reverse=True):
        results = finished(pd.read_parquet(path))
        parts += [f"## {path.name.removesuffix('-results.parquet')}", "\n".join(curves(results))]
        for reference in sorted({"random", "usim-f", "usim-f+heads=published"} & set(results["strategy"])):
            parts += [f"Against `{reference}`:", "\n".join(lines_of(comparisons(results, reference)))]
    (FOLDER / "usim.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
