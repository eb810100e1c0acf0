"""The query as a table, which annotators fill in: what was done, how long it took, and what to say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from albench.annotation.status_table import Remark
from albench.machine.spreadsheet import csv_bytes
from albench.results.query import QueriedUnit, Query


def query_table(query: Query, remarks: Mapping[int, Remark] | None = None) -> bytes:
    """Return a row for each unit in the order of rank, as CSV.

    `case` is the name of the task's files, `slice` counts from 1 as ITK-SNAP shows it, `of` is the number of slices;
    both are empty for patches. Columns ``u_<class>`` have the uncertainty of each class. `status`, which is done, skip
    or later, `minutes` and `comment` are the annotator's.

    Parameters
    ----------
    remarks
        What is filled in already, by a unit's rank.
    """
    said = remarks or {}
    classes = list(dict.fromkeys(name for unit in query.units for name in unit.uncertainty))
    rows = [_row(unit, query, classes, said.get(unit.rank or 0, Remark())) for unit in query.units]
    return csv_bytes(pd.DataFrame(rows))


def _row(unit: QueriedUnit, query: Query, classes: list[str], remark: Remark) -> dict[str, Any]:
    case = query.cases[unit.case]
    is_slice = unit.file_axis is not None and unit.file_index is not None
    index = unit.file_index if is_slice else None
    n_slices = case.shape_ijk["ijk".index(unit.file_axis)] if unit.file_axis is not None else None
    r, a, s = (None, None, None) if unit.centre_ras_mm is None else (round(mm, 3) for mm in unit.centre_ras_mm)
    return {
        "rank": unit.rank,
        "case": case.task,
        "plane": unit.plane,
        "file_axis": unit.file_axis,
        # texts, since a column of whole numbers with gaps would become one of floats
        "file_index": None if index is None else str(index),
        "slice": None if index is None else str(index + 1),
        "of": None if n_slices is None else str(n_slices),
        "r_mm": r,
        "a_mm": a,
        "s_mm": s,
        "score": unit.score,
        "gain": unit.gain,
        **{f"u_{name}": unit.uncertainty.get(name) for name in classes},
        "annotator": remark.annotator or unit.annotator,
        "role": unit.role,
        "status": remark.status,
        "minutes": "" if remark.minutes is None else f"{remark.minutes:.10g}",
        "comment": remark.comment,
    }
