"""Selection in shards: ``python benchmarks/shards.py WORK [OUT ...]`` writes benchmarks/results/shards.md.

Values, against greedy on all rows and against the bound on what any choice reaches, on gradients and features of all
units of finished studies OUT, each of one data set read from the folder that ALBENCH_DATA names; and processor time,
against reading and multiplying every row once. WORK is a folder for features, which are kept, and for shards: 2 GB.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import hardware

import albench_core as core

RESULT = Path(__file__).parent / "results" / "shards.md"
N_QUERIES, BUDGET, ETAS, PARTS = 500, 100, (1.0, 0.0), (4, 16)
RUNS, BLOCK_ROWS, MADE_ROWS = 3, 8192, 10_000
HEADER = """\
Values on real units, budget {k}. Queries: {q} draws of units, by uncertainty where it is known. Features are
standardised. Union: value over that of greedy on all rows, of greedy on what the parts offer; returned: the same of
what `maximize_sharded` returns; bound: its value over `Selection.bound`. What is best has at most 1 / that as much.

| rows | eta | order | parts | union | returned | bound |
| --- | --- | ---: | ---: | ---: | ---: | ---: |"""
TIMES = """\
Seconds of processor time of one thread, medians of {runs} in turns; files in the page cache where they fit. Reading and
multiplying is `similarity` block by block. What was not measured is in italics, in proportion to rows.

| rows x d float16 | q | budget | parts | multiplying once | `maximize_sharded` | ratio |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Units:
    """Features X (n, d) of units, whose cases follow each other, and queries among them."""

    name: str
    X: NDArray[np.float32]
    queries: NDArray[np.int64]
    metric: str
    scale: NDArray[np.float64] | None

    @classmethod
    def load(cls, path: Path) -> Units:
        with np.load(path) as kept:
            X, u = kept["X"], kept["uncertainty"]
            scale = kept["scale"] if kept["scale"].size else None
            p = u / u.sum() if u.size else None
            queries = np.unique(np.random.default_rng(0).choice(len(X), N_QUERIES, p=p))
            return cls(path.stem, X, queries, str(kept["metric"]), scale)


def keep_features(out: Path, work: Path) -> Iterator[Path]:
    """Gradients as of `usim-f` and stage features of all units, by a study's first model; kept ones are not remade."""
    from heads import Seed

    from albench.config import StudyConfig
    from albench.results.layout import RunFolder
    from albench.results.settings import Settings
    from albench.scoring.request import GradientSettings, Need, ScoringRequest
    from albench.strategies import make_strategy

    run = RunFolder(out)
    settings = Settings.read(run).study(None)
    paths = [work / f"{settings.dataset}-{kind}.npz" for kind in ("gradients", "features")]
    if not all(path.exists() for path in paths):
        folder = next(iter(run.study(settings.dataset).seeds()))
        seed = Seed.load(folder, StudyConfig.model_validate(settings.values), None)
        view = seed.view(GradientSettings())
        rows = make_strategy("usim-f").embedding(view)
        scale = np.zeros(0) if rows.scale is None else rows.scale
        np.savez(paths[0], X=rows.rows, scale=scale, metric=rows.metric, uncertainty=view.uncertainty)
        plan = ScoringRequest(1, 0.1, 64, False, seed.weights, seed.key)
        found = seed.model.score(seed.units, Need.STAGE_FEATURES, plan).stage_features
        assert found is not None
        found = (found - found.mean(axis=0)) / np.maximum(found.std(axis=0), 1e-6)
        np.savez(paths[1], X=found, scale=np.zeros(0), metric="cosine", uncertainty=view.uncertainty)
    yield from paths


