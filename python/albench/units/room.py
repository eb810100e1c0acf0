"""Which units may still be chosen, by the bound on one case and by what overlaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from albench.units.pool import Unit, overlapping, positions_by_case


class Room:
    """What is left to choose from; `take` one unit after the other.

    Parameters
    ----------
    units
        All that there are.
    max_per_case
        Units of one case that may be taken; None: any number.
    boxes
        Starts and stops of the units, int64 (n, 3) each, where some of one case overlap; None: none do.

    Attributes
    ----------
    free
        bool (n,): whether a unit may be taken.
    left
        How many more each case may give.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        max_per_case: int | None,
        boxes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> None:
        self.free = np.ones(len(units), dtype=bool)
        self._units = units
        self._boxes = boxes
        self._rows = positions_by_case(units)
        bound = len(units) if max_per_case is None else max_per_case
        self.left = Counter({case: min(rows.size, bound) for case, rows in self._rows.items()})

    @property
    def most(self) -> int:
        """Units that the bound on each case allows."""
        return self.left.total()

    def take(self, row: int) -> None:
        """Take the free unit at `row`, and with it the room of what overlaps it."""
        case = self._units[row].case
        rows = self._rows[case]
        self.free[row] = False
        self.left[case] -= 1
        if self.left[case] == 0:
            self.free[rows] = False
        elif self._boxes is not None:
            starts, stops = self._boxes
            self.free[rows[overlapping(starts[row], stops[row], starts[rows], stops[rows])]] = False
