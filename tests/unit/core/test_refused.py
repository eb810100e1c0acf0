"""What the core refuses, and what it says."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import albench_core as core
from albench_core import _core

S = np.array([[0.5, 0.25], [0.75, 1.0], [0.0, 0.5]], np.float32)
FROM_FEATURES = [made for made in (getattr(core, name) for name in core.__all__) if hasattr(made, "from_features")]


@pytest.mark.parametrize(
    ("X", "Q", "metric"),
    [
        ([[3e30, 0.0]], [[3e30, 0.0]], "dot"),
        ([[3e30, -3e30]], [[3e30, 3e30]], "dot"),  # infinity minus infinity
        ([[3e38, 3e38]], [[1.0, 1.0]], "cosine"),
        ([[1e-44, 0.0]], [[1.0, 0.0]], "cosine"),  # a norm that nothing can be divided by
    ],
)
@pytest.mark.parametrize("held", [None, 0, 2**20])
def test_similarities_beyond_float32_are_refused(X, Q, metric, held):
    X, Q = np.array([[1.0, 1.0], *X], np.float32), np.array(Q, np.float32)
    with pytest.raises(ValueError, match=r"`X`: expected finite values.* in row 1"):
        core.similarity(X, Q, metric)
    with pytest.raises(ValueError, match=r"`X`: expected finite values.* in row 1"):
        core.FacilityLocation.from_features(X, Q, metric=metric, max_memory=held)


def test_large_vectors_whose_similarities_are_small_are_not():
    assert core.similarity(np.float32([[3e30, 0.0]]), np.float32([[0.0, 3e30]]), "dot").tolist() == [[0.0]]
    assert core.similarity(np.float32([[1e-30, 0.0]]), np.float32([[1e-30, 0.0]])).tolist() == [[1.0]]


@pytest.mark.parametrize("cls", [core.FacilityLocation, core.FacilityLocationVariantMI, core.GraphCutMI])
@pytest.mark.parametrize("weight", [1e308, 1e300])
def test_weights_whose_sums_do_not_fit_are_refused(cls, weight):
    with pytest.raises(ValueError, match=r"`weights`: expected weights and factors.* at most 1e300"):
        cls(S, np.full(2, weight))


@pytest.mark.parametrize("optimizer", core.OPTIMIZERS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_borrowed_array_that_changed_is_named(optimizer, value):
    lent = S.copy()
    f = core.FacilityLocationVariantMI(lent)
    lent[1] = value
    with pytest.raises(ValueError, match=r"`S`: .* in row 1|`f`: .* a gain of (inf|nan) for element 1"):
        core.maximize(f, 1, optimizer)
    lent[1] = S[1]
    assert core.maximize(f, 1, optimizer, epsilon=1e-9).indices.tolist() == [1]


@pytest.mark.parametrize("view", [False, True])
def test_borrowed_memory_stays(view):
    owner = S.copy()
    f = core.FacilityLocation(owner[:2] if view else owner)
    with pytest.raises(ValueError, match="cannot resize"):
        owner.resize((1000, 1000), refcheck=False)
    assert f.gain(1) == 1.75
    del f
    owner.resize((4, 4), refcheck=False)


def test_borrowed_memory_that_was_taken_away_is_noticed():
    lent = S.copy()
    f = core.FacilityLocation(lent)
    lent.__setstate__((1, (2, 2), np.dtype(np.float32), False, bytes(16)))
    with pytest.raises(ValueError, match="`S`: expected memory that stays where it is"):
        f.gain(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: core.similarity(a, S),
        lambda a: core.similarity(S, S, scale=a[0]),
        lambda a: core.kcenter_greedy(S, 1, labelled=a[0].astype(int)),
        lambda a: core.kcenter_greedy(S, 1, labelled=a),
        lambda a: core.kmeans_plusplus(a, 1),
        core.FacilityLocation,
        lambda a: core.FacilityLocation(list(a)),
        lambda a: core.FacilityLocation(S, weights=a[0]),
        lambda a: core.FacilityLocationMI(S, a),
        lambda a: core.LogDeterminantMI(S, np.eye(3), a[:2]),
        lambda a: core.FacilityLocation.from_features(S, a),
        lambda a: core.FacilityLocation(S).evaluate(a[0].astype(int)),
        lambda a: core.FacilityLocation(S).gains(a[0].astype(int)),
        lambda a: core.maximize(core.FacilityLocation(S), 1, candidates=a[0].astype(int)),
    ],
)
@pytest.mark.parametrize("mask", [False, True])
def test_a_mask_is_refused_not_ignored(call, mask):
    with pytest.raises(ValueError, match="without a mask"):
        call(np.ma.MaskedArray(S, mask=mask))


@pytest.mark.parametrize("make", [_core.Function, _core.Source])
def test_objects_of_the_extension_are_never_empty(make):
    for way in (
        make,
        lambda: make.__new__(make),
        lambda: make.__mro__[1].__new__(make),
        lambda: type("D", (make,), {}),
    ):
        with pytest.raises(TypeError):
            way()


@pytest.mark.parametrize("cls", [core.SetFunction, core.FacilityLocation])
def test_a_function_that_was_not_made_says_so(cls):
    for use in (lambda f: f.gain(0), lambda f: f.n, lambda f: core.maximize(f, 1)):
        with pytest.raises(TypeError, match=f"this {cls.__name__} was not made by a constructor"):
            use(cls.__new__(cls))


@pytest.mark.parametrize("cls", FROM_FEATURES)
def test_help_shows_every_keyword_of_from_features(cls):
    shown = inspect.signature(cls.from_features).parameters
    assert {"X", "Q", "metric", "scale", "n_threads"} <= set(shown)
    assert ("max_memory" in shown) == cls.__name__.startswith("FacilityLocation")
    assert shown["metric"].default == "cosine"
    assert all(each.kind is not each.VAR_KEYWORD for each in shown.values())
