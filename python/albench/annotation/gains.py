"""What an import brought, class by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from albench.annotation.ledger import Entry
from albench.annotation.overview import audited


@dataclass(frozen=True)
class ClassGain:
    """One class.

    Attributes
    ----------
    changed
        Voxels that became of the class or ceased to be, against what was handed out.
    prefill_dice
        Mean over units, of what was handed out against what came back; None where no unit has both.
    audit_dice
        Of the asking model, over all voxels of the audited units; None where there are none, or not of this class.
    audit_interval
        The 95 % interval of its Dice on the pool; None with `audit_dice`.
    """

    name: str
    changed: int
    prefill_dice: float | None
    audit_dice: float | None
    audit_interval: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """Return the values for ``--json``."""
        return asdict(self)


def class_gains(entries: Iterable[Entry], classes: Sequence[str], n_candidates: int | None = None) -> list[ClassGain]:
    """Sum up the entries of an import, a row for each class; `n_candidates` as in the query."""
    taken = [entry for entry in entries if entry.state != "skip"]
    audit = audited(taken, classes, n_candidates)
    rows = []
    for name in classes:
        counts = [entry.per_class.get(name, {}) for entry in taken]
        dice = [count["dice"] for count in counts if "dice" in count]
        rows.append(
            ClassGain(
                name=name,
                changed=round(sum(count.get("changed", 0) for count in counts)),
                prefill_dice=sum(dice) / len(dice) if dice else None,
                audit_dice=None if audit is None else audit.dice[name],
                audit_interval=None if audit is None else audit.intervals[name],
            )
        )
    return rows
