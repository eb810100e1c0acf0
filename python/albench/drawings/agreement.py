"""Units that two annotators have drawn, compared."""

from __future__ import annotations

import numpy as np

from albench.annotation.agreement import ClassOverlap, ComparedUnit
from albench.annotation.findings import unit_name
from albench.drawings.assignment import Assignment
from albench.drawings.drawing import Drawing
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import Drawings


def compared_units(drawings: Drawings, first: FirstVersions, assignment: Assignment) -> list[ComparedUnit]:
    """Compare the drawings of every unit that two people were given and both are done with, by rank.

    Voxels that either has left unlabelled do not count.

    Raises
    ------
    InputError
        A drawing is damaged.
    """
    found = []
    for rank in sorted(assignment.seconds):
        pair = [(who, drawings.read(who, rank, lambda rank=rank: first.of(rank))) for who in assignment.of(rank)]  # type: ignore[misc]
        (owner, own), (second, other) = pair
        if own.status == other.status == "done":
            unit = drawings.handed.by_rank[rank]
            classes = _overlaps(drawings, own, other)
            found.append(ComparedUnit(rank, unit.case, unit_name(unit), owner, second, classes))
    return found


def _overlaps(drawings: Drawings, own: Drawing, other: Drawing) -> dict[str, ClassOverlap]:
    handed = drawings.handed
    known = (own.labels != handed.ignore) & (other.labels != handed.ignore)
    overlaps = {}
    for value, name in handed.class_names.items():
        first, second = known & (own.labels == value), known & (other.labels == value)
        counts = (np.count_nonzero(each) for each in (first, second, first & second))
        overlaps[name] = ClassOverlap(*map(int, counts))
    return overlaps
