"""What a page says of registered claims."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from albench.errors import InputError
from albench.report import build_report
from albench.report.inputs import read_inputs
from albench.report.registered import build_asked
from albench.results.layout import RunFolder
from albench.results.registered import parse_claims, register
from albench.results.tables import read_results, write_table
from tests.support.report_fixtures import write_study

CLAIMS = [
    {"strategy": "usim-f", "endpoint": "final", "classes": "worst-1", "smallest": 0.01, "looks": [3, 5, 8]},
    {"strategy": "entropy", "against": "usim-f", "endpoint": "aubc", "smallest": 0.01, "looks": [3, 8]},
    {"strategy": "bald", "endpoint": "final", "smallest": 0.01, "looks": [8]},
]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    register(tmp_path / "out", ())
    (tmp_path / "out").mkdir()
    register(tmp_path / "out", parse_claims(CLAIMS, "claims"))
    return write_study(tmp_path / "out", n_seeds=5)


def test_every_claim_has_its_look_and_its_decision(study: Path) -> None:
    page = build_report(study).read_text()
    assert "What was asked beforehand" in page
    assert "Everything else on this page is exploratory." in page
    table = pd.read_csv(study / "report/registered.csv")
    assert list(table["role"]) == ["primary", "secondary", "secondary"]
    assert list(table["n_finished"]) == [5, 5, 0]
    assert list(table["decision"][1:]) == ["cannot be reached", "no look yet"]
    assert table["decision"][0] == "shown"
    assert table["n_seeds"][0] in (3, 5)
    assert str(table["counted_classes"][0]) == "2"
    text = (study / "report/registered.md").read_text()
    assert "usim-f over random, final Dice of structure 2, 0.01 matters" in text
    assert "looks at 8" in text


def finished(folders: list[Path]) -> list[int]:
    """Whole seeds that each claim counts."""
    inputs = read_inputs(folders)
    asked = build_asked(inputs.results, inputs.claims, {("phantom", "quick"): 4})
    assert asked is not None
    return list(asked.table["n_finished"])


def test_a_chain_that_still_runs_counts_for_nothing(study: Path) -> None:
    results = read_results(study)
    write_table(results[(results["round"] < 3) & (results["strategy"] != "full")], study / "results.parquet")
    assert finished([study]) == [0, 0, 0]


def test_without_claims_nothing_is_said_of_them(tmp_path: Path) -> None:
    inputs = read_inputs([write_study(tmp_path / "out", n_seeds=1)])
    assert build_asked(inputs.results, inputs.claims, {}) is None


def test_claims_that_were_changed_make_no_report(study: Path) -> None:
    file = RunFolder(study).registered
    file.write_text(file.read_text().replace("0.01", "0.001"))
    with pytest.raises(InputError, match="'digest' does not fit"):
        read_inputs([study])


def test_folders_of_one_study_have_its_claims_once(study: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    register(tmp_path / "more", parse_claims(CLAIMS[:1], "claims"))
    more = write_study(tmp_path / "more", n_seeds=3, first_seed=5)
    assert finished([study, more]) == [8, 8, 0]
