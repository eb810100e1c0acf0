"""What is asked before a run: what is accepted, and that it stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from albench.errors import InputError
from albench.results.layout import RunFolder
from albench.results.registered import RegisteredClaim, parse_claims, read_registered, register

CLAIM: dict[str, Any] = {"strategy": "usim-f", "endpoint": "final", "smallest": 0.01, "looks": [8, 16, 24]}


def test_what_is_left_out_has_defaults_and_names_become_labels() -> None:
    (claim,) = parse_claims([CLAIM | {"strategy": "claspe+beta_end=100"}], "claims")
    assert claim.strategy == "claspe"
    assert (claim.against, claim.classes, claim.n_worst, claim.alpha) == ("random", "all", None, 0.025)
    assert parse_claims((claim,), "claims") == (claim,)
    assert RegisteredClaim.model_validate(CLAIM | {"classes": "worst-2"}).n_worst == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "usim-g"}, "unknown strategy 'usim-g'"),
        ({"against": "full"}, "expected a strategy, got full, which is a ceiling"),
        ({"against": "bald"}, "expected another strategy than bald"),
        ({"endpoint": "best"}, "endpoint: Input should be 'final' or 'aubc'"),
        ({"classes": "worst-0"}, "expected all or worst-N, such as worst-2"),
        ({"looks": [16, 8]}, "looks: expected numbers of seeds in ascending order"),
        ({"looks": [2]}, "looks.0: Input should be greater than or equal to 3"),
        ({"looks": []}, "looks: Tuple should have at least 1 item"),
        ({"smallest": 0}, "smallest: Input should be greater than 0"),
        ({"alpha": 0.5}, "alpha: Input should be less than 0.5"),
        ({"test": "t"}, "test: Input should be 'crossed'"),
        ({"seeds": 3}, "seeds: Extra inputs are not permitted"),
    ],
)
def test_other_claims_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_claims([CLAIM, CLAIM | {"strategy": "bald"} | change], "claims")
    assert str(caught.value).startswith("claims 2")
    assert message in str(caught.value)


@pytest.mark.parametrize(("values", "message"), [("usim-f", "expected a list"), ([CLAIM, CLAIM], "each claim once")])
def test_a_list_of_claims_is_a_list(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_claims(values, "claims")


def test_they_are_frozen(tmp_path: Path) -> None:
    claims = parse_claims([CLAIM], "claims")
    register(tmp_path, claims)
    before = RunFolder(tmp_path).registered.read_bytes()
    register(tmp_path, claims)
    register(tmp_path, ())
    assert RunFolder(tmp_path).registered.read_bytes() == before
    assert read_registered(tmp_path) == claims
    other = parse_claims([CLAIM | {"smallest": 0.02}, CLAIM | {"endpoint": "aubc"}], "claims")
    with pytest.raises(InputError, match=r"claim 1\.smallest: 0\.01 -> 0\.02; claim 2: None -> "):
        register(tmp_path, other)
    assert RunFolder(tmp_path).registered.read_bytes() == before


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    register(tmp_path, parse_claims([CLAIM], "claims"))
    file = RunFolder(tmp_path).registered
    stored = json.loads(file.read_text())
    stored["claims"][0]["smallest"] = 0.001
    file.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="'digest' does not fit"):
        read_registered(tmp_path)


def test_nothing_is_registered_once_there_are_results(tmp_path: Path) -> None:
    study = RunFolder(tmp_path).study("d")
    shared, later = study.seed(0).first_round, study.chain("random", 0).round(1)
    for folder in (shared, later):
        folder.path.mkdir(parents=True)
        folder.stage("train").touch()
    shared.stage("evaluate").touch()
    register(tmp_path / "other", ())
    assert not (tmp_path / "other").exists()
    later.stage("evaluate").touch()
    with pytest.raises(InputError, match="expected no results yet"):
        register(tmp_path, parse_claims([CLAIM], "claims"))
    later.stage("evaluate").unlink()
    register(tmp_path, parse_claims([CLAIM], "claims"))
