"""Chains and their rounds: where a round is written, what it draws from, what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albench.config import Protocol
from albench.progress import Advance, Reporter
from albench.results.stages import StageRecord, load_stage, run_stage
from albench.seeding import Key
from albench.strategies import Strategy, label_of
from albench.study.setup import SeedSetup
from albench.study.study import SHARED, Study
from albench.units.pool import Pool

QUERY, EVALUATION = "query.json", "evaluation.parquet"


@dataclass(frozen=True)
class Chain:
    """One strategy on one seed; no strategy stands for the start that all strategies of the seed share."""

    study: Study
    setup: SeedSetup
    strategy: Strategy | None
    reporter: Reporter

    @property
    def name(self) -> str:
        """Label of the strategy, and name of the chain's folder."""
        return label_of(self.strategy) if self.strategy else SHARED

    @property
    def protocol(self) -> Protocol:
        """The study's."""
        return self.study.config.protocol

    @property
    def pool(self) -> Pool:
        """The seed's."""
        return self.setup.pool

    def round(self, number: int) -> Round:
        """Round `number` of this chain."""
        return Round(self, number)

    @property
    def rounds(self) -> list[Round]:
        """All of them, the start first."""
        return [Round(self, number) for number in range(self.protocol.rounds)]

    @property
    def start(self) -> Round:
        """The first training and its test, which all strategies of a seed share."""
        return Round(replace(self, strategy=None), 0)


@dataclass(frozen=True)
class Round:
    """A query, the training on what is annotated by then, and its test.

    Its folder holds ``query.json`` (the units annotated for it), ``gallery.npz`` (pictures of some of them),
    ``model.pth`` (with folds ``model-0.pth`` and on) and ``evaluation.parquet``, each with the record of its stage.
    """

    chain: Chain
    number: int

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.chain.study.seed_folder(self.chain.name, self.chain.setup.seed) / f"round-{self.number}"

    @property
    def query(self) -> Path:
        """File of the units that are annotated for it."""
        return self.folder / QUERY

    @property
    def title(self) -> str:
        """Name that progress lines give it."""
        name = self.chain.name.removeprefix("_")
        return f"{self.chain.study.dataset.name} {name} seed {self.chain.setup.seed} round {self.number}"

    @property
    def budget(self) -> int:
        """Units that its query may choose."""
        return self.chain.protocol.budgets[self.number - 1]

    @property
    def event_folder(self) -> Path | None:
        """Folder of the chain's event files, or None where nothing is logged."""
        return self.chain.study.event_folder(self.chain.name, self.chain.setup.seed)

    @property
    def train_stages(self) -> dict[str, str]:
        """Stages of its training and the model file each leaves: one, or one a fold."""
        return train_stages(self.chain.protocol.training.folds)

    @property
    def models(self) -> tuple[Path, ...]:
        """Files of its models."""
        return tuple(self.folder / name for name in self.train_stages.values())

    def key(self, *component: Key) -> tuple[Key, ...]:
        """Name of a random stream; strategies share it, so that they differ by what they choose alone."""
        return (self.chain.study.dataset.name, self.chain.setup.seed, self.number, *component)

    def say(self, text: str) -> None:
        """Print one line about it."""
        self.chain.reporter.say(f"{self.title}: {text}")

    def task(self, text: str, total: int | None = None) -> contextlib.AbstractContextManager[Advance]:
        """Show a part of it as a task."""
        return self.chain.reporter.task(f"{self.title}: {text}", total)

    def stage(self, name: str, outputs: Sequence[str], compute: Callable[[], Mapping[str, Any]]) -> StageRecord:
        """Run a stage of it, unless that is finished; `outputs` are files in its folder."""
        return run_stage(self.folder, name, outputs, compute)

    def record(self, name: str) -> StageRecord | None:
        """Return what is remembered of a finished stage; None where it is not finished or not whole."""
        return load_stage(self.folder, name)


def train_stages(n_folds: int) -> dict[str, str]:
    """Stages of a round's training and the model file each leaves: one, or one a fold."""
    if n_folds == 1:
        return {"train": "model.pth"}
    return {f"train-{fold}": f"model-{fold}.pth" for fold in range(n_folds)}
