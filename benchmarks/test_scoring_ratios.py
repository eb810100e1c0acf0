"""Scoring against what it cannot do without, in one run: a ratio beyond its bound fails.

Bounds leave room for busy machines; benchmarks/results/scoring.md has what an idle one gives.
"""

from __future__ import annotations

import pytest
from cases import fastest
from scoring import ARCHIVE, SUBSETS, Bench, data_folder

pytestmark = [pytest.mark.ratio, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    data = data_folder()
    if data is None:
        pytest.skip(f"no {ARCHIVE} in the folder that ALBENCH_DATA names")
    return Bench.make(data, tmp_path_factory.mktemp("bench"))


def test_gradients_of_single_units_cost_no_more_than_training_on_them_twice(bench):
    case = bench.gradients(192)
    found = fastest(case)
    for other, floor in case.floors.items():
        ratio = found[other] / found["ours"]
        assert ratio >= floor, f"{case.name}: {other} takes {ratio:.3g} times our time, floor {floor:.3g}"


def test_moments_cost_little_more_than_the_passes(bench):
    found = fastest(bench.moments(96, passes=5))
    for name in SUBSETS:
        ratio = found[name] / found["bare passes"]
        assert ratio <= 1.3, f"{name}: {ratio:.3g} times the bare passes, bound 1.3"


def test_choosing_is_a_small_part_of_the_round(bench):
    score_s, select_s = bench.round(300)
    assert select_s <= 0.15 * score_s, f"usim-f: {select_s:.2f} s choosing, {score_s:.2f} s scoring"
