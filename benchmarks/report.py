"""Write the committed tables and figure: ``python benchmarks/report.py [--large] [--only-tables]``.

Writes benchmarks/results/ratios.md, a table for each kernel set of the processor that users of other processors have
as their best, and scaling.{csv,png,svg} with the newest set. ``--large`` adds n = 1,000,000 (minutes, 8 GB).
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
    AVX2,
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
        f"{model}, {len(os.sched_getaffinity(0))} cores, {_core.isa()} kernels, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, load {os.getloadavg()[0]:.1f}"
    )


def table(cases: list[Case]) -> str:
    """Medians and ratios of all cases as Markdown."""
    lines = ["| job | who | median, ms | times the core |", "| --- | --- | ---: | ---: |"]
    for case in cases:
        found = medians(case)
        for who, seconds in found.items():
            lines.append(f"| {case.name} | {who} | {1e3 * seconds:.1f} | {seconds / found['core']:.2f} |")
        print("\n".join(lines[-len(found) :]), file=sys.stderr, flush=True)
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


def kernel_sets() -> dict[str, dict[str, str]]:
    """Kernel sets to be measured, and the environment in which peers use no newer instructions than they do."""
    newest = _core.isa()
    return {newest: {}, "avx2": AVX2} if newest == "avx512" else {newest: {}}


def in_process(environment: dict[str, str], *arguments: str) -> str:
    """What this script prints with these arguments, in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def points(environment: dict[str, str], wanted: list[tuple[str, int, int, int, int]]) -> list[dict[str, object]]:
    """Measure points, each in a fresh process."""
    rows = []
    for point in wanted:
        rows.append(json.loads(in_process(environment, "--point", json.dumps(point)).splitlines()[-1]))
        print(rows[-1], flush=True)
    return rows


def scaling() -> None:
    """Measure and draw the figure."""
    wanted = [(who, n, 500, 64, 100) for n in (1_000, 3_000, 10_000, 30_000, 100_000) for who in SCALES]
    rows = points({}, [w for w in wanted if not (w[0].startswith("submodlib") and w[1] > 30_000)])
    with (RESULTS / "scaling.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    figure(rows)


def large_table(environment: dict[str, str]) -> str:
    """Medians of three runs at n = 1,000,000, in turns."""
    who = ("BLAS product, blocked", "core, matrix-free", "core, 8-bit bounds")
    rows = points(environment, [(name, 1_000_000, 2_000, 128, 1_000) for _ in range(3) for name in who])
    seconds = {name: statistics.median(float(str(r["s"])) for r in rows if r["who"] == name) for name in who}
    lines = ["| n=1,000,000 q=2,000 d=128 budget=1,000 | time | times BLAS | peak memory over the features |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for name in who:
        peak = max(float(str(r["MiB"])) for r in rows if r["who"] == name)
        lines.append(f"| {name} | {seconds[name]:.1f} s | {seconds[name] / seconds[who[0]]:.2f} | {peak:.0f} MiB |")
    return (
        "\nEach run in a process of its own, memory fresh from the system; medians of three in turns.\n\n"
        + "\n".join(lines)
        + "\n"
    )


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


def all_cases() -> list[Case]:
    return [
        from_features(),
        given_matrix(),
        matrix_free(),
        facility_location(),
        product(2_000, 500, 10_000),
        product(20_000, 1_000, 128),
        optimizers(),
        *functions(),
    ]


def section(environment: dict[str, str], large: bool) -> str:
    """One kernel set: where, the table of all jobs, and what a million rows take."""
    print("\n".join(f"{name}={value}" for name, value in environment.items()), flush=True)
    began, *lines = in_process(environment, "--table").splitlines()
    print("\n".join(lines), flush=True)
    more = large_table(environment) if large else ""
    peers = ", ".join(f"{name}={value}" for name, value in environment.items())
    how = f"\nPeers are held to the same instructions: {peers}." if environment else ""
    table_text = "\n".join(lines)
    return f"{began} before and {os.getloadavg()[0]:.1f} after.{how}\n\n{table_text}\n{more}"


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only-tables", action="store_true")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    parser.add_argument("--table", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        one_point(*json.loads(arguments.point))
        return
    if arguments.table:
        print(hardware())
        print(table(all_cases()))
        return
    RESULTS.mkdir(exist_ok=True)
    parts = [f"## {kernels}\n\n{section(env, arguments.large)}" for kernels, env in kernel_sets().items()]
    (RESULTS / "ratios.md").write_text(
        "# The selection core against its peers\n\nWritten by `python benchmarks/report.py --large`. Medians of runs "
        "taken in turns; all of one job on\nthe same input.\n\n" + "\n".join(parts)
    )
    if not arguments.only_tables:
        scaling()


if __name__ == "__main__":
    main()
