"""Equal spacing over few slices of many volumes."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from albench.strategies.base import Choice, Look, PoolView, Strategy
from albench.units.pool import by_case


class Equidistant(Strategy):
    """Few units of many cases, those of a case at equal distances.

    Asks nothing of a model. Places are given one at a time to the case with the fewest units annotated or chosen, at
    random among equals, so that every case has one before any has two. The k places of a case whose units span L
    positions (a slice's index, or a patch's in its grid, row by row) lie L / k apart. Where they begin is drawn at
    random among the beginnings that keep them farthest from what is annotated of the case already: any, where nothing
    is. Here the case's two ends count as neighbours, or else a second slice would always be one at an end, which shows
    little. A place that is not free moves to the nearest that is.
    """

    name = "equidistant"
    look = Look("model-free", "s", "--")
    summary = "few units of many cases at equal distances: needs no model"
    reference = "baseline"
    looks_at_cases = True

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Share out the places, then lay them out case by case."""
        row_of = {unit: row for row, unit in enumerate(view.units)}
        free = {case: sorted(units) for case, units in sorted(by_case(view.units).items())}
        known = by_case(view.annotated)
        n_annotated = {case: len(known.get(case, ())) for case in free}
        places = _shared_out(budget, {case: len(units) for case, units in free.items()}, n_annotated, rng)
        chosen: list[int] = []
        for case, n_places in places.items():
            indices = np.array([unit.index for unit in free[case]], dtype=np.int64)
            taken = np.array([unit.index for unit in known.get(case, ())], dtype=np.int64)
            chosen += [row_of[free[case][i]] for i in _spread(indices, taken, n_places, rng)]
        return Choice(indices=np.array(chosen, dtype=np.int64))


def _shared_out(
    budget: int, n_free: dict[str, int], n_annotated: dict[str, int], rng: np.random.Generator
) -> Counter[str]:
    """Say how many places each case has that has any."""
    names = [list(n_free)[i] for i in rng.permutation(len(n_free))]
    # Every place by which unit of its case it is, annotated ones counted; of equals the case that was drawn first.
    places = [
        (n_annotated[name] + turn, order)
        for order, name in enumerate(names)
        for turn in range(min(n_free[name], budget))
    ]
    return Counter(names[order] for _, order in sorted(places)[:budget])


def _spread(
    free: NDArray[np.int64], annotated: NDArray[np.int64], n_places: int, rng: np.random.Generator
) -> list[int]:
    """Positions in `free`, ascending indices, of `n_places` indices at equal distances."""
    low = min(free[0], *annotated) if annotated.size else free[0]
    high = max(free[-1], *annotated) if annotated.size else free[-1]
    step = (high + 1 - low) / n_places
    begins = np.arange(int(np.ceil(step)))
    wanted = low + np.floor(begins[:, None] + step * np.arange(n_places)).astype(np.int64)
    if annotated.size:
        apart = np.abs(wanted[:, :, None] - annotated)
        nearest = np.minimum(apart, high + 1 - low - apart).min(axis=(1, 2))
        wanted = wanted[nearest == nearest.max()]
    left = np.ones(free.size, dtype=bool)
    for index in wanted[rng.integers(len(wanted))]:
        left[np.argmin(np.where(left, np.abs(free - index), np.iinfo(np.int64).max))] = False
    return np.flatnonzero(~left).tolist()
