"""ALUNET's rankings by entropy, variance over dropout passes and BALD, and its stochastic batches."""

from __future__ import annotations

import numpy as np
import pytest

from albench.strategies import make_strategy
from tests.fidelity.fidelity_inputs import Replay, published
from tests.fidelity.fidelity_views import slices_view


@pytest.mark.parametrize(
    ("name", "label", "score", "factor"),
    [
        ("alunet_entropy", "entropy", "entropy_bits", np.log(2)),
        ("alunet_bald", "bald", "bald_bits", np.log(2)),
        # the unbiased variance of 10 passes against the plain one, a factor that no ranking sees
        ("alunet_mcd", "mcd+weights=none", "uncertainty", 9 / 10),
    ],
)
def test_ranking(name: str, label: str, score: str, factor: float) -> None:
    theirs, view = published(name)["results"], slices_view()
    found = make_strategy(label).select(view, len(view.units), np.random.default_rng(0))
    # BALD of a slice without any uncertainty is a difference of equal numbers
    np.testing.assert_allclose(found.scores, factor * np.array(theirs[score])[found.indices], rtol=1e-4, atol=1e-7)
    assert found.indices.tolist() == theirs["order"]


def test_stochastic_batches() -> None:
    """The same shuffle, groups and sums; the published code would also take the shorter group that is left over."""
    view = slices_view()
    theirs = published("alunet_stb")["results"]
    np.testing.assert_allclose(view.mean_variance, 0.9 * np.array(theirs["uncertainty"]), rtol=1e-4)
    for case in theirs["cases"]:
        rng = Replay(*case["draws"])
        found = make_strategy("stb+uncertainty=variance").select(view, case["budget"], rng)
        assert found.indices.tolist() == case["chosen"]
        rng.finish()
