"""A study of one data set, as data: what is asked, where it is written, and which cases are tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from albench.config import StudyConfig
from albench.data import Dataset
from albench.data.groups import case_groups
from albench.errors import InputError
from albench.results.layout import RunFolder, StudyFolder
from albench.seeding import Key, generator
from albench.training.base import Trainer
from albench.units.pool import Split
from albench.units.split import split_cases

TrainerFactory = Callable[[Path], Trainer]


@dataclass(frozen=True)
class Study:
    """One data set under one configuration; can be sent to another process.

    Attributes
    ----------
    out
        Results folder of the whole run; this study's files are in ``out/<dataset>``.
    make_trainer
        Makes a trainer that works in the given folder.
    tensorboard
        Whether losses and Dice are logged for TensorBoard.
    given
        How the data set was named by whoever asked, by name or path; empty: as in the request.
    gallery
        Units of each query that pictures are kept of, the first chosen first; no part of the configuration, since no
        result depends on it.
    checkpoint_minutes
        Between two times that a training is saved while it runs; 0: it never is. No result depends on it either.
    """

    dataset: Dataset
    config: StudyConfig
    out: Path
    make_trainer: TrainerFactory
    tensorboard: bool = False
    gallery: int = 8
    given: str = ""
    checkpoint_minutes: int = 10

    @property
    def folder(self) -> StudyFolder:
        """Where its files are."""
        return RunFolder(self.out).study(self.dataset.name)

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Case to group, such as a patient, where cases belong together."""
        return case_groups(self.dataset, self.config.protocol.pool.group_by).groups

    def split(self, seed: int) -> Split:
        """Pool and test cases of a seed.

        By default the test cases are the same for every seed, so that cases can be paired; with ``pool.split_by: seed``
        they change with it. Of a data set with partial labels, completely labelled cases alone are tested on, and every
        other case with a label is in the pool.

        Raises
        ------
        InputError
            There are too few cases for both.
        """
        partial, settings = self.dataset.is_partial, self.config.protocol.pool
        varies, n_folds = settings.split_by == "seed", settings.test_folds
        # cases are in the same folds for all seeds
        key: tuple[Key, ...] = (seed, "test") if varies and n_folds is None else ("test",)
        try:
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
        except InputError as error:
            raise InputError(f"{self.dataset.root}: {error}") from error
