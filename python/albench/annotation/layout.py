"""Names of the files of a query's folder."""

from __future__ import annotations

from albench.machine.journal import WORKSPACE
from albench.results import layout

QUERY, TABLE = layout.QUERY, "query.csv"
"""What was asked; and as a table that annotators fill in."""

QUERIES = f"{WORKSPACE}/queries"
"""Folder, in a raw data set, of what was asked: a folder for each query, called by its id."""

TASKS = "tasks"
"""Folder of the files that annotators work on."""

PRISTINE, PREDICTIONS = ".handed-out", "predictions"
"""Folder of copies of these, and in it that of what the model says of audited units."""

SEGMENTATION, MITK = ".seg.nrrd", ".mitk.nrrd"
"""Endings of a task's segmentation, and of what MITK makes of it."""
