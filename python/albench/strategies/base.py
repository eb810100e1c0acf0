"""What a strategy is: a small class that picks units from a view of the pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from albench.errors import InputError
from albench.scoring.request import GradientSettings, Need, Scores, uncertainty
from albench.units.pool import Unit
from albench.units.room import Room
from albench_core.arguments import integer

Floats = TypeVar("Floats", np.float32, np.float64)


@dataclass(frozen=True, eq=False)
class Oracle:
    """Ground truth that no annotator has given yet.

    Attributes
    ----------
    voxel_counts, border_counts
        int64 (n, n_labels): voxels of each label in each unit, and those of them that touch another label.
    """

    voxel_counts: NDArray[np.int64]
    border_counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PoolView:
    """What a strategy sees in one round.

    Attributes
    ----------
    units
        The n unlabelled units, sorted.
    scores
        What the strategy asked for, of these units in this order.
    class_weights
        float64 (n_labels,): from the labelled voxels, background 0, sum 1.
    query_number
        Which of the chain's queries this is, counted from 0.
    n_queries
        How many there are, for strategies that declare `scheduled` alone: a chain of any other can be made longer.
    annotated
        Units whose annotation is there already, in order of choice.
    oracle
        Ground truth of the units, for strategies that declare `oracle_aided` alone.
    """

    units: tuple[Unit, ...]
    scores: Scores
    class_weights: NDArray[np.float64]
    query_number: int = 0
    n_queries: int | None = None
    annotated: tuple[Unit, ...] = ()
    oracle: Oracle | None = None

    @cached_property
    def uncertainty(self) -> NDArray[np.float64]:
        """Class-weighted variance over the stochastic passes; float64 (n,)."""
        return uncertainty(self.score("variance"), finite("class_weights", self.class_weights))

    @cached_property
    def mean_variance(self) -> NDArray[np.float64]:
        """Variance over the stochastic passes, mean over all classes; float64 (n,)."""
        return np.asarray(self.score("variance").mean(axis=1), dtype=np.float64)

    def subset(self, rows: NDArray[np.int64], annotated: Sequence[int] = ()) -> PoolView:
        """Return the view of the units at `rows` alone; those at `annotated` count as annotated."""
        oracle = self.oracle and Oracle(self.oracle.voxel_counts[rows], self.oracle.border_counts[rows])
        return replace(
            self,
            units=tuple(self.units[row] for row in rows),
            annotated=(*self.annotated, *(self.units[row] for row in annotated)),
            scores=self.scores.subset(rows, annotated),
            oracle=oracle,
        )

    def score(self, name: str) -> NDArray[np.float64]:
        """Return the array `name` of the scores; ValueError where nobody asked for it or a value is not finite."""
        values = getattr(self.scores, name)
        if values is None:
            raise ValueError(f"scores: {name} was not asked for in the strategy's needs")
        return finite(name, values)


@dataclass(frozen=True, eq=False)
class Choice:
    """Chosen units.

    Attributes
    ----------
    indices
        int64 (budget,): positions in the view's units, in order of choice.
    scores
        float64 (budget,): each chosen unit's own score, NaN where a strategy has none.
    gains
        float64 (budget,): what each choice added to the objective, NaN where there is none.
    """

    indices: NDArray[np.int64]
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    gains: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for name in ("scores", "gains"):
            if getattr(self, name).size == 0:
                object.__setattr__(self, name, np.full(self.indices.size, np.nan))


Family = Literal[
    "model-free",
    "entropy",
    "class-entropy",
    "variance",
    "disagreement",
    "diversity",
    "usim",
    "mutual-information",
    "ceiling",
]
"""What a strategy looks at, in the order of legends and tables; a family has one colour."""


class Look(NamedTuple):
    """How figures show a strategy: its family's colour, and matplotlib's marker and line style of its own."""

    family: Family
    marker: str
    line: str = "-"


class Strategy(ABC):
    """Picks units to annotate. Trains nothing, predicts nothing, reads no disk.

    Attributes
    ----------
    name
        Name on the command line and in results.
    look
        How figures show it; None: drawn from its name.
    summary
        One line: what it prefers.
    reference
        Where it comes from.
    needs
        What has to be computed of the unlabelled units first; an instance's own where a parameter decides it.
    oracle_aided
        Whether it reads ground truth, as no practitioner could; reports say so.
    whole_pool
        Whether it takes every unit, whatever the budget.
    looks_at_cases
        Whether its choice depends on which case a unit is of; an instance's own where a parameter decides it.
    scheduled
        Whether it looks at how many queries a chain has, and so chooses otherwise from the start where there are more.
    gradients
        What the gradients are of, where it needs any.

    Notes
    -----
    Parameters are keyword-only arguments of the constructor, annotated with int, float, bool, str or a Literal, each
    with a default and kept in an attribute of its own name.
    """

    name: ClassVar[str]
    look: ClassVar[Look | None] = None
    summary: ClassVar[str]
    reference: ClassVar[str]
    needs: Need = Need.NOTHING
    oracle_aided: ClassVar[bool] = False
    whole_pool: ClassVar[bool] = False
    looks_at_cases: bool = False
    scheduled: ClassVar[bool] = False
    gradients: GradientSettings = GradientSettings()

    def __init__(self) -> None:  # ends the chain of constructors that hand arguments on to their bases
        super().__init__()

    @abstractmethod
    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Choose `budget` different units of the view.

        Parameters
        ----------
        view
            n unlabelled units and what is known of them.
        budget
            1 to n.
        rng
            The only source of randomness.
        """


