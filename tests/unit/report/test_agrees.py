"""The parts of one page against each other: one question has one answer, wherever it is shown."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from albench.report import build_report, print_summary, summary_table
from albench.report.findings import findings
from albench.report.matrix import matrix
from albench.report.texts import interval_text, number_text, p_text
from albench.results.tables import read_results
from albench.stats.pairs import Pair, pairs_of
from tests.support.report_fixtures import Page, write_study

STRATEGIES = ("random", "entropy", "mcd", "badge", "usim-f", "usim-c", "full")
NAMES = STRATEGIES[:-1]


class Study:
    """One made study and everything that a reader sees of it."""

    def __init__(self, folder: Path, n_seeds: int) -> None:
        write_study(folder, strategies=STRATEGIES, n_seeds=n_seeds)
        index = build_report(folder)
        self.page, self.html = Page(index), index.read_text(encoding="utf-8")
        self.results = read_results(folder)
        self.summary = summary_table(self.results).set_index("strategy")
        self.claims = pd.read_csv(index.parent / "claims.csv")
        self.markdown = (index.parent / "pairs.md").read_text(encoding="utf-8")
        self.pairs = pairs_of(pd.read_csv(index.parent / "pairs.csv"))

    def findings(self) -> str:
        return " ".join(findings(self.summary.reset_index(), 600))

    def squares(self) -> dict[tuple[str, str], str]:
        """Class of each square's cell, and its text, as they stand in the page."""
        table = re.search(r'<table class="versus">.*?</table>', self.html, re.DOTALL)
        assert table
        rows = re.findall(r"<tr>(.*?)</tr>", table.group(), re.DOTALL)[1:]
        found = {}
        for name, row in zip(NAMES, rows, strict=True):
            cells = re.findall(r'<td class="([\w-]+)"[^>]*>(.*?)</td>', row, re.DOTALL)
            for other, (kind, text) in zip(NAMES, cells, strict=True):
                found[name, other] = f"{kind}: {re.sub('<[^>]*>', '', text)}"
        return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("five"), 5)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("two"), 2)


def difference(pair: Pair) -> str:
    return interval_text(pair.mean, pair.low, pair.high, sign=True)


def test_the_study_holds_both_verdicts(study: Study) -> None:
    assert {study.pairs[name, "random"].verdict for name in NAMES[1:]} == {"better", "no evidence"}


def test_cells_tables_and_terminal_show_the_pairs(study: Study) -> None:
    stream = io.StringIO()
    print_summary(study.results, Console(file=stream, width=250))
    terminal = {line.split()[0]: line for line in stream.getvalue().splitlines() if line.split()}
    section = study.markdown.split("### AUBC, all pairs")[0].split("### final Dice")[0]
    for name in NAMES[1:]:
        pair = study.pairs[name, "random"]
        n = f"{pair.n_seeds}\u00a0seeds, {pair.n_cases}\u00a0cases"
        shown = [difference(pair), f"{p_text(pair.p_holm)} [{pair.verdict}]", n]
        assert study.page.rows[name][9:12] == shown
        for text in shown:
            assert text in terminal[name]
        row = next(line for line in section.splitlines() if line.startswith(f"| {name} |"))
        tests = (p_text(pair.p), p_text(pair.p_holm), pair.verdict, number_text(pair.detectable))
        assert row == f"| {' | '.join([name, difference(pair), *tests, n])}, {pair.n_pairs}\u00a0pairs |"
        own = study.summary.loc[name]
        assert own["aubc"] - study.summary.loc["random", "aubc"] == pytest.approx(pair.mean), "nothing is unpaired"


def test_the_headline_is_the_pair_of_the_best_and_says_that_it_was_picked(study: Study) -> None:
    best = study.summary.loc[list(NAMES), "aubc"].idxmax()
    assert best == "usim-f"
    pair, text = study.pairs[best, "random"], study.findings()
    assert text.startswith(
        f"Largest area under the learning curve: usim-f, AUBC {study.summary.loc[best, 'aubc']:.3f}, the best of 6 "
        "strategies, picked after the fact."
    )
    assert f"AUBC against random on the same 5 seeds and 12 cases: {difference(pair)}, two-sided p " in text
    assert f", {p_text(pair.p_holm)} corrected by Holm for all pairs and so for the picking: usim-f is better" in text
    assert all(sentence in study.page.text for sentence in findings(study.summary.reset_index(), 600))


