"""Every strategy through the loop on the fake trainer, and the scores that chains of a seed share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from albench.data import Dataset
from albench.machine.files import read_json
from albench.results.layout import GALLERY
from albench.results.tables import read_results, read_rounds
from albench.scoring import cache
from albench.scoring.request import FREE_MOMENTS
from albench.strategies import label_of, make_strategy, settings_of
from albench.study.workers import run_studies
from albench.training.fake import FakeModel
from tests.support.fake_study import MANY, fake_study

SHARING = ("mcd", "usim-f", "usim-c", "bald", "coreset", "badge", "claspe")


def queries(out: Path) -> dict[str, bytes]:
    """All query files, by their place."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("query.json"))}


@pytest.fixture(scope="module")
def finished(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    run_studies([fake_study(phantom, out)], [*SHARING, *MANY], [0], n_processes=1)
    return out


@pytest.mark.slow
def test_every_strategy_runs_under_its_label(finished: Path, phantom: Dataset) -> None:
    runs = read_rounds(finished)
    labels = {*SHARING, *MANY}
    assert set(runs["strategy"]) == set(read_results(finished)["strategy"]) == labels
    assert (runs.groupby("strategy")["n_annotated_units"].max() == 18).all()
    for label in labels:
        query = read_json(finished / phantom.name / label / "seed-0" / "round-1" / "query.json")
        assert query["strategy"] == label
        assert query["parameters"] == settings_of(make_strategy(label))
        assert label_of(make_strategy(label)) == label


def test_the_expected_query_is_another_strategy_than_the_drawn_one(finished: Path, phantom: Dataset) -> None:
    def chosen(label: str) -> list[object]:
        return read_json(finished / phantom.name / label / "seed-0" / "round-1" / "query.json")["units"]

    assert chosen("usim-f") != chosen("usim-f+query=expected")


@pytest.fixture(scope="module")
def unshared(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study where no scores are kept."""
    out = tmp_path_factory.mktemp("unshared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "MAX_BYTES", -1)
        run_studies([fake_study(phantom, out)], [*SHARING, *MANY], [0], n_processes=1)
    assert not [path for path in out.rglob("*.npz") if path.name != GALLERY]
    return out


@pytest.mark.slow
def test_shared_scores_change_no_selection(finished: Path, unshared: Path) -> None:
    assert queries(finished) == queries(unshared)
    pd.testing.assert_frame_equal(read_results(finished), read_results(unshared))


def test_the_table_says_what_came_from_others(finished: Path, unshared: Path) -> None:
    runs = read_rounds(finished)
    found = {
        strategy: set(" ".join(own.loc[own["round"] == 1, "cached_scores"]).split())
        for strategy, own in runs.groupby("strategy")
    }
    assert "last_layer" not in found["badge"]  # alone in wanting it
    # One chain ran the stochastic passes for all.
    passing = [name for name in found if make_strategy(name).needs & FREE_MOMENTS]
    assert sum(not found[name] & {str(need.name).lower() for need in FREE_MOMENTS} for name in passing) == 1
    assert found["random-fg66"] == set()
    assert (runs.loc[runs["round"] != 1, "cached_scores"] == "").all()
    assert (read_rounds(unshared)["cached_scores"] == "").all()


def test_each_quantity_is_computed_once(phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    score = FakeModel.score

    def counted(self, units, needs, plan, on_batch=lambda: None):
        if plan.key[2] == 1:
            asked.append(needs)
        return score(self, units, needs, plan, on_batch)

    monkeypatch.setattr(FakeModel, "score", counted)
    run_studies([fake_study(phantom, tmp_path)], SHARING, [0], n_processes=1)
    total = asked[0]
    for needs in asked[1:]:
        assert not total & needs
        total |= needs
    assert all(make_strategy(name).needs & ~total == type(total).NOTHING for name in SHARING)
