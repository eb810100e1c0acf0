"""Tables as people read them: the same cell texts in HTML, Markdown and on the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from albench.report.doubts import doubts
from albench.report.palette import ORACLE_NOTE, label
from albench.report.summary import DICE_AT, budgets_of, summary_table
from albench.report.texts import NBSP, NONE, count_text, interval_text, number_text, p_text
from albench.results.layout import CEILING
from albench.results.tables import OVERHEAD_STAGES, REFERENCE, STUDY_KEYS, rows_of
from albench.stats.crossed import MIN_SEEDS

UNIT = f"{NBSP}s"
P_HOLM = "p, two-sided, Holm"
INTERVALS_NOTE = "Brackets: 95 % intervals, for final Dice and AUBC Student's t over seeds (from 2 seeds on)."
TEST_NOTE = (
    f"AUBC vs {REFERENCE}: crossed test over seeds and cases, paired on seed, case, round and class; p two-sided, "
    f"corrected by Holm over all pairs of strategies, which the verdict rests on; its interval is not corrected. Not "
    f"tested: fewer than {MIN_SEEDS} seeds, or a single case."
)


@dataclass(frozen=True)
class Cells:
    """A table of texts; the first column is the strategy.

    ``best`` holds (row, column) of the highest means, which readers look for; it claims no significance. ``note`` says
    what was tested.
    """

    header: list[str]
    rows: list[list[str]]
    best: frozenset[tuple[int, int]] = frozenset()
    note: str = ""


def summary_cells(part: pd.DataFrame) -> Cells:
    """Cells of one data set and protocol's rows of the summary table."""
    budgets = budgets_of(part)
    header = ["strategy", "seeds", *(f"@{name.removeprefix(DICE_AT)}" for name in budgets)]
    header += ["final Dice", "AUBC", "% of ceiling", f"AUBC vs {REFERENCE}", P_HOLM, "n"]
    rows = []
    for _, row in part.iterrows():
        measured = [number_text(row[name]) for name in budgets]
        final = interval_text(row["final_dice"], row["final_low"], row["final_high"])
        area = interval_text(row["aubc"], row["aubc_low"], row["aubc_high"])
        share = "100" if row["strategy"] == CEILING else number_text(100 * row["ceiling_share"], 1)
        rows.append([label(str(row["strategy"])), str(row["n_seeds"]), *measured, final, area, share, *_against(row)])
    best = set()
    curves = part["strategy"].to_numpy() != CEILING
    # one curve alone is not the best of anything, nor is any in the first round, which all share
    if curves.sum() > 1:
        for column, name in enumerate([*budgets[1:], "final_dice", "aubc"], start=3):
            values = part[name].where(curves).round(3)
            best |= {(int(row), column) for row in np.flatnonzero(values == values.max())}
    notes = {INTERVALS_NOTE: part["final_low"].notna().any(), TEST_NOTE: (part["diff_pairs"] > 0).any()}
    return Cells(header, rows, frozenset(best), " ".join(note for note, shown in notes.items() if shown))


def _against(row: pd.Series[Any]) -> list[str]:
    """Difference to the reference, its corrected p with the verdict, and what they rest on."""
    if not row["diff_pairs"] > 0:
        return [NONE] * 3
    n = ", ".join(count_text(row[f"diff_{word}"], word) for word in ("seeds", "cases"))
    difference = interval_text(row["diff"], row["diff_low"], row["diff_high"], sign=True)
    return [difference, f"{p_text(row['p_two_sided_holm'])} [{row['verdict']}]", n]


