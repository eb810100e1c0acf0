from __future__ import annotations

import numpy as np
from strategies_reference import view_of

from albench.strategies.random import Random


def test_random_is_uniform() -> None:
    rng = np.random.default_rng(0)
    chosen = np.stack([Random().select(view_of(6), 2, rng).indices for _ in range(3000)])
    found = np.bincount(chosen.ravel(), minlength=6) / 3000
    assert (np.abs(found - 1 / 3) <= 4 * np.sqrt(2 / 9 / 3000)).all()
    first = np.bincount(chosen[:, 0], minlength=6) / 3000
    assert (np.abs(first - 1 / 6) <= 4 * np.sqrt(5 / 36 / 3000)).all()
