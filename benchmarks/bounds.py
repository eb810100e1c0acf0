"""From which n bounds on gains pay: ``python benchmarks/bounds.py`` writes benchmarks/results/bounds.md.

Lazy facility location with and without them; the first maximisation of a function and another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from cases import gaussian
from report import hardware

from albench_core import _core

RESULT = Path(__file__).parent / "results" / "bounds.md"
SIZES = (250, 1_000, 4_000, 16_000, 64_000)
Q, D, RUNS = 500, 64, 3
UNLIMITED = 2**40
HEADER = """\
| n | budget | S, none | again | S, quantised | again | X, delta | again | X, quantised | again |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def function(source: _core.Source, bound_bytes: int) -> _core.Function:
    return _core.facility_location(source, None, 1.0, None, None, 0, bound_bytes, 1)


def seconds(act: Callable[[], object]) -> float:
    """Processor time, which a busy machine hardly changes."""
    begun = time.process_time()
    act()
    return time.process_time() - begun


def measure(source: Callable[[], _core.Source], bound_bytes: int, budget: int) -> tuple[float, float]:
    """Time of a function from its making to the end of a greedy maximisation, and of another one."""
    f = function(source(), bound_bytes)
    act = partial(_core.maximize, f, budget, "lazy", 0.01, 0, np.arange(f.size), None, 1)
    first = seconds(act)
    again = seconds(act)
    made = seconds(lambda: function(source(), bound_bytes))
    return made + first, again


def row(n: int) -> list[float]:
    """Milliseconds: from a matrix without and with bounds, from features with either kind of bounds."""
    X, queries = gaussian(n, D, 0), gaussian(Q, D, 1)
    S = _core.similarity(X, queries, "cosine", None, 1)
    budget = min(100, n // 10)
    given, computed = partial(_core.matrix_source, S), partial(_core.feature_source, X, queries, "cosine", None, 1)
    jobs = [(given, 0), (given, UNLIMITED), (computed, 0), (computed, UNLIMITED)]
    found = np.min([[measure(*job, budget) for job in jobs] for _ in range(RUNS)], axis=0)
    return [n, budget, *(1e3 * found).ravel()]


def main() -> None:
    lines = [
        "# From which n bounds on gains pay",
        "",
        f"Written by `python benchmarks/bounds.py`. {hardware()}. Lazy facility-location variant MI, Gaussian features",
        f"d = {D}, q = {Q}, one thread; ms of processor time, the fastest of {RUNS} in turns. S: from a matrix; X:",
        "from features. Making the function and its bounds and a maximisation; again: another one.",
        "",
        HEADER,
    ]
    for n in SIZES:
        _, budget, *times = row(n)
        lines.append(f"| {n:,} | {budget:.0f} | {' | '.join(f'{t:.2f}' for t in times)} |")
        print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
