"""nnActive's scores of learning curves: AUBC, foreground efficiency and the pairwise penalty matrix."""

from __future__ import annotations

import numpy as np
import pytest

from albench.stats.curves import aubc
from albench.stats.efficiency import foreground_efficiency, study_start
from albench.stats.grid import DiceGrid
from albench.stats.penalty import penalty_matrix
from tests.fidelity.fidelity_inputs import inputs, published

THEIRS = published("nnactive_metrics")["results"]


def test_aubc() -> None:
    found = [[aubc(curve) for curve in curves] for curves in inputs("curves")["dice"]]
    np.testing.assert_allclose(found, THEIRS["aubc"], rtol=1e-12)


def test_foreground_efficiency() -> None:
    """The same rate and, under its own name, the same variance of it."""
    frozen = inputs("curves")
    share, dice, ceiling = frozen["share"], frozen["dice"], float(frozen["ceiling"])
    start = study_start(share.ravel(), dice.ravel())
    assert start[0] == pytest.approx(THEIRS["x_offset"])
    assert ceiling - start[1] == pytest.approx(THEIRS["a"])
    for strategy in range(4):
        found = foreground_efficiency(share[strategy].ravel(), dice[strategy].ravel(), start, ceiling)
        assert found.gamma == pytest.approx(THEIRS["efficiency"][strategy], rel=1e-4)
        assert found.standard_error**2 == pytest.approx(THEIRS["variance"][strategy], rel=1e-3)


def test_pairwise_penalty() -> None:
    """Row beats column, at the rounds after the one that all share.

    nnActive's analyses leave its option `skip_first` unset: they count that round, at which nobody wins, as well.
    """
    dice = inputs("curves")["dice"]
    grid = DiceGrid(("a", "b", "c", "d"), (0, 1, 2, 3), tuple(range(6)), ("case",), (1,), dice[..., None, None])
    found = np.nan_to_num(penalty_matrix(grid))
    np.testing.assert_allclose(found, THEIRS["penalty"])
    np.testing.assert_allclose(found * 5 / 6, THEIRS["penalty_all"])
    assert 0 < found.sum() < 6
