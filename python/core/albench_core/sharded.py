"""Greedy maximisation over features that do not fit memory, in shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench_core import _core
from albench_core import arguments as check
from albench_core.api import Selection, maximize
from albench_core.errors import InputError
from albench_core.functions import FacilityLocationVariantMI
from albench_core.shards import Part, Shard, parts_of

# What a part may take: its features, and 8-bit bounds.
PART_BYTES = 2**30
_BESIDE = 100  # bytes that a function holds for each row beside those of its queries
# What a part offers, in budgets: more than one makes the union's greedy better where parts differ.
_OVERSAMPLING = 2
# Rows whose gain comes so close to one that was chosen are candidates from then on, up to two for each choice and part:
# as choices change in the next round, fewer rounds are left.
_MARGIN = 0.02
_CLOSE = 2

T = TypeVar("T")


class Future(Protocol):
    """What `submit` returns."""

    def result(self) -> Any:
        """Wait for what was computed, or raise what was raised."""

    def cancel(self) -> Any:
        """Have it not begin."""


class Executor(Protocol):
    """Whatever runs functions elsewhere: executors of `concurrent.futures`, a client of Dask."""

    def submit(self, fn: Callable[..., Any], /, *arguments: Any) -> Future:
        """Have ``fn(*arguments)`` called."""


@dataclass(frozen=True, eq=False)
class Goal:
    """The function that is maximised, but for its candidates."""

    Q: NDArray[Any]
    weights: NDArray[np.float64] | None
    eta: float
    metric: str
    scale: NDArray[np.float64] | None
    n_threads: int

    def over(self, X: NDArray[Any], covered: NDArray[np.float64] | None) -> FacilityLocationVariantMI:
        """Make the function of candidates X (n, d)."""
        return FacilityLocationVariantMI.from_features(
            X,
            self.Q,
            weights=self.weights,
            eta=self.eta,
            covered=covered,
            metric=self.metric,
            scale=self.scale,
            max_memory=X.shape[0] * self.row_bytes(X.shape[1] * X.itemsize),
            n_threads=self.n_threads,
        )

    def row_bytes(self, feature_bytes: int) -> int:
        """Bytes for each row beside its features: 8-bit bounds, and the similarities where they are the smaller.

        Rows are then multiplied once; of wide rows, multiplying the undecided again would take longer than all else.
        """
        q = int(self.Q.shape[0])
        return q + 40 + (4 * q if 4 * q <= feature_bytes else 0)

    def similarity(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Similarities (n, q) of X (n, d) to the queries."""
        return _core.similarity(X, self.Q, self.metric, self.scale, self.n_threads)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows X (n, d) and their indices (n,) among all rows, which ascend."""

    indices: NDArray[np.int64]
    X: NDArray[Any]

    @classmethod
    def together(cls, several: Sequence[Candidates]) -> Self:
        """All of several, no row of which is in two."""
        indices = np.concatenate([each.indices for each in several])
        order = np.argsort(indices)
        return cls(indices[order], np.concatenate([each.X for each in several])[order])

    def best(self, goal: Goal, covered: NDArray[np.float64] | None, budget: int) -> Selection:
        """Greedy over these: as they ascend, ties go to the lowest of all indices."""
        return self.more(goal, covered, budget, budget)[1]

    def more(
        self, goal: Goal, covered: NDArray[np.float64] | None, n_chosen: int, budget: int
    ) -> tuple[Candidates, Selection]:
        """Choose `n_chosen` by greedy: these as candidates, and the first `budget` as the selection that they are."""
        f = goal.over(self.X, covered)
        chosen = maximize(f, min(n_chosen, self.indices.size), n_threads=goal.n_threads)
        kept = np.sort(chosen.indices)
        first = chosen.indices[:budget]
        value = chosen.value if first.size == chosen.indices.size else f.evaluate(first)
        selection = Selection(self.indices[first], chosen.gains[:budget], value)
        return Candidates(self.indices[kept], self.X[kept]), selection

    def rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (k, d) of some of them."""
        return self.X[np.searchsorted(self.indices, indices)]


