"""The binding edge under arbitrary arrays: an answer, or an error that names the argument; never a crash."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import albench_core as core
from albench_core import _core

DTYPES = st.sampled_from(["f2", "f4", "f8", "u2", "i4", "i8", "u1", "?", "c8", ">f4", "O"])
REFUSED = (ValueError, TypeError, RuntimeError)


@st.composite
def arrays(draw):
    """Any dtype, zero to three dimensions, sizes with zeros, views with negative and broadcast strides."""
    dtype = np.dtype(draw(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    if dtype.kind == "O":
        return np.full(shape, None)
    array = draw(hnp.arrays(dtype, shape))
    kind = draw(st.integers(0, 4))
    if kind == 1 and array.ndim:
        array = array[::-1]
    elif kind == 2 and array.ndim > 1:
        array = array[..., ::2]
    elif kind == 3 and array.ndim and array.shape[0]:
        array = np.broadcast_to(array[:1], (4, *array.shape[1:]))
    elif kind == 4:
        array = array.T
    return array


NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.none(), st.text(max_size=3), st.booleans())


def attempt(call, *arguments, **named):
    with np.errstate(all="ignore"):
        try:
            return call(*arguments, **named)
        except REFUSED as error:
            assert str(error)
        except OverflowError:
            pass
    return None


@settings(deadline=None, max_examples=400)
@given(a=arrays(), b=arrays(), c=st.one_of(st.none(), arrays()), x=NUMBERS, y=NUMBERS)
def test_public_functions_answer_or_refuse(a, b, c, x, y):
    attempt(core.similarity, a, b, scale=c)
    attempt(core.kcenter_greedy, a, x, labelled=c)
    attempt(core.kmeans_plusplus, a, x, y)
    makers = (
        lambda: core.FacilityLocation(a, c),
        lambda: core.FacilityLocationVariantMI(a, c, x),
        lambda: core.FacilityLocationMI(a, b, c),
        lambda: core.GraphCutMI(a, c, x),
        lambda: core.ConcaveOverModular(a, c, x),
        lambda: core.LogDeterminantMI(a, b, b, x, y),
        lambda: core.FacilityLocationVariantMI.from_features(a, b, weights=c, max_memory=x),
    )
    for make in makers:
        f = attempt(make)
        if f is None:
            continue
        optimizer = "lazy" if f.submodular else "naive"
        attempt(core.maximize, f, x, optimizer, candidates=b)
        r = core.maximize(f, f.n, optimizer)
        assert sorted(r.indices) == list(range(f.n))
        assert np.isfinite(r.gains).all()


@settings(deadline=None, max_examples=400)
@given(a=arrays(), b=arrays(), c=arrays(), x=NUMBERS, k=st.integers(-3, 9))
def test_the_extension_itself_answers_or_refuses(a, b, c, x, k):
    attempt(_core.similarity, a, b, "dot", c, k)
    attempt(_core.kcenter_greedy, a, k, b, c, 1)
    attempt(_core.kmeans_plusplus, a, k, x, 1)
    for source in (attempt(_core.matrix_source, a), attempt(_core.feature_source, a, b, "cosine", None, 1)):
        if source is None:
            continue
        f = attempt(_core.facility_location, source, c, x, None, None, k, k, 1)
        attempt(_core.graph_cut, source, None, 1.0, 1)  # a source serves once
        if f is not None:
            attempt(f.commit, k)
            attempt(f.gain, k)
            attempt(f.gains, c, k)
            attempt(f.evaluate, c)
            attempt(_core.maximize, f, k, "lazy", x, 1, c, None, 1)
