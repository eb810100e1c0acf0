"""Chains and their rounds: where a round is written, what it draws from, what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albench.config import Protocol
from albench.errors import InputError
from albench.progress import Advance, Reporter
from albench.results.layout import CEILING, SHARED, ChainFolder, RoundFolder, train_stages
from albench.results.stages import StageRecord, finished_stage, load_stage, run_stage
from albench.seeding import Key
from albench.strategies import Strategy, label_of
from albench.study.limits import named
from albench.study.setup import SeedSetup
from albench.study.study import Study
from albench.units.pool import Pool


class UnfinishedError(Exception):
    """A stage has to run, of a chain that is only looked at."""


@dataclass(frozen=True)
class Chain:
    """One strategy on one seed; no strategy stands for the start that all strategies of the seed share.

    Attributes
    ----------
    only_look
        Whether nothing may be computed or written: the first stage that would have to run raises `UnfinishedError`.
    """

    study: Study
    setup: SeedSetup
    strategy: Strategy | None
    reporter: Reporter
    only_look: bool = False

    @property
    def name(self) -> str:
        """Label of the strategy, and name of the chain's folder."""
        return label_of(self.strategy) if self.strategy else SHARED

    @property
    def folder(self) -> ChainFolder:
        """Where its files are."""
        return self.study.folder.chain(self.name, self.setup.seed)

    @property
    def event_folder(self) -> Path | None:
        """Folder of its event files, or None where nothing is logged."""
        return self.folder.events if self.study.tensorboard else None

    @property
    def protocol(self) -> Protocol:
        """The study's."""
        return self.study.config.protocol

    @property
    def pool(self) -> Pool:
        """The seed's."""
        return self.setup.pool

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
    def folder(self) -> RoundFolder:
        """Where its files are."""
        return self.chain.folder.round(self.number)

    @property
    def title(self) -> str:
        """Name that progress lines give it."""
        name = self.chain.name.removeprefix("_")
        return f"{self.chain.study.dataset.name} {name} seed {self.chain.setup.seed} round {self.number}"

    @property
    def before(self) -> Round:
        """The round before it."""
        return Round(self.chain, self.number - 1)

    @property
    def budget(self) -> int:
        """Units that its query may choose."""
        return self.chain.protocol.budgets[self.number - 1]

    @property
    def train_stages(self) -> dict[str, str]:
        """Stages of its training and the model file each leaves: one, or one a fold."""
        return train_stages(self.chain.protocol.training.folds)

    @property
    def models(self) -> tuple[Path, ...]:
        """Files of its models."""
        return self.folder.models(self.chain.protocol.training.folds)

    @property
    def annotated(self) -> tuple[Path, ...]:
        """Files that say what is annotated when its models are trained."""
        if self.chain.name == CEILING:
            return (self.folder.query,)
        queries = (self.chain.folder.round(number).query for number in range(1, self.number + 1))
        return (self.folder.chain.shared.start, *queries)

    def key(self, *component: Key) -> tuple[Key, ...]:
        """Name of a random stream; strategies share it, so that they differ by what they choose alone.

        A ceiling with iterations of its own is the same whatever number of rounds the chains have.
        """
        own = self.chain.name == CEILING and self.chain.protocol.training.full_iterations is not None
        round_key = CEILING if own else self.number
        return (self.chain.study.dataset.name, self.chain.setup.seed, round_key, *component)

    def say(self, text: str) -> None:
        """Print one line about it."""
        self.chain.reporter.say(f"{self.title}: {text}")

    def task(self, text: str, total: int | None = None) -> contextlib.AbstractContextManager[Advance]:
        """Show a part of it as a task."""
        return self.chain.reporter.task(f"{self.title}: {text}", total)

    def stage(
        self, name: str, outputs: Sequence[str], inputs: Sequence[Path], compute: Callable[[], Mapping[str, Any]]
    ) -> StageRecord:
        """Run a stage of it, unless that is finished.

        Parameters
        ----------
        outputs
            Files in its folder.
        inputs
            Files that it reads, beside the preprocessed cases.

        Raises
        ------
        InputError
            What `albench.study.limits.named` names.
        UnfinishedError
            It would have to run, and the chain is only looked at.
        """
        inputs = (self.folder.chain.shared.prepared, *inputs)
        if self.chain.only_look:
            try:
                return finished_stage(self.folder.path, name, outputs, inputs)
            except InputError as error:
                raise UnfinishedError(str(error)) from None
        with named(self.title, self.folder.path):
            return run_stage(self.folder.path, name, outputs, compute, inputs=inputs, say=self.say)

    def record(self, name: str) -> StageRecord | None:
        """Return what is remembered of a finished stage; None where it is not finished or not whole."""
        return load_stage(self.folder.path, name)
