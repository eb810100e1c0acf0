from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albench.scoring import request
from albench.scoring.request import GradientSettings, class_weights, uncertainty


def test_weights_are_inverse_shares() -> None:
    # shares .9, .08, .02: 1/share 12.5 and 50, over their sum 62.5
    np.testing.assert_allclose(class_weights(np.array([900, 80, 20])), [0, 0.2, 0.8])


def test_a_class_not_seen_weighs_as_much_as_the_rarest_seen() -> None:
    # 1/share 10 and 40, twice 40 for those not seen, over their sum 130
    weights = class_weights(np.array([350, 40, 0, 10, 0]))
    np.testing.assert_allclose(weights, np.array([0, 10, 40, 40, 40]) / 130)


@pytest.mark.parametrize("background", [0, 1000])
def test_without_any_foreground_all_weigh_the_same(background: int) -> None:
    np.testing.assert_allclose(class_weights(np.array([background, 0, 0, 0])), [0, 1 / 3, 1 / 3, 1 / 3])


def test_without_background_the_foreground_still_counts() -> None:
    np.testing.assert_allclose(class_weights(np.array([0, 75, 25])), [0, 0.25, 0.75])


@settings(deadline=None)
@given(hnp.arrays(np.int64, st.integers(2, 8), elements=st.one_of(st.just(0), st.integers(0, 2**45))))
def test_weights_are_a_distribution_over_the_foreground(counts: np.ndarray) -> None:
    weights = class_weights(counts)
    assert weights.shape == counts.shape
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert weights[0] == 0
    assert (weights[1:] > 0).all()
    assert weights.sum() == pytest.approx(1)
    foreground = counts[1:]
    rarest_first = np.argsort(foreground)
    assert (np.diff(weights[1:][rarest_first]) <= 1e-15).all()


def test_uncertainty_is_the_weighted_sum_over_classes() -> None:
    rng = np.random.default_rng(0)
    variance, weights = rng.random((6, 4)), rng.random(4)
    found = uncertainty(variance, weights)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [sum(w * v for w, v in zip(weights, row, strict=True)) for row in variance])


@pytest.mark.parametrize("name", ["layers", "heads", "pseudo_labels", "fisher", "loss"])
def test_unknown_words_are_refused_with_those_there_are(name: str) -> None:
    words = getattr(request, {"fisher": "FISHERS", "loss": "LOSSES"}.get(name, name.upper()))
    with pytest.raises(ValueError, match=f"{name}: expected one of {', '.join(words)}, got 'none of them'"):
        GradientSettings(**{name: "none of them"})
