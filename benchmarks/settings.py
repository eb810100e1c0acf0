"""What a setting changes, paired: ``python benchmarks/settings.py BASE OTHER...`` prints a table.

BASE and OTHER are kept results of studies (benchmarks/results/NAME) of one data set and one design, of which each
other one changes a setting. Compared are runs of the same seed, which share the cases, the start and, where the setting
does not touch training, the first model; intervals are those of every report, for other seeds and other cases.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from albench.results.tables import read_results
from albench.stats.crossed import crossed_test
from albench.stats.grid import DiceGrid, dice_grid

STRATEGY, AGAINST = "usim-f", "random"
HEAD = (
    f"| study | seeds | first model | `{AGAINST}`, final | `{STRATEGY}`, final | lead of `{STRATEGY}` "
    "| change of the lead |\n|---|---:|---|---|---|---|---|"
)


def together(base: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Rows of the seeds that both have; strategies of the other one are called ``other NAME``."""
    names, seeds = (STRATEGY, AGAINST), set(base["seed"]) & set(other["seed"])
    rows = [base, other.assign(strategy="other " + other["strategy"].astype(str))]
    both = pd.concat(rows, ignore_index=True)
    return both[both["seed"].isin(seeds) & both["strategy"].str.removeprefix("other ").isin(names)]


def told(grid: DiceGrid, weights: dict[str, float]) -> str:
    """Mean of a contrast after the last query, with its 95 % interval."""
    found = crossed_test(grid.contrast(weights, "final"))
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def row(name: str, base: pd.DataFrame, other: pd.DataFrame) -> str:
    """One study's changes, as a row of the table."""
    both = together(base, other)
    first = dice_grid(both[both["round"] == 0])
    last = dice_grid(both)
    lead = {f"other {STRATEGY}": 1.0, f"other {AGAINST}": -1.0}
    cells = [
        f"[{name}]({name}/tables.md)",
        str(len(last.seeds)),
        told(first, {f"other {AGAINST}": 1.0, AGAINST: -1.0}),
        told(last, {f"other {AGAINST}": 1.0, AGAINST: -1.0}),
        told(last, {f"other {STRATEGY}": 1.0, STRATEGY: -1.0}),
        told(last, lead),
        told(last, {**lead, STRATEGY: -1.0, AGAINST: 1.0}),
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    """Print the table."""
    if len(arguments) < 2:
        sys.exit("usage: settings.py BASE OTHER...")
    folders = [Path(argument) for argument in arguments]
    base = read_results(folders[0])
    print(HEAD)
    for folder in folders[1:]:
        other = read_results(folder)
        if set(other["dataset"]) != set(base["dataset"]):
            sys.exit(f"{folder}: expected data set {set(base['dataset'])}, got {set(other['dataset'])}")
        print(row(folder.name, base, other))


if __name__ == "__main__":
    main(sys.argv[1:])
