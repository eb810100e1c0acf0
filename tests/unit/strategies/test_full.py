from __future__ import annotations

import numpy as np

from albench.strategies import choose
from albench.strategies.full import Full
from tests.support.strategies_reference import view_of


def test_full_takes_everything() -> None:
    selection = choose(Full(), view_of(5), 2, np.random.default_rng(0))
    assert selection.indices.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(selection.scores).all()
