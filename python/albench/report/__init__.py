"""Reports: figures, tables and one HTML page, from the result files of finished or running studies alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from albench.config import CostSettings
from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.spreadsheet import csv_bytes
from albench.report.batches import batch_table
from albench.report.cells import markdown, print_summary, study_title, summary_cells, timing_cells
from albench.report.classes import class_coverage
from albench.report.coverage import chosen_units, coverage_table
from albench.report.differences import all_gains, differences_figure
from albench.report.figures import Panel, as_png, as_svg, curves_figure, units_figure
from albench.report.inputs import Inputs, read_inputs, unit_word
from albench.report.latex import latex
from albench.report.page import Tables, render
from albench.report.registered import Asked, build_asked
from albench.report.statistics import build_statistics
from albench.report.summary import summary_table, timing_table
from albench.results.layout import RunFolder
from albench.results.settings import StudySettings
from albench.results.tables import STUDY_KEYS, mean_dice

__all__ = ["build_report", "print_summary", "summary_table"]

_LONGEST_PART = 100
"""Letters of a data set's or protocol's name in the name of a file."""


def build_report(out_dirs: Path | Sequence[Path], report_dir: Path | None = None) -> Path:
    """Write the report of one or more run folders.

    Parameters
    ----------
    out_dirs
        Run folders, as ``al-bench run`` leaves them. Several are joined: seeds and strategies of the same settings
        add up, and studies of one name with different settings stand side by side.
    report_dir
        Where to write; by default ``report`` in the run folder. Required for several run folders.

    Returns
    -------
    Path
        The page, ``index.html``. Beside it, figures as .png and .svg: curves, units-<data set>-<protocol>, differences
        where there is a reference, and ranks.svg where there are enough data sets; tables: summary, timing, claims,
        scores, budget, costed, pairs and penalty as .csv, .md and .tex, coverage.csv, classes.csv, batches.csv,
        queries.csv and ranks.csv; and where claims were registered, registered.csv and registered.md.

    Raises
    ------
    InputError
        A result file is missing or malformed, two folders hold one run with different results, or the report cannot
        be written.
    """
    folders = [out_dirs] if isinstance(out_dirs, Path) else list(out_dirs)
    if not folders:
        raise InputError("report: expected at least one run folder, found none")
    if report_dir is None:
        if len(folders) > 1:
            raise InputError(f"report of {len(folders)} run folders: expected a report folder of its own, found none")
        report_dir = RunFolder(folders[0]).report
    inputs = read_inputs(folders)
    statistics, numbers = build_statistics(inputs.results, inputs.runs, _annotation_costs(inputs))
    tables = Tables(
        summary=summary_table(inputs.results),
        pairs=numbers.pairs,
        timing=timing_table(inputs.runs),
        coverage=coverage_table(inputs.queries),
        classes=class_coverage(inputs.queries, inputs.pools, inputs.results),
        batches=batch_table(inputs.queries, inputs.pools),
        gains=all_gains(inputs.results, numbers.pairs),
    )
    panels = _panels(inputs)
    asked = _asked(inputs)
    gains = [(panel.title, own) for panel, own in zip(panels, tables.gains.values(), strict=True) if own]
    files = {
        **_figure_files("curves", curves_figure(panels)),
        **(_figure_files("differences", differences_figure(gains)) if gains else {}),
        **_units_figures(inputs.queries),
        **_table_files(inputs, tables),
        **statistics.files(numbers),
        **({} if asked is None else {"registered.csv": csv_bytes(asked.table), "registered.md": asked.markdown()}),
    }
    # last: a page that is there has its figures and tables beside it
    files["index.html"] = render(inputs, panels, tables, statistics, asked, list(files)).encode()
    try:
        for name, content in files.items():
            with atomic_file(report_dir / name) as part:
                part.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write the report to {report_dir}: {error.strerror or error}") from error
    return report_dir / "index.html"


def _annotation_costs(inputs: Inputs) -> dict[tuple[str, str], dict[str, float]]:
    """Seconds that annotating takes by each study's settings; of earlier versions' those that are usual."""
    usual = CostSettings().model_dump()
    return {
        (config.dataset, config.protocol): usual | (config.settings.get("protocol", {}).get("annotation_cost") or {})
        for config in inputs.configs
    }


def _asked(inputs: Inputs) -> Asked | None:
    rounds = {
        (config.dataset, config.protocol): StudySettings(config.dataset, config.settings).rounds
        for config in inputs.configs
    }
    return build_asked(inputs.results, inputs.claims, rounds)


def _panels(inputs: Inputs) -> list[Panel]:
    pools = inputs.runs.groupby([*STUDY_KEYS, "seed"])["n_pool_units"].max().groupby(STUDY_KEYS).mean()
    queries = inputs.queries
    units = {study: unit_word(own) for study, own in queries.groupby(STUDY_KEYS)}
    return [
        Panel(
            # the figure travels without the page and its banner
            f"{study_title(*map(str, study))}{' (not patients)' if study[0] in inputs.phantoms else ''}",
            curves,
            float(pools.get(study, 0.0)),
            units.get(study, "slice"),
        )
        for study, curves in mean_dice(inputs.results).groupby(STUDY_KEYS)
    ]


def _figure_files(name: str, figure: Figure) -> dict[str, bytes]:
    return {f"{name}.png": as_png(figure), f"{name}.svg": as_svg(figure)}


def _units_figures(queries: pd.DataFrame) -> dict[str, bytes]:
    chosen = chosen_units(queries)
    files: dict[str, bytes] = {}
    for study, own in chosen.groupby(STUDY_KEYS):
        name = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", str(part)).strip("-")[:_LONGEST_PART] for part in study)
        while f"units-{name}.svg" in files:  # names that differ in other signs
            name += "-2"
        files |= _figure_files(f"units-{name}", units_figure(own))
    return files


def _table_files(inputs: Inputs, tables: Tables) -> dict[str, bytes]:
    plain = {
        "summary.csv": tables.summary,
        "timing.csv": tables.timing,
        "coverage.csv": tables.coverage,
        "classes.csv": tables.classes,
        "batches.csv": tables.batches,
        "queries.csv": inputs.queries,
    }
    files = {name: csv_bytes(table) for name, table in plain.items()}
    for name, table, cells in [("summary", tables.summary, summary_cells), ("timing", tables.timing, timing_cells)]:
        parts = [(study_title(*map(str, study)), cells(part)) for study, part in table.groupby(STUDY_KEYS)]
        for ending, written in [("md", markdown), ("tex", latex)]:
            files[f"{name}.{ending}"] = "\n".join(written(*part) for part in parts).encode()
    return files
