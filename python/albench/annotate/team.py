"""How far everybody is, and how well two people agree who did the same units."""

from __future__ import annotations

from typing import Any

from albench.annotate.work import Work
from albench.annotation.agreement import pair_agreements
from albench.drawings.agreement import compared_units


def progress(work: Work) -> dict[str, Any]:
    """Return units by status and seconds of each annotator, and the Dice between those who did the same units.

    Raises
    ------
    InputError
        A drawing is damaged.
    """
    units: dict[str, list[dict[str, Any]]] = {who: [] for who in work.assignment.annotators}
    for rank in work.asked.ranks:
        for who in work.assignment.of(rank):
            units[who].append(work.unit(who, rank))
    pairs = pair_agreements(compared_units(work.drawings, work.first, work.assignment))
    return {
        "annotators": [_row(who, of_one) for who, of_one in units.items()],
        "agreement": [
            {"annotators": list(pair.annotators), "units": pair.n_units, "dice": pair.dice} for pair in pairs
        ],
    }


def _row(who: str, units: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = [unit["status"] for unit in units]
    counts = {status: statuses.count(status) for status in ("done", "later", "skip", "open")}
    returned = sum(unit["verdict"] == "returned" for unit in units)
    seconds = round(sum(unit["seconds"] for unit in units), 3)
    return {"annotator": who, "units": len(units), **counts, "returned": returned, "seconds": seconds}
