"""A study of one data set: its folders, its trainer for a seed, and the labels every chain starts from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.coldstart.choose import choose_start
from albench.config import StartMethod, StudyConfig
from albench.data import Dataset
from albench.data.groups import case_groups
from albench.errors import InputError
from albench.events import FOLDER
from albench.files import read_json, write_array, write_json
from albench.pool import Pool, Split, Unit
from albench.progress import Reporter
from albench.seeding import Key, generator
from albench.split import assign_folds, split_cases
from albench.stages import forget_stage, load_stage, run_stage
from albench.training.base import Trainer

SHARED = "_shared"
"""Folder, in place of a strategy's, of what all strategies of a seed have in common."""

POOL, DESCRIPTORS, START = "pool.parquet", "descriptors.npy", "start.json"

TrainerFactory = Callable[[Path], Trainer]


@dataclass(frozen=True)
class Study:
    """One data set under one configuration.

    Attributes
    ----------
    out
        Results folder of the whole run; this study's files are in ``out/<dataset>``.
    make_trainer
        Makes a trainer that works in the given folder.
    tensorboard
        Whether losses and Dice are logged for TensorBoard.
    gallery
        Units of each query that pictures are kept of, the first chosen first; no part of the configuration, since no
        result depends on it.
    """

    dataset: Dataset
    config: StudyConfig
    out: Path
    make_trainer: TrainerFactory
    reporter: Reporter
    tensorboard: bool = False
    gallery: int = 8

    def seed_folder(self, strategy: str, seed: int) -> Path:
        """Folder of one chain."""
        return self.out / self.dataset.name / strategy / f"seed-{seed}"

    def round_folder(self, strategy: str, seed: int, number: int) -> Path:
        """Folder of one round of a chain."""
        return self.seed_folder(strategy, seed) / f"round-{number}"

    def event_folder(self, strategy: str, seed: int) -> Path | None:
        """Folder of one chain's event files, or None where nothing is logged."""
        return self.out / FOLDER / self.dataset.name / strategy / f"seed-{seed}" if self.tensorboard else None

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Case to group, such as a patient, where cases belong together."""
        return case_groups(self.dataset, self.config.protocol.pool.group_by).groups

    def split(self, seed: int) -> Split:
        """Pool and test cases of a seed.

        By default the test cases are the same for every seed, so that cases can be paired; with ``pool.split_by: seed``
        they change with it. Of a data set with partial labels, completely labelled cases alone are tested on, and every
        other case with a label is in the pool.
        """
        partial, settings = self.dataset.is_partial, self.config.protocol.pool
        varies, n_folds = settings.split_by == "seed", settings.test_folds
        # cases are in the same folds for all seeds
        key: tuple[Key, ...] = (seed, "test") if varies and n_folds is None else ("test",)
        return split_cases(
            self.dataset.case_names,
            test_share=settings.test_share,
            max_test_cases=settings.max_test_cases,
            max_pool_cases=settings.max_cases,
            testable=self.dataset.complete_cases if partial else None,
            keep=self.dataset.annotated_cases if partial else (),
            groups=self.groups,
            fold=None if n_folds is None else (seed % n_folds if varies else 0, n_folds),
            test_rng=generator(self.dataset.name, *key),
            pool_rng=generator(self.dataset.name, seed, "pool"),
        )


@dataclass(frozen=True)
class SeedSetup:
    """What all chains of a seed share.

    Attributes
    ----------
    start
        Units annotated before the first training, in the order they were chosen.
    folds
        Fold of each case of the pool.
    """

    seed: int
    split: Split
    pool: Pool
    start: tuple[Unit, ...]
    trainer: Trainer
    folds: Mapping[str, int]


def start_units(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    method: StartMethod = "random",
    descriptors: NDArray[np.float32] | None = None,
) -> tuple[Unit, ...]:
    """Choose the starting set: uniformly, or by the units' `descriptors`, or all that are labelled, whatever `n` is."""
    if method == "labelled":
        rows = np.flatnonzero(pool.is_labelled)
    elif method == "random":
        rows = rng.choice(len(pool), n, replace=False)
    elif descriptors is None or len(descriptors) != len(pool):
        found = "none" if descriptors is None else f"shape {descriptors.shape}"
        raise ValueError(f"descriptors: expected a row for each of the {len(pool)} units of the pool, got {found}")
    else:
        rows = choose_start(method, n, descriptors, rng)
    return tuple(pool.units[i] for i in rows)


