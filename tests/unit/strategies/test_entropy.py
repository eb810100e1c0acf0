from __future__ import annotations

import numpy as np

from albench.strategies.entropy import Entropy
from tests.support.strategies_reference import view_of


def test_entropy_takes_the_highest_first() -> None:
    selection = Entropy().select(view_of(4, entropy=np.array([0.3, 0.9, 0.1, 0.5])), 3, np.random.default_rng(0))
    assert selection.indices.tolist() == [1, 3, 0]
    assert selection.scores.tolist() == [0.9, 0.5, 0.3]
    assert np.isnan(selection.gains).all()
