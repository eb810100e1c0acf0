"""The core against its peers in one run: a ratio below its floor fails. Absolute times are not compared.

Floors lie below what is measured on an idle machine (benchmarks/results/ratios.md), as CI machines are not.
"""

from __future__ import annotations

import pytest
from cases import (
    Case,
    facility_location,
    from_features,
    functions,
    given_matrix,
    matrix_free,
    medians,
    product,
)

pytestmark = [pytest.mark.ratio, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("submodlib")
pytest.importorskip("apricot")

CASES = [
    given_matrix,
    lambda: from_features(n=1_000, q=250),
    lambda: matrix_free(n=50_000),
    facility_location,
    lambda: product(20_000, 1_000, 128),
    lambda: functions()[0],
    lambda: functions()[1],
    lambda: functions()[2],
]


@pytest.mark.parametrize("make", CASES, ids=lambda make: getattr(make, "__name__", "case").strip("<>"))
def test_the_core_keeps_its_lead(make):
    case: Case = make()
    found = medians(case)
    for peer, floor in case.floors.items():
        ratio = found[peer] / found["core"]
        assert ratio >= floor, f"{case.name}: {peer} takes {ratio:.3g} times the core's time, floor {floor:.3g}"
