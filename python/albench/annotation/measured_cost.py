"""What annotating takes in a project, by the minutes that its ledger has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from albench.annotation.ledger import Entry, latest
from albench.results.query import QueriedUnit, Query
from albench.seeding import generator
from albench.stats.cost import NEEDED, PARTS, FittedCost, fit_cost


@dataclass(frozen=True)
class MeasuredCost:
    """Costs of one annotator, or of all.

    Attributes
    ----------
    annotator
        Empty for all together.
    n_times
        Different times among those of the units.
    """

    annotator: str
    fitted: FittedCost
    n_times: int

    @property
    def setting(self) -> str:
        """The costs as a setting of a protocol, in YAML."""
        parts = ", ".join(f"{name}: {self.fitted.costs[name].seconds:.3g}" for name in PARTS)
        return f"annotation_cost: {{{parts}}}"

    @property
    def lacking(self) -> str | None:
        """Why the costs should not be used yet; None where they can."""
        n = self.fitted.n_units
        if not self.fitted.is_enough:
            return (
                f"{n} timed unit{'s' * (n != 1)}, of {NEEDED} that are needed: ten for each of three costs; with fewer "
                "a budget can be off by a third"
            )
        if self.n_times < len(PARTS):
            times = f"{self.n_times} different time{'s' * (self.n_times != 1)}"
            return f"{n} units with {times}: shared out by --minutes rather than measured"
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the values for ``--json``."""
        fitted = self.fitted
        return {
            "annotator": self.annotator or None,
            "n_units": fitted.n_units,
            "n_needed": NEEDED,
            "is_enough": self.lacking is None,
            "mean_s": fitted.mean_s,
            "error_s": None if math.isnan(fitted.error_s) else fitted.error_s,
            "annotation_cost": {name: fitted.costs[name].seconds for name in PARTS},
            "intervals": {name: [fitted.costs[name].low, fitted.costs[name].high] for name in PARTS},
        }


def measured_costs(entries: Iterable[Entry], queries: Iterable[Query]) -> list[MeasuredCost]:
    """Fit costs to the units that are done and timed: of all annotators, and of each where there are several.

    The latest entry of a unit counts. What was handed out filled in took the time that correcting it takes.

    Returns
    -------
    list
        Of all together first; empty where no unit is timed.
    """
    units = {(query.id or "", unit.rank or 0): (query, unit) for query in queries for unit in query.units}
    timed = [entry for entry in latest(entries).values() if entry.state == "done" and (entry.minutes or 0) > 0]
    counted = [(entry, _n_slices(entry, units)) for entry in timed]
    by_annotator: dict[str, list[tuple[Entry, int]]] = {}
    for entry, n_slices in counted:
        by_annotator.setdefault(entry.annotator, []).append((entry, n_slices))
    found = [_measured("", counted)] if counted else []
    named = {who: rows for who, rows in sorted(by_annotator.items()) if who}
    return found + ([_measured(who, rows) for who, rows in named.items()] if len(by_annotator) > 1 else [])


def _n_slices(entry: Entry, units: Mapping[tuple[str, int], tuple[Query, QueriedUnit]]) -> int:
    """Slices to go through, as `albench.units.cost` counts them: of a patch as many as along its shortest edge."""
    if (entry.query, entry.rank) not in units:
        return 1  # what nobody asked for is a slice
    query, unit = units[entry.query, entry.rank]
    start, stop = unit.box_ijk(query.cases[unit.case].shape_ijk)
    return min(high - low for low, high in zip(start, stop, strict=True))


def _measured(annotator: str, rows: Sequence[tuple[Entry, int]]) -> MeasuredCost:
    fitted = fit_cost(
        [n_slices for _, n_slices in rows],
        [entry.foreground for entry, _ in rows],
        [entry.border for entry, _ in rows],
        [60 * (entry.minutes or 0) for entry, _ in rows],
        generator("annotation cost", annotator),
    )
    return MeasuredCost(annotator, fitted, len({entry.minutes for entry, _ in rows}))
