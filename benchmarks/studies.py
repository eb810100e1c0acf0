"""Keep the results of a study of benchmarks/studies: ``python benchmarks/studies.py OUT benchmarks/results/NAME``.

Writes into the second folder what the tables of the first are made from, without models, queries and paths of the
machine, and tables.md. With the second folder alone, tables.md is made again.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

from albench.machine.files import write_json
from albench.report import build_report
from albench.report.batches import COLUMNS as BATCH_COLUMNS
from albench.report.batches import MEANS, batch_table
from albench.report.inputs import read_inputs
from albench.results.layout import RESULTS_FILE, ROUNDS_FILE, RunFolder
from albench.results.registered import read_registered
from albench.results.sealed import sealed
from albench.results.settings import Settings
from albench.results.tables import STUDY_KEYS

SECTIONS = ("registered", "summary", "pairs", "costed")
BATCHES = "batches.csv"
FIGURE = "differences.svg"


def keep(out: Path, folder: Path) -> None:
    """Copy what the tables are made from; the images' folder is left out of the settings.

    What the folder has of seeds before those of `out` stays.
    """
    inputs = read_inputs([out])
    batches = batch_table(inputs.queries, inputs.pools)
    if (folder / RESULTS_FILE).exists() and not _seeds(folder) <= _seeds(out):
        _join(folder, out, batches)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULTS_FILE, ROUNDS_FILE):
        pd.read_parquet(out / name).to_parquet(folder / name, index=False)
    registered = RunFolder(out).registered
    if registered.exists():
        (folder / registered.name).write_bytes(registered.read_bytes())
    settings = Settings.read(RunFolder(out))
    studies = [replace(each, stored={**each.stored, "dataset_root": None}) for each in settings.studies]
    values = {"datasets": {study.dataset: dict(study.stored) for study in studies}}
    write_json(folder / "config.json", sealed(values, format=Settings.FORMAT))
    batches.to_csv(folder / BATCHES, index=False)


def _seeds(folder: Path) -> set[int]:
    return set(pd.read_parquet(folder / RESULTS_FILE)["seed"])


def _whole_seeds(folder: Path) -> set[int]:
    """Seeds that have all strategies."""
    strategies = pd.read_parquet(folder / RESULTS_FILE).groupby("seed")["strategy"].nunique()
    return set(strategies.index[strategies == strategies.max()])


def _join(folder: Path, out: Path, batches: pd.DataFrame) -> None:
    """Put seeds of another machine beside those kept; settings and claims are those kept."""
    new, whole = _seeds(out), _whole_seeds(folder)
    if shared := whole & new:
        sys.exit(f"{out}: expected other seeds than those kept in {folder}, or all of them; both have {sorted(shared)}")
    with tempfile.TemporaryDirectory() as copy:  # what is kept stays as it is until all is known to fit
        own = Path(shutil.copytree(folder, Path(copy) / folder.name))
        for name in (RESULTS_FILE, ROUNDS_FILE):  # a seed that one machine began and another made is the other's
            table = pd.read_parquet(own / name)
            table[~table["seed"].isin(new)].to_parquet(own / name, index=False)
        inputs = read_inputs([own, out])
    if len(inputs.configs) > len({config.dataset for config in inputs.configs}):
        sys.exit("\n".join(inputs.conflicts))
    if any(claims != read_registered(folder) for claims in inputs.claims.values()):
        sys.exit(f"{out}: expected the claims registered in {folder}, got others")
    kept = pd.read_csv(folder / BATCHES)
    kept = kept[kept["n_seeds"] <= len(whole)]  # what counts a seed that was begun cannot be taken apart
    both = pd.concat([kept, batches])
    sums = both[MEANS].mul(both["n_seeds"], axis=0).assign(n_seeds=both["n_seeds"])
    sums = sums.groupby([both[key] for key in (*STUDY_KEYS, "strategy", "round")], sort=False).sum()
    joined = sums[MEANS].div(sums["n_seeds"], axis=0).assign(n_seeds=sums["n_seeds"])
    joined.reset_index()[BATCH_COLUMNS].to_csv(folder / BATCHES, index=False)
    inputs.runs.to_parquet(folder / ROUNDS_FILE, index=False)
    inputs.results.to_parquet(folder / RESULTS_FILE, index=False)


def tables(folder: Path) -> str:
    """Return the report's tables of a kept study, and what its batches hold, as Markdown."""
    parts = [f"# {folder.name}", "Made by `python benchmarks/studies.py` from the files beside it."]
    with tempfile.TemporaryDirectory() as report:
        build_report(folder, Path(report))
        (folder / FIGURE).write_bytes((Path(report) / FIGURE).read_bytes())
        parts.append(f"![Final Dice of each strategy less that of random, seed by seed]({FIGURE})")
        files = [Path(report) / f"{name}.md" for name in SECTIONS]
        parts += [file.read_text(encoding="utf-8").strip() for file in files if file.exists()]
    batches = pd.read_csv(folder / BATCHES)
    lines = ["| strategy | round | seeds | foreground, times the pool's | % empty | % of the pool empty |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    lines += [
        f"| `{row.strategy}` | {row.round} | {row.n_seeds} | {row.fg_ratio:.2f} | {100 * row.empty_share:.0f} "
        f"| {100 * row.pool_empty_share:.0f} |"
        for row in batches.itertuples()
    ]
    return "\n\n".join([*parts, "### What the batches hold", "\n".join(lines)]) + "\n"


def main(arguments: list[str]) -> None:
    if len(arguments) not in (1, 2):
        sys.exit("usage: studies.py [OUT] benchmarks/results/NAME")
    folder = Path(arguments[-1])
    if len(arguments) == 2:
        keep(Path(arguments[0]), folder)
    (folder / "tables.md").write_text(tables(folder), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
