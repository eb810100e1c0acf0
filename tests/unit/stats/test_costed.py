"""Areas by cost: of curves whose areas are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.stats.costed import COUNTED, area_between, costed_areas

SECONDS = {"slice_s": 10.0, "foreground_voxel_s": 0.0005, "border_voxel_s": 0.05}
HEIGHTS = st.lists(st.floats(0, 1), min_size=2, max_size=6)


def curves(**strategies: list[tuple[int, int, int, float]]) -> pd.DataFrame:
    """(slices, foreground voxels, border voxels, Dice) of each round, the same in two seeds."""
    rows = [
        (strategy, seed, number, *values)
        for strategy, rounds in strategies.items()
        for seed in range(2)
        for number, values in enumerate(rounds)
    ]
    return pd.DataFrame(rows, columns=["strategy", "seed", "round", *COUNTED.values(), "dice"])


@given(HEIGHTS)
def test_over_equal_steps_it_is_the_area_of_the_rounds(heights: list[float]) -> None:
    y = np.array(heights)
    x = 10.0 + 5 * np.arange(y.size)
    whole = area_between(x, y, x[0], x[-1])
    assert whole == pytest.approx((y.sum() - (y[0] + y[-1]) / 2) / (y.size - 1))
    middle = (x[0] + x[-1]) / 2
    halves = area_between(x, y, x[0], middle), area_between(x, y, middle, x[-1])
    assert sum(halves) / 2 == pytest.approx(whole), "areas over parts add up"


def test_a_gain_by_the_slice_may_be_a_loss_by_the_hour() -> None:
    """The greedy strategy's slices have five times the border: at random's cost it is not half through its query."""
    table = curves(
        random=[(10, 1000, 100, 0.5), (20, 2000, 200, 0.7)], greedy=[(10, 1000, 100, 0.5), (20, 6000, 2200, 0.72)]
    )
    (row,) = costed_areas(table, SECONDS | {"slice_s": 1.0}).to_dict("records")
    assert row["slices"] == pytest.approx(0.01)
    assert row["seconds"] < -0.05
    assert row["seconds_low"] < row["seconds"] < row["seconds_high"] < 0.01
    assert row["n_seeds"] == 2
    (free,) = costed_areas(table, SECONDS | {"border_voxel_s": 0.0, "foreground_voxel_s": 0.0}).to_dict("records")
    assert free["seconds"] == pytest.approx(free["slices"]), "where slices alone cost, the two are one"
    assert free["seconds_low"] == pytest.approx(free["seconds_high"])


def test_what_cannot_be_compared_is_left_out() -> None:
    start = (10, 1000, 100, 0.5)
    table = curves(random=[start, (20, 2000, 200, 0.7)], mcd=[start], full=[(99, 9000, 900, 0.9)])
    assert costed_areas(table, SECONDS).empty, "one only has the start"
    assert costed_areas(table.drop(columns="n_annotated_slices"), SECONDS).empty
    assert costed_areas(table.assign(n_annotated_slices=np.nan), SECONDS).empty
