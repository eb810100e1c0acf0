"""Where uncertainty comes from, how many cases a query may have, how turned labels come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation

from albench.annotation.places import FileGrid
from albench.errors import InputError
from albench.project.asking import uncertainty_source, within_cases
from albench.project.request import QueryRequest
from albench.strategies import Choice
from albench.training.given import open_model
from albench.units.pool import Unit
from tests.support.fake_study import Listening
from tests.support.given_model import given_folder
from tests.support.hostile import PLANS


def asked(uncertainty: str = "auto") -> QueryRequest:
    return QueryRequest(Path("i"), Path("o"), 4, model=Path("m"), uncertainty=uncertainty)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "source", "said"),
    [
        ({"plans": PLANS}, "dropout", None),
        ({"folds": (0, 1)}, "ensemble", "what the folds disagree about"),
        ({}, "mirroring", "sees asymmetry, not ignorance"),
        ({"inference_allowed_mirroring_axes": None}, "none", "the softmax's own alone"),
    ],
)
def test_the_best_that_a_model_has(tmp_path: Path, options: dict[str, object], source: str, said: str | None) -> None:
    model = open_model(given_folder(tmp_path, **options))  # type: ignore[arg-type]
    reporter = Listening()
    assert uncertainty_source(asked(), model, reporter) == source
    assert (said is None) == (not reporter.heard)
    assert said is None or said in reporter.heard[0]


def test_what_a_model_has_not(tmp_path: Path) -> None:
    model = open_model(given_folder(tmp_path))
    with pytest.raises(InputError, match="--uncertainty dropout: expected a model that has it, found mirroring"):
        uncertainty_source(asked("dropout"), model, Listening())


@given(st.lists(st.integers(0, 5), min_size=6, max_size=40), st.integers(1, 6), st.integers(1, 6))
def test_a_bound_on_the_cases(cases: list[int], budget: int, most: int) -> None:
    units = sorted({Unit(f"c{case}", number) for number, case in enumerate(cases)})

    def last(candidates: object) -> Choice:
        n = len(candidates)  # type: ignore[arg-type]
        return Choice(np.arange(n - 1, max(-1, n - 1 - budget), -1, dtype=np.int64))

    chosen_from, choice = within_cases(units, most, last)
    chosen = [chosen_from[row] for row in choice.indices]
    first = [units[row].case for row in last(units).indices]
    assert len({unit.case for unit in chosen}) <= most
    assert {unit.case for unit in chosen} <= set(list(dict.fromkeys(first))[:most])
    if len(set(first)) <= most:
        assert [unit.case for unit in chosen] == first


@given(st.permutations(range(3)), st.tuples(*[st.sampled_from((1, -1))] * 3))
def test_turned_labels_come_back(order: list[int], signs: tuple[int, int, int]) -> None:
    file_ijk = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    orientation = np.array([[axis, sign] for axis, sign in zip(order, signs, strict=True)])
    read = apply_orientation(file_ijk, orientation).transpose(2, 1, 0)  # as nnU-Net's reader has it, (z, y, x)
    turns = []
    for axis in (2, 1, 0):  # of (z, y, x), in the reader's (x, y, z)
        (of_file,) = [number for number, to in enumerate(order) if to == axis]
        turns.append((of_file, signs[of_file] < 0))
    grid = FileGrid((2, 3, 4), None, tuple(turns))  # type: ignore[arg-type]
    assert (grid.as_stored(read) == file_ijk.transpose(2, 1, 0)).all()
