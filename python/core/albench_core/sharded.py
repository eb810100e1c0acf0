"""Greedy maximisation over features that do not fit memory, in shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench_core import _core
from albench_core import arguments as check
from albench_core.api import Selection
from albench_core.candidates import Candidates, Goal
from albench_core.errors import InputError
from albench_core.multipliers import largest_gains, multipliers, outlay
from albench_core.shards import Part, Shard, one_at_a_time, parts_of

# What a part may take: its features, and 8-bit bounds.
PART_BYTES = 2**30
_BESIDE = 100  # bytes that a function holds for each row beside those of its queries
# What a part offers, in budgets: more than one makes the union's greedy better where parts differ. Few parts have to
# offer more for the union to have a choice.
_OVERSAMPLING = 2
_FEWEST = 8
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
    bound: bool = False,
    executor: Executor | None = None,
    part_bytes: int = PART_BYTES,
    n_threads: int | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> Selection:
    """Greedy maximisation of `FacilityLocationVariantMI` over rows that do not fit memory.

    GreeDi (Mirzasoleiman et al., NeurIPS 2013): greedy on each part of the rows, twice the budget or more, then on what
    all parts chose, half as many again, of which those go that the others make up for (`thinned`). The best of that, of
    greedy without it and of the best part; every row is read once. For random parts the value is at least (1 - 1/e) / 2
    of the optimum in expectation (Barbosa et al., ICML 2015); measured, it is not below that of greedy on all rows at
    once for random parts, nor by a thousandth for contiguous ones. `bound` says how far it may be from the optimum.

    `exact` makes it what greedy on all rows chooses: rows that would have been chosen instead of one of the chosen are
    added to what the parts chose, greedy is run again, and so on until there are none. All rows are read once more each
    time, two to nine times in all where it was measured.

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
    bound
        Whether to compute `Selection.bound`, which no `budget` of all rows have a larger value than: Lagrangian
        relaxation (`multipliers`). All rows are read and multiplied once more.
    executor
        Parts are handed to its ``submit``: an executor of `concurrent.futures`, a client of Dask. Give paths where it
        runs processes or other machines; arrays would be sent. None: one part after the other, by `n_threads` threads.
    part_bytes
        Larger shards are cut into parts of about this many bytes, of 4 budget rows at least; one is in memory at a
        time, with an executor one for each of its workers. What the parts chose is held too: 2 budget rows each, 8
        budget in all where parts are few.
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
    for name, flag in (("exact", exact), ("bound", bound)):
        if not isinstance(flag, (bool, np.bool_)):
            raise check.wrong(name, "True or False", f"a {type(flag).__name__}")
    room = check.integer("part_bytes", part_bytes, 1, 2**62)
    fewest = 4 * check.integer("budget", budget, 1, 2**62)
    parts = parts_of(shards, n_columns, lambda size: goal.row_bytes(size) + _BESIDE, room, fewest)
    k = check.integer("budget", budget, 1, sum(part.n for part in parts))

    offered = max(_OVERSAMPLING, ceil(_FEWEST / len(parts))) * k
    best = _each(executor, _best_of_part, parts, goal, c, k, offered)
    union = Candidates.together([candidates for candidates, _ in best])
    heard = _Readings(callback)
    heard.one(union)
    if exact:
        chosen, union = _without_rivals(parts, union, goal, c, k, executor, heard)
    else:
        several = (union.there_and_back(goal, c, k), *(selection for _, selection in best))
        chosen = max(several, key=lambda selection: selection.value)
    return _bounded(parts, union, chosen, goal, c, executor, heard) if bound else chosen


class _Readings:
    """Counts readings of all rows, and tells of them."""

    def __init__(self, callback: Callable[[int, int], object] | None) -> None:
        self._callback = callback
        self._n = 0

    def one(self, union: Candidates) -> None:
        """All rows have been read once more; these are to be chosen from now."""
        self._n += 1
        if self._callback is not None:
            self._callback(self._n, union.indices.size)


def _without_rivals(
    parts: list[Part],
    union: Candidates,
    goal: Goal,
    covered: NDArray[np.float64] | None,
    budget: int,
    executor: Executor | None,
    heard: _Readings,
) -> tuple[Selection, Candidates]:
    """Run greedy again with what would have been chosen instead, until there is nothing of the kind."""
    chosen = union.best(goal, covered, budget)
    agreed = 0  # the first so many steps are known to be those of greedy on all rows
    while True:
        s = goal.similarity(union.rows(chosen.indices))
        before = np.zeros(s.shape[1]) if covered is None else covered
        before = np.maximum(before, s[:agreed].max(axis=0, initial=0.0))
        run = s[agreed:], chosen.gains[agreed:], chosen.indices[agreed:]
        found = _each(executor, _rivals_of_part, parts, goal, before, *run, union.indices)
        n_before = union.indices.size
        union = Candidates.together([union, *found])
        heard.one(union)
        if union.indices.size == n_before:
            return chosen, union
        again = union.best(goal, covered, budget)
        # Whoever beats an unchanged step was in this union, and did not.
        agreed = int(np.argmin(np.append(again.indices == chosen.indices, False)))
        chosen = again
        if agreed == chosen.indices.size:
            return chosen, union


def _bounded(
    parts: list[Part],
    union: Candidates,
    chosen: Selection,
    goal: Goal,
    covered: NDArray[np.float64] | None,
    executor: Executor | None,
    heard: _Readings,
) -> Selection:
    """Say what no set of as many rows has more than."""
    S = goal.similarity(union.X)
    of_chosen = S[np.searchsorted(union.indices, chosen.indices)]
    at = multipliers(S, of_chosen, goal, covered, chosen.value)
    gains = np.concatenate(_each(executor, _gains_of_part, parts, goal, at, chosen.indices.size))
    heard.one(union)
    bound = outlay(at, covered, goal.weights) + float(np.sort(gains)[-chosen.indices.size :].sum())
    return replace(chosen, bound=max(bound, chosen.value))


def _each(executor: Executor | None, task: Callable[..., T], parts: list[Part], *arguments: Any) -> list[T]:
    """Do a task for every part, in the executor where there is one; what was not begun when one fails is not."""
    if executor is None:
        with one_at_a_time():
            return [task(part, *arguments) for part in parts]
    futures = [executor.submit(task, part, *arguments) for part in parts]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _best_of_part(
    part: Part, goal: Goal, covered: NDArray[np.float64] | None, budget: int, offered: int
) -> tuple[Candidates, Selection]:
    X = part.read()
    rows = Candidates(np.arange(part.first, part.first + part.n), X)
    with _named(part):
        return rows.more(goal, covered, offered, budget)


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


def _gains_of_part(part: Part, goal: Goal, covered: NDArray[np.float64], budget: int) -> NDArray[np.float64]:
    return largest_gains(part.read(), goal, covered, budget)


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
