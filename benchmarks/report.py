"""Write the committed table and figure: ``python benchmarks/report.py [--large]``.

Writes benchmarks/results/ratios.md and scaling.{csv,png,svg}. ``--large`` adds n = 1,000,000 (minutes, 8 GB).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from cases import (
    Case,
    blocked_product,
    core_features,
    core_flvmi,
    facility_location,
    from_features,
    functions,
    gaussian,
    given_matrix,
    matrix_free,
    medians,
    optimizers,
    product,
    submodlib_flvmi,
)

import albench_core as core
from albench_core import _core

RESULTS = Path(__file__).parent / "results"
SCALES = {"core, from S": 0, "core, matrix-free": 1, "submodlib, from S": 2, "BLAS product, blocked": 3}


def hardware() -> str:
    """Describe processor, cores and library versions in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores ({_core.isa()} kernels), "
        f"Python {platform.python_version()}, NumPy {np.__version__}, load {os.getloadavg()[0]:.1f}"
    )


def table(cases: list[Case]) -> str:
    """Medians and ratios of all cases as Markdown."""
    lines = ["| job | who | median, ms | times the core |", "| --- | --- | ---: | ---: |"]
    for case in cases:
        found = medians(case)
        for who, seconds in found.items():
            lines.append(f"| {case.name} | {who} | {1e3 * seconds:.1f} | {seconds / found['core']:.2f} |")
        print("\n".join(lines[-len(found) :]), flush=True)
    return "\n".join(lines)


def memory(what: str) -> float:
    """Read VmRSS (now) or VmHWM (peak) of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


def forget_peak() -> None:
    """Let the peak start again from here: making the input took more than what is measured (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def one_point(who: str, n: int, q: int, d: int, budget: int) -> None:
    """Time and peak memory of one point of the figure; runs in a process of its own."""
    X, Q = gaussian(n, d, 0), gaussian(q, d, 1)
    core.similarity(X[:100], Q)
    S = core.similarity(X, Q) if who.endswith("from S") else None
    if who.startswith("submodlib"):
        submodlib_flvmi(S[:20], 2)  # importing it takes seconds
    before = memory("VmRSS")
    forget_peak()
    start = time.perf_counter()
    if who == "core, from S":
        core_flvmi(S, budget)
    elif who == "core, matrix-free":
        core_features(X, Q, budget, 0)
    elif who == "core, 8-bit bounds":
        core_features(X, Q, budget, 5 * 10**9)
    elif who == "submodlib, from S":
        submodlib_flvmi(S, budget)
    else:
        blocked_product(X, Q)
    seconds = time.perf_counter() - start
    grown = memory("VmHWM") - before
    print(json.dumps({"who": who, "n": n, "q": q, "d": d, "budget": budget, "s": seconds, "MiB": grown}))


def points(large: bool) -> list[dict[str, object]]:
    """Measure the points of the figure, each in a fresh process."""
    wanted = [(who, n, 500, 64, 100) for n in (1_000, 3_000, 10_000, 30_000, 100_000) for who in SCALES]
    wanted = [w for w in wanted if not (w[0].startswith("submodlib") and w[1] > 30_000)]
    if large:
        for _ in range(3):  # in turns
            for who in ("BLAS product, blocked", "core, matrix-free", "core, 8-bit bounds"):
                wanted.append((who, 1_000_000, 2_000, 128, 1_000))
    rows = []
    for point in wanted:
        out = subprocess.run(
            [sys.executable, __file__, "--point", json.dumps(point)],
            capture_output=True,
            text=True,
            check=True,
        )
        rows.append(json.loads(out.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    return rows


def figure(rows: list[dict[str, object]]) -> None:
    """Draw time and memory against n on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for who in SCALES:
        mine = [r for r in rows if r["who"] == who and r["q"] == 500]
        n, s = [r["n"] for r in mine], [r["s"] for r in mine]
        axes[0].loglog(n, s, "o-", label=f"{who} (slope {np.polyfit(np.log(n[1:]), np.log(s[1:]), 1)[0]:.2f})")
        axes[1].loglog(n, [max(float(str(r["MiB"])), 0.1) for r in mine], "o-", label=who)
    axes[0].set(xlabel="n", ylabel="seconds", title="q = 500, d = 64, budget 100")
    axes[1].set(xlabel="n", ylabel="peak memory over the input, MiB")
    axes[0].legend(fontsize=7)
    for axis in axes:
        axis.grid(alpha=0.3)
    for kind in ("png", "svg"):
        fig.savefig(RESULTS / f"scaling.{kind}", dpi=150)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--point")
    arguments = parser.parse_args()
    if arguments.point:
        one_point(*json.loads(arguments.point))
        return
    RESULTS.mkdir(exist_ok=True)
    began = hardware()
    cases = [
        from_features(),
        given_matrix(),
        matrix_free(),
        facility_location(),
        product(2_000, 500, 10_000),
        product(20_000, 1_000, 128),
        optimizers(),
        *functions(),
    ]
    text = table(cases)
    rows = points(arguments.large)
    with (RESULTS / "scaling.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    figure(rows)
    large: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        if row["n"] == 1_000_000:
            large.setdefault(str(row["who"]), []).append(row)
    seconds = {who: statistics.median(float(str(r["s"])) for r in runs) for who, runs in large.items()}
    peaks = {who: max(float(str(r["MiB"])) for r in runs) for who, runs in large.items()}
    more = "".join(
        f"| {who}, n=1,000,000 q=2,000 d=128 budget 1,000 | {seconds[who]:.1f} s "
        f"| {seconds[who] / seconds['BLAS product, blocked']:.2f} | {peaks[who]:.0f} MiB |\n"
        for who in large
    )
    (RESULTS / "ratios.md").write_text(
        f"# The selection core against its peers\n\nWritten by `python benchmarks/report.py`. {began}.\n"
        f"Medians of runs taken in turns; all of one job on the same input.\n\n{text}\n"
        + (
            "\nEach run in a process of its own, memory fresh from the system; medians of three in turns.\n\n"
            "| large | time | times BLAS | peak memory over the features |\n| --- | ---: | ---: | ---: |\n" + more
            if more
            else ""
        )
    )


if __name__ == "__main__":
    main()
