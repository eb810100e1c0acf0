from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from albench.report import build_report
from albench.report.ranks import ranks_figure
from albench.report.statistics import build_statistics
from albench.report.texts import interval_text, number_text, p_text
from tests.support.report_fixtures import Page, write_study
from tests.support.stats_fixtures import made_results

NAMES = ("scores", "budget", "pairs", "penalty", "claims")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(
        tmp_path_factory.mktemp("study"), strategies=("random", "random-fg66", "entropy", "usim-f", "full"), n_seeds=3
    )
    build_report(folder)
    return folder / "report"


def test_every_table_is_there_as_csv_markdown_and_latex(folder: Path) -> None:
    for name in NAMES:
        table = pd.read_csv(folder / f"{name}.csv")
        assert len(table)
        assert set(table["dataset"]) == {"phantom"}
        assert (folder / f"{name}.md").read_text().startswith("### ")
        text = (folder / f"{name}.tex").read_text()
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 0
        assert not re.search(r"(?<!\\)[%&_#](?![^\n]*\\\\)", re.sub(r" & ", " ", text)), "nothing left to escape"
        assert text.isascii()
    assert list(pd.read_csv(folder / "ranks.csv").columns) == ["strategy", "mean_rank"]


def test_the_page_shows_claims_with_n_test_and_verdict(folder: Path) -> None:
    page = Page(folder / "index.html")
    assert page.open == []
    claims = pd.read_csv(folder / "claims.csv")
    assert not claims["claim"].str.contains("fg66").any(), "oracle-aided strategies are in no claim"
    for _, claim in claims.iterrows():
        assert claim["claim"] in page.text
        assert claim["verdict"] in page.text
        assert f"{claim['n_seeds']}\u00a0seeds, {claim['n_cases']}\u00a0cases" in page.text
    assert "No critical-difference diagram: 1 data set, 5 are needed" in page.text
    assert "random-fg66†" in page.text
    assert "quasi-F of two crossed random factors" in page.text


def test_tables_of_older_studies_without_later_columns_are_reported(folder: Path) -> None:
    scores = pd.read_csv(folder / "scores.csv")
    assert scores[["final_nsd", "final_hd95"]].isna().all(axis=None), "the study has neither"
    assert scores["final_dice"].notna().all()
    measures = set(pd.read_csv(folder / "budget.csv")["measure"])
    assert measures == {"n_annotated_units", "n_annotated_voxels", "n_annotated_fg_voxels"}


def test_csv_and_shown_numbers_agree(folder: Path) -> None:
    pairs = pd.read_csv(folder / "pairs.csv")
    row = pairs[(pairs["endpoint"] == "aubc") & (pairs["strategy"] == "usim-f") & (pairs["reference"] == "random")]
    shown = next(line for line in (folder / "pairs.md").read_text().splitlines() if line.startswith("| usim-f |"))
    mean, low, high, p = (row[name].iloc[0] for name in ("mean", "low", "high", "p_two_sided_holm"))
    assert interval_text(mean, low, high, sign=True) in shown
    assert f"| {p_text(p)} | {row['verdict'].iloc[0]} |" in shown
    assert low < mean < high


def test_every_p_says_that_it_is_two_sided(folder: Path) -> None:
    for name in ("summary", "pairs", "claims"):
        columns = [column for column in pd.read_csv(folder / f"{name}.csv").columns if re.match(r"p(_|$)", column)]
        assert columns == ["p_two_sided", "p_two_sided_holm"]
        headers = [line for line in (folder / f"{name}.md").read_text().splitlines() if "p, two-sided" in line]
        assert headers, name


def test_two_strategies_are_a_pair_and_no_claim(tmp_path: Path) -> None:
    page = Page(build_report(write_study(tmp_path, strategies=("random", "usim-f"), n_seeds=3, n_rounds=2)))
    assert pd.read_csv(tmp_path / "report" / "claims.csv").empty
    assert not (tmp_path / "report" / "claims.md").exists()
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert "claims.csv" in links
    assert "claims.md" not in links


def test_enough_data_sets_have_a_critical_difference_diagram() -> None:
    rng = np.random.default_rng(0)
    effects = {"random": 0.0, "entropy": 0.05, "usim-f": 0.1}
    parts = [made_results(effects, rng, dataset=f"d{i}", n_labels=1, n_seeds=1, n_cases=4) for i in range(6)]
    results = pd.concat(parts)
    runs = results[["dataset", "protocol", "strategy", "seed", "round"]].drop_duplicates().assign(n_pool_fg_voxels=1e6)
    section, numbers = build_statistics(results, runs)
    assert section.ranks_svg is not None
    assert section.ranks_svg.startswith(b"<?xml")
    assert "6 data sets, 3 strategies" in section.ranks_note
    assert "ranks.svg" in section.files(numbers)
    axes = ranks_figure(numbers.ranks).axes[0]
    assert [text.get_text().strip() for text in axes.texts[:-1]] == ["usim-f", "entropy", "random"]
    bars = [
        tuple(line.get_xdata()) for line in axes.lines if line.get_color() == "black" and len(line.get_xdata()) == 2
    ]
    ranks = numbers.ranks.ranks.to_numpy()
    assert bars == [(ranks[first], ranks[last]) for first, last in numbers.ranks.alike()]
    assert bars
    assert section.files(numbers) == build_statistics(results, runs)[0].files(numbers), "the same each time"


def test_latex_escapes_what_latex_reads() -> None:
    section, numbers = build_statistics(*made())
    files = section.files(numbers)
    text = "".join(files[name].decode() for name in files if name.endswith(".tex"))
    assert r"\textless{}0.001" in text
    assert r"90~\%" in text


def made() -> tuple[pd.DataFrame, pd.DataFrame]:
    results = made_results({"random": 0.0, "usim-f": 0.1}, np.random.default_rng(0), n_labels=1)
    runs = results[["dataset", "protocol", "strategy", "seed", "round"]].drop_duplicates()
    return results, runs.assign(n_pool_fg_voxels=600_000.0)


def test_numbers_as_people_read_them() -> None:
    assert [p_text(p) for p in (0.0004, 0.0123, 0.5, float("nan"))] == ["<0.001", "0.012", "0.50", "–"]
    assert number_text(-0.0001, sign=True) == "0.000"
    assert interval_text(1.25, 1.0, 2.0, digits=1) == "1.2 [1.0, 2.0]"
    assert interval_text(0.5, float("nan"), float("nan")) == "0.500"
