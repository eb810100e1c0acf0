"""Where the time of a round goes: ``python benchmarks/rounds.py [--against PYTHON]``.

Runs the quick protocol (two rounds of it) for random and usim-f on hippocampus and OpenKBP, and writes the seconds of
every stage to benchmarks/results/rounds.md. ``--against`` names the interpreter of another al-bench, e.g. that of an
earlier commit; the two then run in turns. Wants an idle machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from report import RESULTS, hardware
from scoring import ARCHIVE, data_folder

from albench.results.tables import read_rounds

DATASETS = {"hippocampus": ARCHIVE, "OpenKBP": "OpenKBP_HeadNeckCT"}
STAGES = ["train_s", "train_setup_s", "score_s", "select_s", "evaluate_s"]


def measure(python: str, dataset: str, out: Path) -> pd.DataFrame:
    """Seconds of the stages of each strategy's second round, and what one starts with."""
    arguments = ["--dataset", dataset, "--strategy", "random,usim-f", "--rounds", "2", "--device", "cpu"]
    environment = os.environ | {"ALBENCH_CACHE": str(out / "cache")}
    command = [python, "-m", "albench", "run", *arguments, "--out", str(out / "study")]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    runs = read_rounds(out / "study")
    startup = runs.loc[runs["round"] == 0, "startup_s"].max()
    runs = runs[runs["round"] == 1].set_index("strategy")
    return runs[[*STAGES, "iterations"]].assign(startup_s=startup)


def row(dataset: str, who: str, strategy: str, seconds: pd.Series) -> str:
    """Line of the table; the overhead is everything but training, of one round."""
    overhead = seconds[STAGES].sum() - seconds["train_s"]
    cells = [f"{seconds[stage]:.1f}" for stage in ["startup_s", *STAGES]]
    rate = seconds["iterations"] / seconds["train_s"]
    share = 100 * overhead / seconds["train_s"]
    return f"| {dataset} | {who} | {strategy} | " + " | ".join(cells) + f" | {rate:.1f} | {share:.0f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", help="interpreter of the al-bench that is 'before'")
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(DATASETS), help="data sets to run on")
    arguments = parser.parse_args()
    against = arguments.against
    data = data_folder()
    if data is None:
        raise SystemExit(f"ALBENCH_DATA: expected a folder with {ARCHIVE}, got {os.environ.get('ALBENCH_DATA')!r}")
    who = {"before": against, "now": sys.executable} if against else {"now": sys.executable}
    began = hardware()
    heads = "start-up, once", "training", "labels laid over", "scoring", "selecting", "evaluating"
    lines = [
        "| data | al-bench | strategy | " + " | ".join(f"{head}, s" for head in heads) + " | iterations/s | overhead |",
        "| --- | --- | --- | " + "---: | " * (len(heads) + 2),
    ]
    target = RESULTS / "rounds.md"
    earlier = target.read_text().splitlines() if target.exists() else []
    others = tuple(f"| {dataset} |" for dataset in DATASETS if dataset not in arguments.data)
    lines += [line for line in earlier if line.startswith(others)]
    for dataset in arguments.data:
        archive = DATASETS[dataset]
        source = next(path for path in (data / archive, data / f"{archive}.tar") if path.exists())
        for name, python in who.items():
            with tempfile.TemporaryDirectory() as work:
                table = measure(python, str(source), Path(work))
            lines += [row(dataset, name, strategy, table.loc[strategy]) for strategy in ("random", "usim-f")]
            print("\n".join(lines), flush=True)
    target.write_text(
        "# A round of the quick protocol\n\nWritten by `python benchmarks/rounds.py`: the round after the first query, "
        "both chains side by side, one core each. Overhead is all but training, over training.\n"
        f"{began}.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
