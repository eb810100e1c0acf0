"""What the ledger's audited units say of the model that asked."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from albench.annotation.gains import class_gains
from albench.annotation.ledger import Entry
from albench.annotation.overview import audited
from albench.stats.audit import audit_dice

CLASSES = ("organ", "lesion", "vessel")
COUNTS = np.array(
    [
        [[80, 10, 5], [0, 0, 0], [0, 0, 0]],
        [[60, 0, 20], [5, 1, 2], [0, 0, 0]],
        [[0, 3, 0], [9, 0, 4], [0, 0, 0]],
        [[90, 6, 2], [0, 2, 0], [0, 0, 0]],
    ]
)


def entry(rank: int, counts: np.ndarray | None, role: str = "audit", state: str = "done") -> Entry:
    per_class = {}
    if counts is not None:
        rows = counts.tolist()
        per_class = {
            name: dict(zip(("tp", "fp", "fn"), row, strict=True)) for name, row in zip(CLASSES, rows, strict=True)
        }
    return Entry("q", "", "case", rank, role, f"axial {rank}", "", state, None, "", per_class=per_class)  # type: ignore[arg-type]


ENTRIES = [
    *(entry(rank, counts) for rank, counts in enumerate(COUNTS, 1)),
    entry(8, COUNTS[0], role="strategy"),  # chosen, not drawn: says nothing of the pool
    entry(9, COUNTS[0], state="skip"),
]


def test_audited_units_alone_count_and_have_an_interval() -> None:
    found = audited(ENTRIES, CLASSES, None)
    expected = audit_dice(COUNTS[..., 0], COUNTS[..., 1], COUNTS[..., 2])
    assert found is not None
    assert found.n_units == 4
    assert found.dice["organ"] == pytest.approx(2 * 230 / (2 * 230 + 19 + 27))
    assert found.dice["vessel"] is None
    assert found.intervals["vessel"] is None
    for name, each in zip(CLASSES[:2], expected.classes, strict=False):
        assert found.intervals[name] == (each.low, each.high)
    assert (found.mean, found.mean_interval) == (expected.mean.dice, (expected.mean.low, expected.mean.high))
    json.dumps(asdict(found), allow_nan=False)
    assert audited(ENTRIES[4:], CLASSES, None) is None


def test_an_import_tells_it_by_class() -> None:
    rows = {row.name: row for row in class_gains(ENTRIES, CLASSES)}
    found = audited(ENTRIES, CLASSES, None)
    assert found is not None
    for name, row in rows.items():
        assert row.audit_dice == found.dice[name]
        assert row.audit_interval == found.intervals[name]
    assert all(row.audit_interval is None for row in class_gains(ENTRIES[4:], CLASSES))
