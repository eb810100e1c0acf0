"""Strategies with parameters, and those that read ground truth, in a report."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from albench.report import build_report, print_summary
from albench.report.inputs import read_inputs
from albench.report.page import findings
from albench.report.palette import label, oracle_aided, order, style
from albench.report.statistics import _budget_text
from albench.report.summary import summary_table
from albench.report.texts import NBSP, count_text
from albench.results.tables import read_results
from albench.strategies import get_strategy, registry, strategy_names
from tests.support.report_fixtures import Page, write_study

AIDED = "random-fg66"
LABELS = ("random", AIDED, "usim-f", "usim-f+query=expected", "power-bald+beta=5")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), strategies=LABELS, n_seeds=1, n_rounds=2)


@pytest.fixture(scope="module")
def page(study: Path) -> Page:
    return Page(build_report(study))


def test_the_page_has_a_row_for_each_label(page: Page) -> None:
    assert set(page.rows) == set(LABELS)
    assert "usim-f+query=expected" in page.rows["usim-f+query=expected"][0]


def test_what_reads_ground_truth_is_marked_wherever_it_is_named(study: Path, page: Page) -> None:
    assert page.rows[AIDED][0].strip().startswith(f"{AIDED}†")
    assert "†: reads ground truth" in page.text
    assert f"{AIDED}: reads ground truth when choosing, so nobody could use it in practice." in page.text
    assert (study / "report" / "summary.md").read_text(encoding="utf-8").endswith("\n† reads ground truth\n")
    assert (study / "report" / "timing.md").read_text(encoding="utf-8").endswith("\n† reads ground truth\n")
    console = Console(file=io.StringIO(), width=300)
    print_summary(read_results(study), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{AIDED}†" in text
    assert "† reads ground truth" in text


def test_without_such_a_strategy_there_is_no_mark(tmp_path: Path) -> None:
    folder = write_study(tmp_path, strategies=("random", "usim-f"), n_seeds=1, n_rounds=2)
    assert "†" not in Page(build_report(folder)).text
    assert "†" not in (folder / "report" / "summary.md").read_text(encoding="utf-8")


def test_what_reads_ground_truth_is_never_called_the_best(study: Path) -> None:
    summary = summary_table(read_inputs([study]).results)
    summary.loc[summary["strategy"] == AIDED, "final_dice"] = 1.0
    assert AIDED not in findings(summary, 600)[0]


def test_the_command_names_the_labels(page: Page) -> None:
    assert f"--strategy {','.join(order(list(LABELS)))}" in page.text


def test_labels_stand_behind_their_strategy_and_share_its_colour() -> None:
    assert order(["usim-c", "usim-f+query=expected", "full", "mine+a=1", "mine", "usim-f", "random"]) == [
        "random", "usim-f", "usim-f+query=expected", "usim-c", "mine", "mine+a=1", "full",
    ]  # fmt: skip
    plain, expected = style("usim-f"), style("usim-f+query=expected")
    assert plain.color == expected.color
    assert plain != expected
    assert style("usim-f+query=expected") == expected


def test_every_strategy_of_ours_looks_unlike_the_others() -> None:
    assert len({style(name) for name in strategy_names()}) == len(strategy_names())
    assert order(strategy_names())[-1] == "full"


def test_curves_that_are_compared_have_colours_of_their_own() -> None:
    """The usual five, claspe and the ceiling in one figure."""
    names = ["random", "entropy", "claspe", "mcd", "usim-f", "full"]
    assert len({style(name).color for name in names}) == len(names)
    assert style("claspe").color == style("class-pe66").color


def test_what_is_counted_is_plural_where_there_are_several() -> None:
    texts = [count_text(n, words).replace(NBSP, " ") for n in (1, 2.0) for words in ("seeds", "cases", "strategies")]
    assert texts == ["1 seed", "1 case", "1 strategy", "2 seeds", "2 cases", "2 strategies"]


def test_one_seed_is_no_seeds(tmp_path: Path) -> None:
    folder = write_study(tmp_path, strategies=("random", "usim-f", "full"), n_seeds=1, n_rounds=2)
    build_report(folder)
    for file in (folder / "report").iterdir():
        if file.suffix in (".html", ".md", ".tex"):
            assert not re.search(r"\b1[ \u00a0~]seeds", file.read_text()), file.name


def test_what_all_have_at_the_start_they_share_saves_nothing_worth_saying() -> None:
    row = {"n_reached": 2, "n_seeds": 2, "n_at_start": 2, "budget": 8.0, "saved": 0.0}
    assert _budget_text(pd.Series(row), "n_annotated_units") == "≤ 8"
    assert _budget_text(pd.Series(row | {"n_at_start": 0, "saved": 0.25}), "n_annotated_units") == "8 [+25\u00a0%]"


def test_a_strategy_that_extends_one_of_ours_shares_its_colour_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(registry._REGISTRY, "mine", type("Mine", (get_strategy("usim-f"),), {"name": "mine"}))
    assert style("mine").color == style("usim-f").color
    assert style("mine") != style("usim-f")
    assert order(["usim-c", "mine", "usim-f"]) == ["usim-f", "mine", "usim-c"]


def test_marks_follow_the_strategy_and_not_its_parameters() -> None:
    assert oracle_aided(AIDED)
    assert label("random-fg33") == "random-fg33†"
    assert label("usim-f+query=expected") == "usim-f+query=expected"
    assert label("of-another-package+a=1") == "of-another-package+a=1"
