"""Names that come with data are text in every figure, table and page of a report, whatever markup they look like."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from albench.report import build_report, print_summary
from albench.results.tables import read_results
from tests.support.report_fixtures import Page, write_study

NAME = "$x_{1$ [b] [link=file:a]a[link=b] \\frac <b>&amp; _% 肝脏"


def test_a_report_on_data_with_a_name_full_of_markup(tmp_path: Path) -> None:
    study = write_study(tmp_path, dataset=NAME, strategies=("random", "usim-f"), n_seeds=1, n_rounds=2)
    page = build_report(study)
    assert NAME in Page(page).text
    console = Console(file=io.StringIO(), width=300)
    print_summary(read_results(study), console)
    assert "[b] [link=file:a]a[link=b]" in console.file.getvalue()  # type: ignore[attr-defined]
