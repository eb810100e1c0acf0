"""How far annotations of a project are: queries, annotators, minutes, agreement, how good the asking models were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from albench.annotation.agreement import AGREEMENT, ComparedUnit, PairAgreement, pair_agreements, read_agreement
from albench.annotation.ledger import Entry, audit_counts, latest, read_ledger
from albench.annotation.measured_cost import MeasuredCost, measured_costs
from albench.annotation.raw_folder import LEDGER, RawFolder
from albench.results.query import Query
from albench.stats.audit import AuditedDice, audit_dice


@dataclass(frozen=True)
class Progress:
    """What one annotator has done of a query.

    Attributes
    ----------
    annotator
        Name, or ``-`` where nobody in particular was asked.
    asked
        Units of the query.
    done, partial, skipped, open
        Of these: complete, begun, not to be asked again, not dealt with yet.
    minutes
        Of all entries that say some.
    """

    annotator: str
    asked: int
    done: int
    partial: int
    skipped: int
    open: int
    minutes: float


@dataclass(frozen=True)
class Audited:
    """What a uniform draw of units says of the model that asked.

    Attributes
    ----------
    n_units
        That are audited so far.
    dice
        By class: of all their voxels together, an estimate of the pool's; None where the class is in neither labels nor
        predictions.
    intervals
        By class: the 95 % interval of the pool's Dice; None with `dice`.
    mean, mean_interval
        Over the classes that have one.
    """

    n_units: int
    dice: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    mean: float | None
    mean_interval: tuple[float, float] | None


@dataclass(frozen=True)
class QueryProgress:
    """One query."""

    id: str
    created: str
    strategy: str
    round: int
    annotators: tuple[Progress, ...]
    audit: Audited | None
    agreement: tuple[PairAgreement, ...]

    @property
    def is_open(self) -> bool:
        """Whether a unit waits to be dealt with."""
        return any(each.open or each.partial for each in self.annotators)

    def as_json(self) -> dict[str, Any]:
        """Return the values for ``--json``."""
        return asdict(self) | {"is_open": self.is_open}


def overview(dataset: Path) -> list[QueryProgress]:
    """Read how far each query of a raw data set is, in the order in which they were made.

    Raises
    ------
    InputError
        No raw data set, or a damaged query or ledger.
    """
    raw = RawFolder.open(dataset)
    entries = read_ledger(raw.root / LEDGER)
    queries = [(Query.read(path), read_agreement(path.with_name(AGREEMENT))) for path in raw.query_files()]
    queries.sort(key=lambda each: (each[0].created or "", each[0].id))
    return [_progress(query, entries, compared) for query, compared in queries]


def measured(dataset: Path) -> list[MeasuredCost]:
    """Fit what annotating takes to what the ledger of a raw data set says, see `measured_costs`.

    Raises
    ------
    InputError
        No raw data set, or a damaged query or ledger.
    """
    raw = RawFolder.open(dataset)
    return measured_costs(read_ledger(raw.root / LEDGER), [Query.read(path) for path in raw.query_files()])


def _progress(query: Query, entries: Sequence[Entry], compared: Sequence[ComparedUnit]) -> QueryProgress:
    own = {key[2]: entry for key, entry in latest(entries).items() if key[0] == query.id and key[2]}
    by_annotator: dict[str, list[str]] = {}
    minutes: dict[str, float] = {}
    for unit in query.units:
        entry = own.get(unit.rank or 0)
        who = (entry.annotator if entry is not None else None) or unit.annotator or "-"
        by_annotator.setdefault(who, []).append("open" if entry is None else entry.state)
        minutes[who] = minutes.get(who, 0.0) + (0.0 if entry is None else entry.minutes or 0.0)
    rows = [
        Progress(
            annotator=who,
            asked=len(states),
            done=states.count("done"),
            partial=states.count("partial"),
            skipped=states.count("skip"),
            open=states.count("open"),
            minutes=round(minutes[who], 2),
        )
        for who, states in sorted(by_annotator.items())
    ]
    names = [name for name, value in query.labels.items() if value != 0]
    return QueryProgress(
        id=query.id or "",
        created=query.created or "",
        strategy=query.strategy,
        round=query.round,
        annotators=tuple(rows),
        audit=audited(own.values(), names, query.n_candidates),
        agreement=tuple(pair_agreements(compared)),
    )


def audited(entries: Iterable[Entry], classes: Sequence[str], n_candidates: int | None) -> Audited | None:
    """Judge the asking model by the audited units among `entries`; None where there are none.

    `n_candidates` as in the query: units that those were drawn from.
    """
    counts = audit_counts(entries, classes)
    if len(counts) == 0:
        return None
    audit = audit_dice(counts[..., 0], counts[..., 1], counts[..., 2], n_candidates)
    by_class = dict(zip(classes, audit.classes, strict=True))
    return Audited(
        n_units=len(counts),
        dice={name: _dice(each) for name, each in by_class.items()},
        intervals={name: _interval(each) for name, each in by_class.items()},
        mean=_dice(audit.mean),
        mean_interval=_interval(audit.mean),
    )


def _dice(audited: AuditedDice) -> float | None:
    return audited.dice if audited.n_informative else None


def _interval(audited: AuditedDice) -> tuple[float, float] | None:
    return (audited.low, audited.high) if audited.n_informative else None