def maximize_sharded(
    shards: Sequence[Shard],
    Q: ArrayLike,
    budget: int,
    *,
    weights: ArrayLike | None = None,
    eta: float = 1.0,
    covered: ArrayLike | None = None,
    metric: str = "cosine",
    scale: ArrayLike | None = None,
    exact: bool = False,
    executor: Executor | None = None,
    part_bytes: int = PART_BYTES,
    n_threads: int | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> Selection:
    """Greedy maximisation of `FacilityLocationVariantMI` over rows that do not fit memory.

    GreeDi (Mirzasoleiman et al., NeurIPS 2013): greedy on each part of the rows, twice the budget, then on what all
    parts chose; the better of that and of the best part. Every row is read once. For random parts the value is at least
    (1 - 1/e) / 2 of the optimum in expectation (Barbosa et al., ICML 2015); measured, it is within about a thousandth
    of that of greedy on all rows at once, for contiguous parts within five. `exact` makes it equal to that: rows that
    would have been chosen instead of one of the chosen are added to what the parts chose, greedy is run again, and so
    on until there are none. All rows are read once more each time, two to nine times in all where it was measured.

    Parameters
    ----------
    shards
        Arrays (n_i, d) of one dtype as for `similarity`, or paths of .npy files of such: NumPy arrays, memmaps, arrays
        of zarr or h5py. Rows are numbered through, in the order of the shards.
    Q, metric, scale
        (q, d) queries and so on, as for `similarity`.
    budget
        Number of rows to choose, 1..number of rows.
    weights, eta, covered
        As for `FacilityLocationVariantMI`; eta = 0 is `FacilityLocation`.
    exact
        Whether to choose what `maximize` over all rows chooses: the same indices, gains and value.
    executor
        Parts are handed to its ``submit``: an executor of `concurrent.futures`, a client of Dask. Give paths where it
        runs processes or other machines; arrays would be sent. None: one part after the other, by `n_threads` threads.
    part_bytes
        Larger shards are cut into parts of about this many bytes, of 4 budget rows at least; one is in memory at a
        time, with an executor one for each of its workers. What the parts chose is held too, up to 2 budget rows each.
    n_threads
        For each part; None: all cores this process may run on, with an executor 1. The result does not depend on it.
    callback
        Called as callback(n_readings, n_candidates) whenever all rows have been read: how often they were so far, and
        how many rows are to be chosen from.

    Raises
    ------
    ValueError
        Names the argument or shard, what was expected and found.

    Examples
    --------
    >>> import numpy as np
    >>> shards = [np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0]])]
    >>> chosen = maximize_sharded(shards, [[1.0, 0.0], [0.0, 1.0]], budget=2, metric="dot")
    >>> chosen.indices, chosen.gains, chosen.value
    (array([2, 1]), array([6., 4.]), 10.0)
    """
    queries = check.features("Q", Q)
    n_columns = int(queries.shape[1])
    w, c = check.vector("weights", weights, queries.shape[0]), check.covered(covered, queries.shape[0])
    if w is not None and not w.all():
        present = check.present("weights", w)
        queries, w, c = queries[present], w[present], None if c is None else c[present]
    threads = 1 if executor is not None and n_threads is None else check.threads(n_threads)
    factors = check.vector("scale", scale, n_columns)
    goal = Goal(queries, w, check.number("eta", eta), check.metric(metric), factors, threads)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise check.wrong("executor", "an object with `submit`, or None", f"a {type(executor).__name__}")
    if callback is not None and not callable(callback):
        raise check.wrong("callback", "a callable or None", type(callback).__name__)
    if not isinstance(exact, (bool, np.bool_)):
        raise check.wrong("exact", "True or False", f"a {type(exact).__name__}")
    room = check.integer("part_bytes", part_bytes, 1, 2**62)
    fewest = 4 * check.integer("budget", budget, 1, 2**62)
    parts = parts_of(shards, n_columns, lambda size: goal.row_bytes(size) + _BESIDE, room, fewest)
    k = check.integer("budget", budget, 1, sum(part.n for part in parts))

    best = _each(executor, _best_of_part, parts, goal, c, k)
    union = Candidates.together([candidates for candidates, _ in best])
    if callback is not None:
        callback(1, union.indices.size)
    chosen = union.best(goal, c, k)
    if exact:
        return _without_rivals(parts, union, chosen, goal, c, executor, callback)
    return max((chosen, *(selection for _, selection in best)), key=lambda selection: selection.value)


def _without_rivals(
    parts: list[Part],
    union: Candidates,
    chosen: Selection,
    goal: Goal,
    covered: NDArray[np.float64] | None,
    executor: Executor | None,
    callback: Callable[[int, int], object] | None,
) -> Selection:
    """Run greedy again with what would have been chosen instead, until there is nothing of the kind."""
    n_readings = 1
    agreed = 0  # the first so many steps are known to be those of greedy on all rows
    while True:
        s = goal.similarity(union.rows(chosen.indices))
        before = np.zeros(s.shape[1]) if covered is None else covered
        before = np.maximum(before, s[:agreed].max(axis=0, initial=0.0))
        run = s[agreed:], chosen.gains[agreed:], chosen.indices[agreed:]
        found = _each(executor, _rivals_of_part, parts, goal, before, *run, union.indices)
        n_readings += 1
        n_before = union.indices.size
        union = Candidates.together([union, *found])
        if callback is not None:
            callback(n_readings, union.indices.size)
        if union.indices.size == n_before:
            return chosen
        again = union.best(goal, covered, chosen.indices.size)
        # Whoever beats an unchanged step was in this union, and did not.
        agreed = int(np.argmin(np.append(again.indices == chosen.indices, False)))
        chosen = again
        if agreed == chosen.indices.size:
            return chosen


def _each(executor: Executor | None, task: Callable[..., T], parts: list[Part], *arguments: Any) -> list[T]:
    """Do a task for every part, in the executor where there is one; what was not begun when one fails is not."""
    if executor is None:
        return [task(part, *arguments) for part in parts]
    futures = [executor.submit(task, part, *arguments) for part in parts]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _best_of_part(
    part: Part, goal: Goal, covered: NDArray[np.float64] | None, budget: int
) -> tuple[Candidates, Selection]:
    X = part.read()
    rows = Candidates(np.arange(part.first, part.first + part.n), X)
    with _named(part):
        return rows.more(goal, covered, _OVERSAMPLING * budget, budget)


def _rivals_of_part(
    part: Part,
    goal: Goal,
    covered: NDArray[np.float64],
    s: NDArray[np.float32],
    gains: NDArray[np.float64],
    chosen: NDArray[np.int64],
    known: NDArray[np.int64],
) -> Candidates:
    X = part.read()
    members = known[(known >= part.first) & (known < part.first + part.n)] - part.first
    with _named(part):
        f = goal.over(X, covered)
        close = _CLOSE * s.shape[0]
        found = _core.rivals(f._f, s, gains, chosen - part.first, members, _MARGIN, close, goal.n_threads)
    found.sort()
    return Candidates(found + part.first, X[found])


@contextmanager
def _named(part: Part) -> Iterator[None]:
    """Have what is wrong with rows name their shard."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("`X`: "):
            raise
        said = str(error).removeprefix("`X`: ")
        raise InputError(f"`{part.name}`, rows from {part.start}: {said}") from error
