"""What all chains of a seed share: its split, its pool, the labels it starts from, the preprocessed cases."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.coldstart.all_classes import all_classes
from albench.coldstart.choose import choose_start
from albench.config import StartMethod
from albench.errors import InputError
from albench.machine.files import read_json, write_array, write_json
from albench.machine.foreign import read_array
from albench.progress import Reporter
from albench.results.layout import DESCRIPTORS, POOL, PREPARED, START
from albench.results.reading import read_object
from albench.results.stages import changed_file, forget_stage, load_stage, run_stage
from albench.seeding import generator
from albench.study.budget import check_budget
from albench.study.limits import named
from albench.study.study import Study
from albench.training.base import Trainer
from albench.units.pool import Pool, Split, Unit
from albench.units.room import Room
from albench.units.split import assign_folds


@dataclass(frozen=True)
class SeedSetup:
    """What all chains of a seed share.

    Attributes
    ----------
    start
        Units annotated before the first training, in the order they were chosen.
    make_trainer
        Makes the seed's trainer once: where all is finished nobody needs it, nor the libraries that it takes.
    folds
        Fold of each case of the pool.
    """

    seed: int
    split: Split
    pool: Pool
    start: tuple[Unit, ...]
    make_trainer: Callable[[], Trainer]
    folds: Mapping[str, int]

    @property
    def trainer(self) -> Trainer:
        """Plans, preprocesses, trains."""
        return self.make_trainer()


def _first_disjoint(pool: Pool, order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the first `n` rows of `order` that overlap none before them."""
    room = Room(pool.units, None, (pool.starts, pool.stops))
    chosen: list[int] = []
    for row in order.tolist():
        if room.free[row] and len(chosen) < n:
            room.take(row)
            chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def start_units(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    method: StartMethod = "random",
    descriptors: NDArray[np.float32] | None = None,
) -> tuple[Unit, ...]:
    """Choose the starting set of `n` units, no two of them with a voxel in common.

    Uniformly (fewer where no more find room), around voxels of every class, or by the units' `descriptors`; or all that
    are labelled, whatever `n` is.
    """
    if method == "labelled":
        rows = np.flatnonzero(pool.is_labelled)
    elif method == "all-classes":
        rows = all_classes(pool, n, rng)
    elif method == "random" and pool.overlaps:
        rows = _first_disjoint(pool, rng.permutation(len(pool)), n)
    elif method == "random":
        rows = rng.choice(len(pool), n, replace=False)
    elif descriptors is None or len(descriptors) != len(pool):
        shape = "none" if descriptors is None else f"shape {descriptors.shape}"
        raise ValueError(f"descriptors: expected a row for each of the {len(pool)} units of the pool, got {shape}")
    else:
        rows = choose_start(method, n, descriptors, rng)
    return tuple(pool.units[i] for i in rows)


def _read_start(path: Path) -> tuple[Unit, ...]:
    """Units of the start that was chosen; InputError where the file is something else."""
    try:
        return tuple(Unit(str(case), operator.index(index)) for case, index in read_json(path))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected the case and index of each unit, found something else ({error})") from None


def setup_seed(study: Study, seed: int, reporter: Reporter, *, verify: bool = True) -> SeedSetup:
    """Scan, choose the starting set, plan and preprocess; what is done already is only read.

    With `verify`, every preprocessed file is compared with its checksum, and a damaged one made again.
    """
    with named(f"{study.dataset.name} seed {seed}", study.folder.seed(seed).path):
        return _setup_seed(study, seed, reporter, verify=verify)


def _setup_seed(study: Study, seed: int, reporter: Reporter, *, verify: bool) -> SeedSetup:
    place = study.folder.seed(seed)
    folder = place.path
    trainer = cache(lambda: study.make_trainer(folder))
    split = study.split(seed)
    title = f"{study.dataset.name} seed {seed}"
    settings = study.config.protocol.pool
    by_looks = settings.start_method in ("k-centre", "typical")

    def say(text: str) -> None:
        reporter.say(f"{title}: {text}")

    def scan() -> dict[str, int]:
        with reporter.task(f"{title}: reading {len(split.pool)} cases", len(split.pool)) as advance:
            scanned = trainer().scan(split, advance, describe=by_looks)
        check_budget(study, scanned.pool)
        scanned.pool.save(place.pool)
        if scanned.descriptors is not None:
            write_array(scanned.descriptors, place.descriptors)
        return {"n_units": len(scanned.pool), "n_fg_voxels": int(scanned.pool.total_counts[1:].sum())}

    run_stage(folder, "scan", [POOL, DESCRIPTORS] if by_looks else [POOL], scan, say=say)
    pool = Pool.load(place.pool)

    def choose() -> dict[str, Any]:
        rng = generator(study.dataset.name, seed, "start")
        if by_looks:
            with reporter.task(f"{title}: choosing {settings.start} of {len(pool)} units to start with"):
                descriptors = read_array(place.descriptors)
                units = start_units(pool, settings.start, rng, settings.start_method, descriptors)
        else:
            units = start_units(pool, settings.start, rng, settings.start_method)
            if pool.overlaps and len(units) < settings.start:
                raise InputError(
                    f"pool.start: expected room for {settings.start} patches that do not overlap in the pool of "
                    f"{study.dataset.name}, found it for {len(units)}"
                )
        if settings.start_method == "all-classes":
            say("the starting set is chosen by labels that nobody has drawn yet")
        write_json(place.start, [[unit.case, unit.index] for unit in units])
        return {"method": settings.start_method}

    seen = [place.pool, place.descriptors] if by_looks else [place.pool]
    run_stage(folder, "start", [START], choose, inputs=seen, say=say)
    start = _read_start(place.start)

    def prepare() -> dict[str, int]:
        n_cases = len(split.pool) + len(split.test)
        with reporter.task(f"{title}: preprocessing {n_cases} cases", n_cases) as advance:
            write_json(place.prepared, trainer().preprocess(split, pool, start, advance))
        return {"n_cases": n_cases}

    prepared = load_stage(folder, "prepare") if verify else None
    if prepared and PREPARED in prepared.files and (change := changed_file(folder, read_object(place.prepared))):
        say(f"preprocessing again what is not as it was: {change}")
        forget_stage(folder, "prepare")
    run_stage(folder, "prepare", [PREPARED], prepare, inputs=[place.pool, place.start], say=say)
    n_folds = study.config.protocol.training.folds
    folds = assign_folds(split.pool, n_folds, generator(study.dataset.name, seed, "folds"), study.groups)
    return SeedSetup(seed, split, pool, start, trainer, folds)