def timing_cells(part: pd.DataFrame) -> Cells:
    """Cells of one data set and protocol's rows of the timing table."""
    stages = [f"{stage.removesuffix('_s')}{UNIT}" for stage in OVERHEAD_STAGES]
    header = ["strategy", "seeds", "trainings", f"train{UNIT}", *stages]
    header += [f"overhead{UNIT}", "overhead %", "peak MiB"]
    rows = [
        [
            label(str(row["strategy"])),
            str(row["n_seeds"]),
            str(row["n_rounds"]),
            *(number_text(row[column], 1) for column in ["train_s", *OVERHEAD_STAGES, "overhead_s"]),
            number_text(100 * row["overhead_share"], 1),
            number_text(row["peak_rss_mib"], 0),
        ]
        for _, row in part.iterrows()
    ]
    return Cells(header, rows)


def markdown(title: str, cells: Cells) -> str:
    """Markdown section with one table; the highest means are bold."""
    lines = [f"### {title}", "", _row(cells.header), _row(["---", *["---:"] * (len(cells.header) - 1)])]
    for index, row in enumerate(cells.rows):
        lines.append(_row(f"**{text}**" if (index, col) in cells.best else text for col, text in enumerate(row)))
    for note in footnotes(cells):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def footnotes(cells: Cells) -> list[str]:
    """Return what stands below a table: its note, and what a dagger means where there is one."""
    marked = any(row[0].endswith("†") for row in cells.rows)
    return [cells.note] * bool(cells.note) + [ORACLE_NOTE] * marked


def print_summary(results: pd.DataFrame, console: Console) -> None:
    """Print the summary table of each data set and protocol, as much of it as the console is wide."""
    summary = summary_table(results)
    for study, part in summary.groupby(STUDY_KEYS):
        layouts = _layouts(summary_cells(part), len(budgets_of(part)))
        cells = next((cells for cells in layouts if _width(cells) <= console.width), layouts[-1])
        table = Table(
            title=Text(study_title(*map(str, study)), style="table.title"),
            title_justify="left",
            caption="\n".join(footnotes(cells)) or None,
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for column, name in enumerate(cells.header):
            table.add_column(name, justify="left" if column == 0 else "right", no_wrap=True)
        for index, row in enumerate(cells.rows):
            best = [(index, column) in cells.best for column in range(len(row))]
            # Text, not markup: an interval's brackets are no style
            table.add_row(*(Text(t, style="bold" if b else "") for t, b in zip(row, best, strict=True)))
        console.print(table, markup=False)
        for line in doubts(rows_of(results, study)):
            console.print(Text(f"warning: {line}", style="bold yellow"))


def _layouts(cells: Cells, n_budgets: int) -> list[Cells]:
    """Return the table as it is, then its means alone, then the means at the ends of the curve.

    The last budget is the final Dice, which the ceiling has too, and goes with the intervals, as does the verdict,
    which p says as well.
    """
    short = {"final Dice": "final", "% of ceiling": "% ceil.", f"AUBC vs {REFERENCE}": f"vs {REFERENCE}"}
    short[P_HOLM] = "p Holm"
    means = Cells(
        [short.get(text, text) for text in cells.header],
        [[text.split(" [")[0] for text in row] for row in cells.rows],
        cells.best,
        cells.note.removeprefix(INTERVALS_NOTE).strip(),
    )
    last = 1 + n_budgets
    # a table of the ceiling alone has no budgets
    kept = [column for column in range(len(cells.header) - 1) if n_budgets == 0 or column != last]
    return [cells, _columns(means, kept), _columns(means, [c for c in kept if not 2 < c < last])]


def _columns(cells: Cells, kept: list[int]) -> Cells:
    best = frozenset((row, kept.index(column)) for row, column in cells.best if column in kept)
    return Cells([cells.header[c] for c in kept], [[row[c] for c in kept] for row in cells.rows], best, cells.note)


def _width(cells: Cells) -> int:
    """Characters of a line: the widest text of each column, two spaces between columns, the edges."""
    return sum(max(map(len, column)) + 2 for column in zip(cells.header, *cells.rows, strict=True)) + 1


def study_title(dataset: str, protocol: str) -> str:
    """Name of a data set under a protocol."""
    return f"{dataset}, {protocol} protocol"


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"