def noise_ranked(log_scores: NDArray[np.float64], budget: int, rng: np.random.Generator, beta: float = 1.0) -> Choice:
    """Return the highest of `log_scores` plus Gumbel(0, 1 / beta) noise: a draw without replacement by score ** beta.

    Scores of zero come last, in random order (Kirsch et al., TMLR 2023).
    """
    noise = rng.gumbel(scale=1.0 / beta, size=log_scores.size)
    # -inf plus noise would tie: such units go below all others, by their noise
    finite_scores = np.isfinite(log_scores)
    order = np.lexsort((-noise, -np.where(finite_scores, log_scores + noise, -np.inf)))[:budget].astype(np.int64)
    return Choice(indices=order)


def choose(
    strategy: Strategy,
    view: PoolView,
    budget: int,
    rng: np.random.Generator,
    *,
    max_per_case: int | None = None,
    boxes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Choice:
    """Let `strategy` select, and check what it is given and what it gives.

    A bound on the units of one case holds for every strategy in the same way, and so does that no two units of a batch
    have a voxel in common: of what the strategy selects, in its order, the units that may not be are passed over, and
    the strategy is asked again for as many as are missing, among the units that still may. For a ranking this is the
    best batch within the bound. Units chosen before count as annotated where the strategy looks at those, as k-centre
    does; other strategies select the rest of the batch without regard to them.

    Parameters
    ----------
    max_per_case
        Units of one case that the selection may have; None: any number. Does not bind a strategy that takes the whole
        pool.
    boxes
        Starts and stops of the view's units, int64 (n, 3) each, where units overlap; None: no two do. The selection is
        smaller than the budget where no more find room beside each other.

    Raises
    ------
    InputError
        If the bound allows less than the budget.
    ValueError
        If the budget is not in 1..n; if an answer is not as many different units of
        the view, with a score and a gain each.
    """
    if (max_per_case is None and boxes is None) or strategy.whole_pool:
        return _select(strategy, view, budget, rng)
    integer("budget", budget, 1, len(view.units))
    room = Room(view.units, max_per_case, boxes)
    if boxes is None and budget > room.most:
        raise InputError(
            f"max_per_case: expected a bound that lets a batch have {budget} units, got {max_per_case}, which allows "
            f"{room.most} in {len(room.left)} cases"
        )
    indices: list[int] = []
    scores: list[float] = []
    gains: list[float] = []
    while len(indices) < budget:
        rows = np.flatnonzero(room.free)
        if rows.size == 0:
            break
        rest = view if rows.size == len(view.units) else view.subset(rows, indices)
        part = _select(strategy, rest, min(budget - len(indices), rows.size), rng)
        for place, score, gain in zip(part.indices, part.scores, part.gains, strict=True):
            row = int(rows[place])
            if room.free[row]:
                room.take(row)
                indices.append(row)
                scores.append(float(score))
                gains.append(float(gain))
    return Choice(np.array(indices, dtype=np.int64), np.array(scores), np.array(gains))


def _select(strategy: Strategy, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
    """Ask once, and check the answer."""
    n = len(view.units)
    selection = strategy.select(view, integer("budget", budget, 1, n), rng)
    expected, indices = n if strategy.whole_pool else budget, selection.indices
    if (
        indices.shape != (expected,)
        or indices.dtype != np.int64
        or indices.min() < 0
        or indices.max() >= n
        or np.unique(indices).size != expected
    ):
        raise ValueError(
            f"strategy '{strategy.name}': expected {expected} different int64 indices in 0..{n - 1}, "
            f"got {indices.dtype} {np.array2string(indices, threshold=10, separator=', ')}"
        )
    for name in ("scores", "gains"):
        if getattr(selection, name).shape != indices.shape:
            raise ValueError(
                f"strategy '{strategy.name}', {name}: expected shape {indices.shape}, "
                f"got {getattr(selection, name).shape}"
            )
    return selection


def seed_of(rng: np.random.Generator) -> int:
    """Draw a seed for a routine that takes a number."""
    return int(rng.integers(2**63))


def positive(name: str, value: float) -> float:
    """Return `value`, or raise InputError where it is not a positive finite number."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"parameter {name}: expected a positive number, got {value}")
    return float(value)


def non_negative(name: str, value: float) -> float:
    """Return `value`, or raise InputError where it is not a finite number from 0 up."""
    if not (np.isfinite(value) and value >= 0):
        raise InputError(f"parameter {name}: expected a number of at least 0, got {value}")
    return float(value)


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return `value`, or raise InputError where it is not among `allowed`."""
    if value not in allowed:
        raise InputError(f"parameter {name}: expected one of {', '.join(allowed)}, got {value!r}")
    return value


def finite(name: str, values: NDArray[Floats]) -> NDArray[Floats]:
    """Return `values`, or raise ValueError naming how many of them are not finite."""
    # Row by row: gradient embeddings are large enough for a mask of all of them to matter.
    bad = sum(row.size - int(np.count_nonzero(np.isfinite(row))) for row in np.atleast_2d(values))
    if bad:
        raise ValueError(f"{name}: expected finite values, got {bad} of {values.size} that are not")
    return values


def top(scores: NDArray[np.float64], budget: int) -> Choice:
    """Return the `budget` highest scores, highest first, ties to the lowest index."""
    order = np.argsort(-scores, kind="stable")[:budget].astype(np.int64)
    return Choice(indices=order, scores=scores[order])
