from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albench.evaluate import dice_score, evaluate


@settings(deadline=None)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(*[hnp.arrays(np.bool_, n)] * 2)))
def test_dice_is_twice_the_overlap_over_the_sizes(masks: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = ({int(i) for i in np.flatnonzero(mask)} for mask in masks)
    found = dice_score(*masks)
    if a or b:
        assert found == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
        assert found == dice_score(*masks[::-1])
    else:
        assert np.isnan(found)


def test_dice_of_masks_by_hand() -> None:
    reference = np.zeros((2, 3, 4), dtype=bool)
    prediction = reference.copy()
    reference[0, :2, :3], prediction[0, 1:, :3] = True, True  # 6 and 6 voxels, 3 in common
    assert dice_score(prediction, reference) == 0.5
    assert dice_score(reference, reference) == 1
    assert dice_score(~reference, reference) == 0
    assert dice_score(np.zeros_like(reference), reference) == 0


def test_dice_of_two_empty_masks_is_not_a_number() -> None:
    empty = np.zeros((3, 3), dtype=bool)
    assert np.isnan(dice_score(empty, empty))


def test_dice_counts_beyond_what_a_byte_holds() -> None:
    mask = np.ones((70, 70, 70), dtype=bool)
    assert dice_score(mask, mask) == 1


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1), (1, 2), (6,)])
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="prediction: expected the reference's shape"):
        dice_score(np.ones(shape, dtype=bool), np.ones((3, 2), dtype=bool))


class StoredModel:
    """Label maps of two cases, as predicted and as they are."""

    maps: ClassVar = {"p": ([1, 1, 0, 2], [1, 0, 0, 2]), "q": ([0, 0, 0, 0], [0, 0, 2, 0])}

    def predict(self, case: str) -> Any:
        return np.array(self.maps[case][0], dtype=np.uint8)

    def reference(self, case: str) -> Any:
        return np.array(self.maps[case][1], dtype=np.uint8)


def test_every_foreground_class_of_every_case_gets_a_row() -> None:
    calls: list[None] = []
    labels = {2: "tail", 0: "background", 1: "head"}
    table = evaluate(StoredModel(), ["q", "p"], labels, lambda: calls.append(None))  # type: ignore[arg-type]
    assert list(table.columns) == ["case", "label", "label_name", "dice"]
    rows = list(table.itertuples(index=False, name=None))
    assert [row[:3] for row in rows] == [("q", 1, "head"), ("q", 2, "tail"), ("p", 1, "head"), ("p", 2, "tail")]
    np.testing.assert_allclose([row[3] for row in rows], [np.nan, 0, 2 / 3, 1])
    assert len(calls) == 2


def test_no_cases_give_an_empty_table() -> None:
    table = evaluate(StoredModel(), [], {0: "background", 1: "head"})  # type: ignore[arg-type]
    assert list(table.columns) == ["case", "label", "label_name", "dice"]
    assert table.empty
