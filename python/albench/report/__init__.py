"""Reports: figures, tables and one HTML page, from the result files of finished or running studies alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from albench.errors import InputError
from albench.files import atomic_file
from albench.report.cells import markdown, print_summary, study_title, summary_cells, timing_cells
from albench.report.coverage import coverage_table
from albench.report.figures import Panel, as_png, as_svg, curves_figure
from albench.report.inputs import Inputs, read_inputs, unit_word
from albench.report.page import render
from albench.report.pairs import pairwise_table
from albench.report.provenance import is_phantom
from albench.report.summary import summary_table, timing_table
from albench.results import STUDY_KEYS, mean_dice

__all__ = ["build_report", "print_summary", "summary_table"]


def build_report(out_dirs: Path | Sequence[Path], report_dir: Path | None = None) -> Path:
    """Write the report of one or more run folders.

    Parameters
    ----------
    out_dirs
        Run folders, as ``al-bench run`` leaves them. Several are joined; no run may be in two of them.
    report_dir
        Where to write; by default ``report`` in the run folder. Required for several run folders.

    Returns
    -------
    Path
        The page, ``index.html``. Beside it: curves.png, curves.svg, summary and timing as .csv and .md,
        coverage.csv and queries.csv.

    Raises
    ------
    InputError
        A result file is missing or malformed, or the report cannot be written.
    """
    folders = [out_dirs] if isinstance(out_dirs, Path) else list(out_dirs)
    if not folders:
        raise InputError("report: expected at least one run folder, found none")
    if report_dir is None:
        if len(folders) > 1:
            raise InputError(f"report of {len(folders)} run folders: expected a report folder of its own, found none")
        report_dir = folders[0] / "report"
    inputs = read_inputs(folders)
    summary = summary_table(inputs.results)
    pairs = pairwise_table(inputs.results)
    panels = _panels(inputs)
    figure = curves_figure(panels)
    files = {
        "curves.png": as_png(figure),
        "curves.svg": as_svg(figure),
        **_tables(inputs, summary, pairs),
        # last: a page that is there has its figures and tables beside it
        "index.html": render(inputs, panels, summary, pairs).encode(),
    }
    try:
        for name, content in files.items():
            with atomic_file(report_dir / name) as part:
                part.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write the report to {report_dir}: {error.strerror or error}") from error
    return report_dir / "index.html"


def _panels(inputs: Inputs) -> list[Panel]:
    pools = inputs.runs.groupby([*STUDY_KEYS, "seed"])["n_pool_units"].max().groupby(STUDY_KEYS).mean()
    queries = inputs.queries
    units = {str(dataset): unit_word(own) for dataset, own in queries.groupby("dataset")}
    return [
        Panel(_panel_title(*map(str, study)), curves, float(pools.get(study, 0.0)), units.get(str(study[0]), "slice"))
        for study, curves in mean_dice(inputs.results).groupby(STUDY_KEYS)
    ]


def _panel_title(dataset: str, protocol: str) -> str:
    # the figure travels without the page and its banner
    note = " (not patients)" if is_phantom(dataset) else ""
    return f"{study_title(dataset, protocol)}{note}"


def _tables(inputs: Inputs, summary: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, bytes]:
    timing = timing_table(inputs.runs)
    tables = {
        "summary.csv": summary,
        "pairwise.csv": pairs,
        "timing.csv": timing,
        "coverage.csv": coverage_table(inputs.queries),
        "queries.csv": inputs.queries,
    }
    files = {name: table.to_csv(index=False).encode() for name, table in tables.items()}
    for name, table, cells in [("summary", summary, summary_cells), ("timing", timing, timing_cells)]:
        parts = [markdown(study_title(*map(str, study)), cells(part)) for study, part in table.groupby(STUDY_KEYS)]
        files[f"{name}.md"] = "\n".join(parts).encode()
    return files
