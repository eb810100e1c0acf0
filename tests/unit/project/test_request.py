"""Requests say at once what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from albench.errors import InputError
from albench.project.request import QueryRequest


def request(**options: Any) -> QueryRequest:
    return QueryRequest(**({"images": Path("i"), "out": Path("o"), "budget": 8, "model": Path("m")} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "--budget: expected a whole number from 1 up, got 0"),
        ({"audit": 9}, "--audit: expected at most the budget of 8, got 9"),
        ({"max_cases": 0}, "--max-cases"),
        ({"uncertainty": "x"}, "--uncertainty: expected one of auto, dropout, ensemble, mirroring"),
        ({"model": None}, "--model, --dataset"),
        ({"model": None, "dataset": Path("d"), "strategy": "usim-f"}, "--strategy usim-f: expected one of typical"),
        ({"model": None, "dataset": Path("d"), "audit": 1}, "--audit: expected a --model"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        request(**options)


def test_without_a_model_nothing_is_predicted() -> None:
    assert request(model=None, dataset=Path("d")).prefill == "none"


def test_labels_beside_the_images_are_those_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "labelsTr").mkdir()
    assert request(images=tmp_path).dataset is None
    (tmp_path / "dataset.json").write_text("{}")
    assert request(images=tmp_path).dataset == tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"annotators": ("anna", "Anna")}, "annotators: expected distinct names"),
        ({"annotators": ("a/b",)}, "annotators: expected a plain name"),
        ({"annotators": ("a", "b"), "max_cases": 1}, "at most one for each case, of which 1 are asked at most, got 2"),
    ],
)
def test_annotators_are_looked_at_first(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        request(**options)
