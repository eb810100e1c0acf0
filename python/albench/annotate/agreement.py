"""How far everybody is, and how well two people agree who did the same units."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.annotate.work import Work

_Pair = tuple[NDArray[np.uint16], NDArray[np.uint16]]


def progress(work: Work) -> dict[str, Any]:
    """Return units by status and seconds of each annotator, and the agreement of those who did the same units.

    Agreement counts units that both are done with, voxels that both have labelled.
    """
    units: dict[str, list[dict[str, Any]]] = {who: [] for who in work.assignment.annotators}
    done: dict[tuple[str, int], bool] = {}
    for rank in work.asked.ranks:
        for who in work.assignment.of(rank):
            unit = work.unit(who, rank)
            units[who].append(unit)
            done[who, rank] = unit["status"] == "done"
    shared: dict[tuple[str, str], list[int]] = {}
    for rank in work.asked.ranks:
        for pair in itertools.combinations(sorted(work.assignment.of(rank), key=work.assignment.annotators.index), 2):
            if all(done[who, rank] for who in pair):
                shared.setdefault(pair, []).append(rank)
    return {
        "annotators": [_row(who, of_one) for who, of_one in units.items()],
        "agreement": [
            {
                "annotators": list(pair),
                "units": len(ranks),
                "dice": dice(
                    ((work.read(pair[0], rank).labels, work.read(pair[1], rank).labels) for rank in ranks),
                    work.asked.handed.class_names,
                    work.asked.handed.ignore,
                ),
            }
            for pair, ranks in shared.items()
        ],
    }


def dice(pairs: Iterable[_Pair], classes: Mapping[int, str], ignore: int) -> dict[str, float | None]:
    """Dice of each class over all voxels of some units together, by name; None where neither has drawn it.

    Parameters
    ----------
    pairs
        Labels of the same voxels by two people.
    ignore
        Value of what somebody has not labelled: such voxels do not count.
    """
    both, sizes = dict.fromkeys(classes, 0), dict.fromkeys(classes, 0)
    for first, second in pairs:
        known = (first != ignore) & (second != ignore)
        for value in classes:
            one, other = (first == value) & known, (second == value) & known
            both[value] += int(np.count_nonzero(one & other))
            sizes[value] += int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return {name: 2 * both[value] / sizes[value] if sizes[value] else None for value, name in classes.items()}


def _row(who: str, units: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = [unit["status"] for unit in units]
    counts = {status: statuses.count(status) for status in ("done", "later", "skip", "open")}
    returned = sum(unit["verdict"] == "returned" for unit in units)
    seconds = round(sum(unit["seconds"] for unit in units), 3)
    return {"annotator": who, "units": len(units), **counts, "returned": returned, "seconds": seconds}