def check_budget(study: Study, pool: Pool) -> None:
    """Refuse a study that would annotate more units than the pool has, or has no label to start from."""
    protocol = study.config.protocol
    n_start, n_queries = protocol.pool.start, protocol.rounds - 1
    if protocol.pool.start_method == "labelled":
        n_start, n_queries = int(pool.is_labelled.sum()), min(1, n_queries)
        if n_start == 0:
            raise InputError(
                f"{study.dataset.name}: expected at least one completely labelled unit to start from, found none in "
                f"the {len(pool)} units of the pool"
            )
    wanted = n_start + n_queries * protocol.budget
    if wanted > len(pool):
        raise InputError(
            f"budget: {n_start} starting units and {n_queries} rounds of {protocol.budget} "
            f"make {wanted}, expected at most the {len(pool)} units in the pool of {study.dataset.name}"
        )
    bound = protocol.pool.max_per_case
    if bound is not None and protocol.rounds > 1:
        most = sum(min(bound, n) for n in Counter(unit.case for unit in pool.units).values())
        if protocol.budget > most:
            raise InputError(
                f"pool.max_per_case: expected a bound that lets a query have {protocol.budget} units, got {bound}, "
                f"which allows {most} in {len(pool.cases)} cases of {study.dataset.name}"
            )


def setup_seed(study: Study, seed: int, *, verify: bool = True) -> SeedSetup:
    """Scan, choose the starting set, plan and preprocess; what is done already is only read.

    With `verify`, every preprocessed file is compared with its checksum, and a damaged one made again.
    """
    folder = study.seed_folder(SHARED, seed)
    trainer = study.make_trainer(folder)
    split = study.split(seed)
    title = f"{study.dataset.name} seed {seed}"
    settings = study.config.protocol.pool
    by_looks = settings.start_method in ("k-centre", "typical")

    def scan() -> dict[str, int]:
        with study.reporter.task(f"{title}: reading {len(split.pool)} cases", len(split.pool)) as advance:
            found = trainer.scan(split, advance, describe=by_looks)
        check_budget(study, found.pool)
        found.pool.save(folder / POOL)
        if found.descriptors is not None:
            write_array(found.descriptors, folder / DESCRIPTORS)
        return {"n_units": len(found.pool), "n_fg_voxels": int(found.pool.voxel_counts[:, 1:].sum())}

    run_stage(folder, "scan", [POOL, DESCRIPTORS] if by_looks else [POOL], scan)
    pool = Pool.load(folder / POOL)

    def choose() -> dict[str, Any]:
        rng = generator(study.dataset.name, seed, "start")
        if by_looks:
            with study.reporter.task(f"{title}: choosing {settings.start} of {len(pool)} units to start with"):
                descriptors = np.load(folder / DESCRIPTORS)
                units = start_units(pool, settings.start, rng, settings.start_method, descriptors)
        else:
            units = start_units(pool, settings.start, rng, settings.start_method)
        write_json(folder / START, [[unit.case, unit.index] for unit in units])
        return {"method": settings.start_method}

    run_stage(folder, "start", [START], choose)
    start = tuple(Unit(case, index) for case, index in read_json(folder / START))

    def prepare() -> dict[str, int]:
        n_cases = len(split.pool) + len(split.test)
        with study.reporter.task(f"{title}: preprocessing {n_cases} cases", n_cases) as advance:
            trainer.prepare(split, pool, start, advance)
        return {"n_cases": n_cases}

    if verify and load_stage(folder, "prepare") is not None and not trainer.is_intact(split):
        study.reporter.say(f"{title}: a preprocessed file is damaged or missing, preprocessing that case again")
        forget_stage(folder, "prepare")
    run_stage(folder, "prepare", [], prepare)
    n_folds = study.config.protocol.training.folds
    folds = assign_folds(split.pool, n_folds, generator(study.dataset.name, seed, "folds"), study.groups)
    return SeedSetup(seed, split, pool, start, trainer, folds)