def values(units: Units) -> Iterator[str]:
    Q = units.X[units.queries]
    n, d = units.X.shape
    S = core.similarity(units.X, Q, units.metric, units.scale, n_threads=1)
    for eta in ETAS:
        best = chosen_of(S, eta, BUDGET).value
        for order, rows in (("random", np.random.default_rng(1).permutation(n)), ("by case", np.arange(n))):
            for n_parts in PARTS:
                parts = np.array_split(rows, n_parts)
                offered = max(2 * BUDGET, 8 * BUDGET // n_parts)
                union = np.concatenate([part[chosen_of(S[part], eta, offered).indices] for part in parts])
                plain = chosen_of(S[np.sort(union)], eta, BUDGET).value
                shards = [units.X[part] for part in parts]
                options = {"metric": units.metric, "scale": units.scale, "eta": eta, "n_threads": 1}
                chosen = core.maximize_sharded(shards, Q, BUDGET, bound=True, **options)
                yield (
                    f"| {units.name}, {n:,} x {d:,} | {eta:.0f} | {order} | {n_parts} | {plain / best:.5f} | "
                    f"{chosen.value / best:.5f} | {chosen.value / chosen.bound:.4f} |"
                )


def chosen_of(S: NDArray[np.float32], eta: float, budget: int) -> core.Selection:
    return core.maximize(core.FacilityLocationVariantMI(S, eta=eta), min(budget, len(S)), n_threads=1)


def make_shards(folder: Path, n: int, d: int, n_parts: int) -> list[Path]:
    """Rows around as many centres as there are hundreds of them, a block again and again with new signs of columns."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((MADE_ROWS // 100, d), np.float32)
    block = np.repeat(centres, 100, axis=0) + rng.standard_normal((MADE_ROWS, d), np.float32)
    paths = []
    for part in range(n_parts):
        paths.append(folder / f"shard-{part}.npy")
        shard = np.lib.format.open_memmap(paths[-1], "w+", np.float16, (n // n_parts, d))
        for at in range(0, len(shard), MADE_ROWS):
            rows = (block * rng.choice([-1.0, 1.0], d))[: len(shard) - at]
            shard[at : at + len(rows)] = rows
    return paths


def seconds(act: Callable[[], object]) -> float:
    """Processor time, which a busy machine hardly changes."""
    begun = time.process_time()
    act()
    return time.process_time() - begun


def times(work: Path, n: int, d: int, q: int, budget: int, n_parts: int) -> tuple[float, float]:
    """Reading and multiplying once, and selecting."""
    paths = make_shards(work, n, d, n_parts)
    Q = np.concatenate([np.load(path, mmap_mode="r")[:: -(-n // q)] for path in paths]).astype(np.float32)

    def multiply() -> None:
        for path in paths:
            X = np.load(path, mmap_mode="r")
            for at in range(0, len(X), BLOCK_ROWS):
                core.similarity(X[at : at + BLOCK_ROWS], Q, n_threads=1)

    def select() -> None:
        core.maximize_sharded(paths, Q, budget, n_threads=1)

    found = [(seconds(multiply), seconds(select)) for _ in range(RUNS)]
    for path in paths:
        path.unlink()
    return statistics.median(m for m, _ in found), statistics.median(s for _, s in found)


def time_lines(work: Path) -> Iterator[str]:
    jobs = [  # rows that are measured, d, q, budget, parts, rows that follow from them
        (1_000_000, 64, 500, 200, 4, ()),
        (3_000_000, 64, 500, 200, 12, (10_000_000, 100_000_000)),
        (100_000, 2_000, 1_000, 400, 4, (1_000_000,)),
        (20_000, 10_000, 1_000, 400, 2, (1_000_000, 10_000_000)),
    ]
    for n, d, q, budget, n_parts, others in jobs:
        once, sharded = times(work, n, d, q, budget, n_parts)
        for rows, mark in ((n, ""), *((other, "*") for other in others)):
            share = rows / n
            cells = (f"{rows:,} x {d:,}", q, budget, f"{n_parts * share:.0f}")
            cells += (f"{once * share:.3g}", f"{sharded * share:.3g}", f"{sharded / once:.2f}")
            yield f"| {' | '.join(f'{mark}{cell}{mark}' for cell in cells)} |"


def main(work: Path, outs: list[Path]) -> None:
    lines = ["# Selection in shards", "", f"Written by `python benchmarks/shards.py WORK OUT ...`. {hardware()}.", ""]
    lines += HEADER.format(q=N_QUERIES, k=BUDGET).split("\n")
    for path in sorted({*work.glob("*.npz"), *(kept for out in outs for kept in keep_features(out, work))}):
        for line in values(Units.load(path)):
            print(line, flush=True)
            lines.append(line)
    lines += ["", *TIMES.format(runs=RUNS).split("\n")]
    for line in time_lines(work):
        print(line, flush=True)
        lines.append(line)
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(Path(sys.argv[1]), [Path(out) for out in sys.argv[2:]])
