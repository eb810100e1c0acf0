"""What is asked of each case and unit, in the words and axes of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from albench.annotate.codes import Codes
from albench.annotate.turned import Box, Turn, widened
from albench.annotation.grid import AXES, Triple
from albench.annotation.handed import HandedOut
from albench.annotation.places import unit_title
from albench.results.query import QueriedUnit

_SLICES_BESIDE = 8
"""On each side of a slice, sent with it: context matters."""
_VOXELS_BESIDE = 4
"""Around a patch."""


@dataclass(frozen=True)
class TurnedCase:
    """A case's image, x to the right, y anterior, z superior.

    Attributes
    ----------
    number
        By which the page asks for it.
    spacing
        mm along x, y and z.
    """

    name: str
    number: int
    turn: Turn
    shape: Triple
    spacing: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Asked:
    """A query in the axes of the page; images are not needed for it."""

    handed: HandedOut

    @cached_property
    def codes(self) -> Codes:
        """Codes of the labels.

        Raises
        ------
        InputError
            There are too many.
        """
        return Codes(self.handed.query.labels, self.handed.ignore)

    @cached_property
    def cases(self) -> Mapping[str, TurnedCase]:
        """Cases with units, by name.

        Raises
        ------
        InputError
            An image's axes do not span the space.
        """
        return {name: self._case(name, number) for number, name in enumerate(self.handed.units)}

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """Of all units, ascending."""
        return tuple(sorted(self.handed.by_rank))

    def case_of(self, rank: int) -> TurnedCase:
        """Return the case of a unit.

        Raises
        ------
        KeyError
            There is no unit of that rank.
        """
        return self.cases[self.handed.by_rank[rank].case]

    def box(self, rank: int) -> Box:
        """Voxels (x, y, z) of a unit."""
        unit, case = self.handed.by_rank[rank], self.case_of(rank)
        shape = self.handed.query.cases[case.name].shape_ijk
        return case.turn.box(*unit.box_ijk(shape), shape)

    def slab(self, rank: int) -> Box:
        """Voxels of a unit and beside it."""
        axis, shape = self._axis(self.handed.by_rank[rank]), self.case_of(rank).shape
        beside = [_VOXELS_BESIDE] * 3 if axis is None else [_SLICES_BESIDE * (axis == each) for each in range(3)]
        return widened(self.box(rank), beside, shape)

    def described(self, rank: int) -> dict[str, Any]:
        """Return what the page knows of a unit before anybody has drawn."""
        unit, case = self.handed.by_rank[rank], self.case_of(rank)
        described = self.handed.query.cases[case.name]
        return {
            "rank": rank,
            "case": case.number,
            "name": described.task,
            "title": unit_title(unit, described.shape_ijk),
            "plane": unit.plane,
            "axis": self._axis(unit),
            "role": unit.role,
            "score": unit.score,
            "gain": unit.gain,
            "uncertainty": dict(unit.uncertainty),
            "prefill": unit.prefill,
            "shape": case.shape,
            "box": _as_json(self.box(rank)),
            "slab": _as_json(self.slab(rank)),
            "spacing": case.spacing,
        }

    def _axis(self, unit: QueriedUnit) -> int | None:
        """Axis (0 = x) that a slice is perpendicular to; None for patches."""
        return None if unit.file_axis is None else self.cases[unit.case].turn.axis(AXES.index(unit.file_axis))

    def _case(self, name: str, number: int) -> TurnedCase:
        described = self.handed.query.cases[name]
        turn = Turn.of_affine(described.affine_ras)
        affine = np.eye(4) if described.affine_ras is None else np.asarray(described.affine_ras)
        spacing = tuple(float(edge) for edge in np.linalg.norm(affine[:3, :3], axis=0))
        return TurnedCase(name, number, turn, turn.triple(described.shape_ijk), turn.triple(spacing))


def _as_json(box: Box) -> dict[str, Triple]:
    return {"start": box[0], "stop": box[1]}
