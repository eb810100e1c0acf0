"""A study that learned nothing says so, on the page and on the terminal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from albench.report import build_report, print_summary
from albench.report.doubts import doubts
from albench.results.tables import read_results, write_table
from tests.support.report_fixtures import Page, write_study


def results_of(folder: Path, **settings: object) -> pd.DataFrame:
    return read_results(write_study(folder, n_rounds=2, **settings))  # type: ignore[arg-type]


def test_a_study_in_order_has_none(tmp_path: Path) -> None:
    assert doubts(results_of(tmp_path)) == []
    assert "Read with care" not in build_report(tmp_path).read_text()


def test_a_strategy_above_the_ceiling(tmp_path: Path) -> None:
    """On the page, on the terminal, and no share of it is boasted of."""
    results = results_of(tmp_path)
    full = results["strategy"] == "full"
    results.loc[full, "dice"] *= 0.4
    write_table(results, tmp_path / "results.parquet")
    (line,) = doubts(results)
    assert line.startswith("Training on all labels ends at a mean Dice of 0.3")
    for name in ("random", "entropy", "usim-f"):
        own = results[(results["strategy"] == name) & (results["round"] == 1)]
        dice = own.groupby(["seed", "label"])["dice"].mean()
        assert f"{name} ({dice.groupby('seed').mean().mean():.3f})" in line
    text = " ".join(Page(build_report(tmp_path)).text.split())
    assert f"Read with care. {line}" in text
    assert "of what training on all labels reaches" not in text
    console = Console(width=200, record=True)
    print_summary(results, console)
    assert f"warning: {line}" in " ".join(console.export_text().split())


def test_on_shared_seeds_alone(tmp_path: Path) -> None:
    """A seed that the ceiling lacks is no reason."""
    results = results_of(tmp_path)
    more = results[results["strategy"] == "random"].assign(seed=5, dice=1.0)
    assert doubts(pd.concat([results, more], ignore_index=True)) == []


@pytest.mark.parametrize("ceiling", [True, False])
def test_a_class_that_nobody_learned(ceiling: bool, tmp_path: Path) -> None:
    """What the ceiling finds somewhere is learned; absent classes (NaN) are no zeros."""
    strategies = ("random", "usim-f", "full") if ceiling else ("random", "usim-f")
    results = results_of(tmp_path, strategies=strategies)
    label = results["label"] == 2
    judged = label & (results["strategy"] == "full") if ceiling else label
    results.loc[judged & results["dice"].notna(), "dice"] = 0.0
    assert any(line.startswith("Dice is 0 in every test case for structure 2 after") for line in doubts(results))
    one = results.index[judged & results["dice"].notna() & (results["round"] == 1)][0]
    results.loc[one, "dice"] = 0.2
    assert not any(line.startswith("Dice is 0") for line in doubts(results))
    results.loc[judged, "dice"] = float("nan")
    assert not any(line.startswith("Dice is 0") for line in doubts(results))
