"""Selection in shards: ``python benchmarks/shards.py [--large] WORK [OUT ...]`` writes benchmarks/results/shards.md.

Values, against greedy on all rows and against the bound on what any choice reaches, on gradients and features of all
units of finished studies OUT, each of one data set read from the folder that ALBENCH_DATA names; and time, against
reading and multiplying every row once. WORK is a folder for features, which are kept, and for shards: 2 GB, with
``--large``, which measures a million rows of 10,000 features once, 20 GB.
"""

from __future__ import annotations

import argparse
import os
import statistics
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
SHARDS = [  # rows, features, queries, budget, parts, runs
    (1_000_000, 64, 500, 200, 4, RUNS),
    (3_000_000, 64, 500, 200, 12, RUNS),
    (100_000, 2_000, 1_000, 400, 4, RUNS),
    (20_000, 10_000, 1_000, 400, 2, RUNS),
]
LARGE = (1_000_000, 10_000, 1_000, 400, 25, 1)
OTHERS = {  # rows of which there was no room or time for, by the shape that their times follow from
    (3_000_000, 64): (10_000_000, 100_000_000),
    (100_000, 2_000): (1_000_000,),
    (20_000, 10_000): (1_000_000,),
    (1_000_000, 10_000): (10_000_000,),
}
HEADER = """\
Values on real units, budget {k}. Queries: {q} draws of units, by uncertainty where it is known. Features are
standardised. Union: value over that of greedy on all rows, of greedy on what the parts offer; returned: the same of
what `maximize_sharded` returns; bound: its value over `Selection.bound`. What is best has at most 1 / that as much.

| rows | eta | order | parts | union | returned | bound |
| --- | --- | ---: | ---: | ---: | ---: | ---: |"""
TIMES = """\
Seconds of processor time of one thread, and in brackets seconds that passed, which tell of the disk and of what else
the machine did; medians of {runs} in turns, of {large:,} rows of 10,000 one turn. Reading and multiplying is
`similarity` block by block; files are in the page cache where they fit. What was not measured is in italics, in
proportion to rows.

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
            signs = rng.choice([-1.0, 1.0], d).astype(np.float32)
            rows = block[: len(shard) - at]
            np.multiply(rows, signs, out=shard[at : at + len(rows)], casting="same_kind")
    return paths


@dataclass(frozen=True)
class Seconds:
    """Of one thread, which a busy machine hardly changes, and by the clock on the wall."""

    processor: float
    wall: float

    @classmethod
    def of(cls, act: Callable[[], object]) -> Seconds:
        processor, wall = time.process_time(), time.perf_counter()
        act()
        return cls(time.process_time() - processor, time.perf_counter() - wall)

    @classmethod
    def median(cls, several: list[Seconds]) -> Seconds:
        return cls(*(statistics.median(getattr(each, name) for each in several) for name in ("processor", "wall")))

    def cell(self, share: float) -> str:
        """Processor time of so many times the rows; the wall's only of what was measured."""
        return _digits(self.processor * share) + (f" ({_digits(self.wall)})" if share == 1 else "")


def _digits(number: float) -> str:
    """Three of them."""
    return f"{float(f'{number:.3g}'):,.10g}"


def times(work: Path, n: int, d: int, q: int, budget: int, n_parts: int, runs: int) -> tuple[Seconds, Seconds]:
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

    found = [(Seconds.of(multiply), Seconds.of(select)) for _ in range(runs)]
    for path in paths:
        path.unlink()
    return Seconds.median([m for m, _ in found]), Seconds.median([s for _, s in found])


def time_lines(work: Path, large: bool) -> Iterator[str]:
    jobs = [*SHARDS, LARGE] if large else SHARDS
    measured = {(n, d) for n, d, *_ in jobs}
    for n, d, q, budget, n_parts, runs in jobs:
        once, sharded = times(work, n, d, q, budget, n_parts, runs)
        others = [rows for rows in OTHERS.get((n, d), ()) if (rows, d) not in measured]
        for rows, mark in ((n, ""), *((other, "*") for other in others)):
            share = rows / n
            cells = (f"{rows:,} x {d:,}", q, budget, f"{n_parts * share:.0f}", once.cell(share), sharded.cell(share))
            ratio = f"{sharded.processor / once.processor:.2f}"
            ratio += f" ({sharded.wall / once.wall:.2f})" if share == 1 else ""
            yield f"| {' | '.join(f'{mark}{cell}{mark}' for cell in (*cells, ratio))} |"


def main(work: Path, outs: list[Path], large: bool) -> None:
    flag = "--large " if large else ""
    lines = [
        "# Selection in shards",
        "",
        f"Written by `python benchmarks/shards.py {flag}WORK OUT ...`. {hardware()}.",
        "",
    ]
    timed = []
    for line in time_lines(work, large):  # first, before features take memory that files could be cached in
        print(line, flush=True)
        timed.append(line)
    lines += HEADER.format(q=N_QUERIES, k=BUDGET).split("\n")
    for path in sorted({*work.glob("*.npz"), *(kept for out in outs for kept in keep_features(out, work))}):
        for line in values(Units.load(path)):
            print(line, flush=True)
            lines.append(line)
    lines += ["", *TIMES.format(runs=RUNS, large=LARGE[0]).split("\n"), *timed]
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("outs", type=Path, nargs="*")
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    main(given.work, given.outs, given.large)
