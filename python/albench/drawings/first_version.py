"""Drawings before anybody has drawn: what was handed out, cut to the boxes of units."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from albench.annotation.handed import HandedOut
from albench.drawings.drawing import Drawing


@dataclass(frozen=True, eq=False)
class FirstVersions:
    """Version 0 of every unit of a query.

    A case's file is read once: the boxes of its units are kept, compressed, since a query may have thousands.
    """

    handed: HandedOut
    _boxes: dict[int, bytes] = field(default_factory=dict, init=False, repr=False)

    def of(self, rank: int) -> Drawing:
        """Return what was handed out of a unit.

        Raises
        ------
        KeyError
            There is no unit of that rank.
        InputError
            The copy of what was handed out is gone, damaged or another; or the image's grid cannot be read.
        """
        if rank not in self._boxes:
            self._read_case(self.handed.by_rank[rank].case)
        values = np.frombuffer(zlib.decompress(self._boxes[rank]), dtype=np.uint16)
        return Drawing(version=0, labels=values.reshape(self.handed.shape(rank), order="F"))

    def _read_case(self, case: str) -> None:
        labels = self.handed.handed(case, self.handed.grid(case))
        for unit in self.handed.units[case]:
            box = labels[unit.box(labels.shape)].astype(np.uint16)
            self._boxes[unit.rank or 0] = zlib.compress(box.tobytes(order="F"), 1)