def test_squares_are_coloured_by_the_corrected_p_alone(study: Study) -> None:
    squares = study.squares()
    colours = {"better": "better: ▲ ", "worse": "worse: ▼ ", "no evidence": "no-evidence: "}
    for key, pair in study.pairs.items():
        verdict = "no evidence" if pair.p_holm >= 0.05 else "better" if pair.mean > 0 else "worse"
        expected = f"{colours[verdict]}{number_text(pair.mean, sign=True)} p {p_text(pair.p_holm)}"
        assert squares[key].replace("&lt;", "<") == expected
        assert pair.verdict == verdict


def test_claims_count_the_pairs_verdicts_and_average_their_means(study: Study) -> None:
    claims = study.claims.set_index("claim")
    against = [study.pairs[name, "random"] for name in NAMES[1:]]
    most = claims.loc["Most of the field beats random (3 of 5 strategies at least)"]
    assert (most["verdict"] == "supported") == (sum(pair.verdict == "better" for pair in against) >= 3)
    for usim in ("usim-f", "usim-c"):
        every = claims.loc[f"{usim} beats every one of the paper's baselines"]
        pairs = [study.pairs[usim, name] for name in NAMES[:4]]
        assert (every["verdict"] == "supported") == all(pair.verdict == "better" for pair in pairs)
        assert (every["verdict"] == "contradicted") == any(pair.verdict == "worse" for pair in pairs)
        assert any(
            (every["estimate"], every["p_two_sided_holm"]) == pytest.approx((pair.mean, pair.p_holm)) for pair in pairs
        )
    field = next(claim for text, claim in claims.iterrows() if str(text).startswith("The field beats random"))
    assert field["estimate"] == pytest.approx(np.mean([pair.mean for pair in against]))


def test_fewer_than_three_seeds_give_no_p_no_verdict_and_no_colour_anywhere(two_seeds: Study) -> None:
    study = two_seeds
    assert {pair.verdict for pair in study.pairs.values()} == {"not tested"}
    assert all(text.startswith(("not-tested: ", "self: ")) and " p " not in text for text in study.squares().values())
    for name in NAMES[1:]:
        mean = number_text(study.pairs[name, "random"].mean, sign=True)
        assert study.page.rows[name][9:11] == [mean, "– [not tested]"]
    assert "Not tested: that takes 3 seeds and 2 cases, so nothing is said of a difference." in study.page.text
    assert "Nothing is tested or coloured" in study.page.text
    assert set(study.claims["verdict"]) == {"cannot tell: too few seeds or cases"}
    assert study.claims[["p_two_sided", "p_two_sided_holm"]].isna().all(axis=None)


def test_the_matrix_has_a_row_and_column_for_each_strategy(study: Study) -> None:
    names, rows = matrix(study.pairs)
    assert names == list(NAMES)
    assert all(row[index] is None for index, row in enumerate(rows))
    assert max(square.share for row in rows for square in row if square) == 1


def test_one_round_is_no_curve_and_one_strategy_is_picked_from_nothing(tmp_path: Path) -> None:
    first = read_results(write_study(tmp_path / "a", n_rounds=1, strategies=("random", "usim-f")))
    said = findings(summary_table(first), 600)
    assert len(said) == 1
    assert said[0].startswith("One round so far: mean Dice 0.")
    alone = read_results(write_study(tmp_path / "b", n_rounds=2, strategies=("usim-f",)))
    headline, *rest = findings(summary_table(alone), 600)
    assert headline.startswith("Largest area under the learning curve: usim-f, AUBC 0.")
    assert "picked" not in headline
    assert not any("random" in sentence for sentence in rest)
