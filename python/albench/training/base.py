"""The one interface between the loop and whatever trains, predicts and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from albench.scoring.request import Need, Scores, ScoringRequest
from albench.seeding import Key
from albench.units.pool import Pool, Split, Unit
from albench.units.view import UnitView

Tick = Callable[[], None]


@dataclass(frozen=True, eq=False)
class PoolScan:
    """What reading the pool's cases gave.

    Attributes
    ----------
    descriptors
        float32 (n_units, d) of `albench.coldstart.descriptors.describe_slices`, rows as in the pool; None where they
        were not asked for.
    """

    pool: Pool
    descriptors: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainingReport:
    """What a training says of itself.

    Attributes
    ----------
    iterations
        Batches learned from.
    loss
        Mean training loss of the last tenth of them.
    setup_s, fit_s
        Seconds spent on laying labels over images and building the network, and on the iterations.
    warnings
        What went wrong and how it went on, a line each.
    """

    iterations: int
    loss: float
    setup_s: float
    fit_s: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Saving:
    """How a training is saved while it runs, so that one that is killed goes on, and ends as if it had not been.

    Attributes
    ----------
    file
        Where; whoever asked for the training removes it once the model is safe.
    of
        Digest of whatever the training depends on and is told nowhere else, such as the voxels; a file that was saved
        of another training is of no use.
    set_aside
        Moves a file that is of no use out of the way and returns where it is.
    say
        Takes a line for whoever watches.
    begin
        Called with the iteration at which the training begins or goes on, once for every attempt.
    every_s
        Seconds between two times; a training that is asked to end (SIGTERM) is saved then as well.
    at_end
        Whether it is saved after the last iteration too.
    share
        Most of the time that saving may take: where it is slow, it is done less often.
    """

    file: Path
    of: str
    set_aside: Callable[[Path], Path]
    say: Callable[[str], None]
    begin: Callable[[int], None]
    every_s: float
    at_end: bool = False
    share: float = 0.01


class Model(Protocol):
    """A trained model, or several that predict together.

    Attributes
    ----------
    warnings
        What went wrong so far and how it went on, a line each.
    """

    warnings: list[str]

    def predict(self, case: str) -> NDArray[np.uint8]:
        """Label map of a pool or test case on its original grid, axes (z, y, x)."""

    def reference(self, case: str) -> NDArray[np.uint8]:
        """Return the true label map on the same grid; for evaluation only."""

    def score(self, units: Sequence[Unit], needs: Need, request: ScoringRequest, on_unit: Tick) -> Scores:
        """Compute what is needed of `units`, in their order; calls `on_unit` for each in each of `unit_passes`."""

    def view(self, units: Sequence[Unit], request: ScoringRequest) -> list[UnitView]:
        """Predict `units` of the pool alone and return them, in their order, as people look at them."""


class Trainer(Protocol):
    """Trains models for one data set, one seed."""

    def scan(self, split: Split, on_case: Tick, describe: bool = False) -> PoolScan:
        """List the units of the pool's cases and what they hold; writes nothing that later steps miss.

        With `describe`, what each unit looks like is put into numbers as well.
        """

    def preprocess(self, split: Split, pool: Pool, start: Sequence[Unit], on_case: Tick) -> dict[str, str]:
        """Preprocess pool and test cases, once; `start` are the only units whose labels it may look at.

        Can be interrupted and called again: what is there and whole is kept.

        Returns
        -------
        dict
            SHA-256 of each file that later steps read, by path relative to the trainer's folder.
        """

    def train(
        self,
        units: Sequence[Unit],
        *,
        iterations: int,
        key: tuple[Key, ...],
        initial: Path | None,
        target: Path,
        on_iteration: Callable[[float], None],
        saving: Saving | None = None,
    ) -> TrainingReport:
        """Train on the annotated `units` and write the model to the file `target`.

        Parameters
        ----------
        key
            Names of the random stream; equal arguments give an equal model.
        initial
            Model file to start from; None starts from fresh weights.
        saving
            None: a training that is killed starts over.
        """

    def load(self, *paths: Path) -> Model:
        """Open models that `train` wrote, one a fold; they predict together."""
