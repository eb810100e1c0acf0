"""The figure of what strategies gain over the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from albench.report import build_report
from albench.report.differences import describe, differences_figure, gains_of
from albench.results.tables import read_results
from albench.stats.pairs import pair_tables
from tests.support.report_fixtures import write_study

STUDY = ("phantom", "quick")


@pytest.mark.parametrize("n_seeds", [1, 4])
def test_gains_are_those_of_the_last_round_seed_by_seed(tmp_path: Path, n_seeds: int) -> None:
    results = read_results(write_study(tmp_path, n_seeds=n_seeds))
    gains = gains_of(results, pair_tables(results), STUDY)
    assert [gain.strategy for gain in gains] == ["usim-f", "entropy"]
    last = results[(results["round"] == 3) & (results["label"] > 0)]
    dice = last.pivot(index=["seed", "case", "label"], columns="strategy", values="dice")
    for gain in gains:
        paired = (dice[gain.strategy] - dice["random"]).groupby("seed").mean()  # absent classes have no difference
        np.testing.assert_allclose(gain.seeds, paired, atol=1e-12)
        assert gain.mean == pytest.approx(gain.seeds.mean(), abs=1e-3)
        assert np.isnan(gain.low) == (n_seeds == 1)
        assert n_seeds == 1 or gain.low < gain.mean < gain.high
    axes = differences_figure([("", gains)]).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["usim-f", "entropy"]
    dots = [len(points.get_offsets()) for points in axes.collections]
    assert dots == [n_seeds, n_seeds]
    assert f"usim-f {gains[0].mean:+.3f}; entropy" in describe("phantom", gains)


def test_without_the_reference_there_is_no_figure(tmp_path: Path) -> None:
    folder = write_study(tmp_path, strategies=("entropy", "usim-f"), n_rounds=2)
    assert gains_of(read_results(folder), pair_tables(read_results(folder)), STUDY) == []
    page = build_report(folder)
    assert not (page.parent / "differences.svg").exists()
    assert "What each strategy gains" not in page.read_text()


def test_the_page_shows_it(tmp_path: Path) -> None:
    page = build_report(write_study(tmp_path, n_seeds=2, n_rounds=2))
    assert (page.parent / "differences.svg").is_file()
    assert "What each strategy gains over random after the last round" in page.read_text()
    assert "Final Dice of each strategy less that of random, phantom, quick protocol" in page.read_text()
