"""A starting set that holds every class, as nnActive makes it. It reads labels that nobody has drawn yet."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from albench.errors import InputError
from albench.units.pool import Pool, positions_by_case
from albench.units.room import Room

_PER_CLASS = 2
_FOREGROUND, _BORDER = 1 / 6, 1 / 6


def all_classes(pool: Pool, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose units around voxels of every class, then mostly anywhere, case by case; none overlap.

    First, for each class, the one in the fewest cases first and background among them, a unit around a random voxel of
    it in each of two cases, which are then no longer looked at for other classes. All others go round the cases in
    random order: with probability 1/6 around a voxel of a random foreground class of the case, with 1/6 around one at
    that class' border, else anywhere. Published: nnActive's starting budget ``random-label2-all-classes``
    (MIC-DKFZ/nnActive, commit f09a05c4f27019fc6724ce43d3e11c748d9a3035, ``strategies/randomlabel2.py`` and
    ``strategies/utils.py``), which centres a patch on the voxel; here a voxel stands for a unit that holds it, so that
    units are drawn in proportion to their voxels of the class.

    Parameters
    ----------
    pool
        Completely labelled.
    n
        Units wanted, at least two a class.

    Returns
    -------
    ndarray
        int64 (n,) rows of the pool, in order of choice.

    Raises
    ------
    InputError
        Too few units wanted for the classes, or too few that find room beside each other.
    """
    draw = _Draw(pool, rng)
    cases_of = {
        label: [case for case, rows in draw.rows.items() if pool.voxel_counts[rows, label].any()]
        for label in range(pool.voxel_counts.shape[1])
    }
    cases_of = {label: cases for label, cases in cases_of.items() if cases}
    if n < _PER_CLASS * len(cases_of):
        raise InputError(
            f"pool.start: expected at least {_PER_CLASS * len(cases_of)} units, {_PER_CLASS} for each of the "
            f"{len(cases_of)} classes, got {n}"
        )
    while cases_of:
        label = min(cases_of, key=lambda label: len(cases_of[label]))
        n_chosen = 0
        for case in rng.permutation(np.array(cases_of.pop(label), dtype=object)):
            if n_chosen < _PER_CLASS and draw.unit(case, pool.voxel_counts[:, label]):
                n_chosen += 1
                cases_of = {other: [name for name in names if name != case] for other, names in cases_of.items()}
    _fill(draw, n)
    return np.array(draw.chosen, dtype=np.int64)


def _fill(draw: _Draw, n: int) -> None:
    """Go round the cases until `n` units are chosen."""
    rng, pool = draw.rng, draw.pool
    for case in itertools.cycle(rng.permutation(np.array(list(draw.rows), dtype=object))):
        if len(draw.chosen) == n:
            return
        if not draw.room.free.any():
            raise InputError(f"pool.start: expected room for {n} units, found it for {len(draw.chosen)}")
        kind, counts = rng.random(), None
        if kind < _FOREGROUND + _BORDER:
            present = np.flatnonzero(pool.voxel_counts[draw.rows[case], 1:].any(axis=0)) + 1
            if present.size == 0:
                continue
            of_kind = pool.voxel_counts if kind < _FOREGROUND else pool.border_counts
            counts = of_kind[:, rng.choice(present)]
        draw.unit(case, counts)


class _Draw:
    """Units chosen so far, and the room that is left."""

    def __init__(self, pool: Pool, rng: np.random.Generator) -> None:
        self.pool, self.rng = pool, rng
        self.rows = positions_by_case(pool.units)
        self.room = Room(pool.units, None, (pool.starts, pool.stops) if pool.overlaps else None)
        self.chosen: list[int] = []

    def unit(self, case: str, counts: NDArray[np.int64] | None) -> bool:
        """Draw a unit of a case in proportion to `counts`, a number for each unit of the pool, or uniformly.

        Returns
        -------
        bool
            Whether there was one.
        """
        rows = self.rows[case]
        weights = self.room.free[rows] * (1.0 if counts is None else counts[rows])
        if not weights.any():
            return False
        self.chosen.append(int(self.rng.choice(rows, p=weights / weights.sum())))
        self.room.take(self.chosen[-1])
        return True
