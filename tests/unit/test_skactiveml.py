"""`SubmodularMI` keeps to what scikit-activeml asks of a pool strategy, and chooses what the core chooses."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("skactiveml", reason="scikit-activeml is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import albench.skactiveml
from albench import core
from albench.skactiveml import SubmodularMI
from albench.strategies.query import draw_query

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
Y = np.where(np.arange(30) < 6, np.arange(30.0) % 2, np.nan)
U = RNG.random(30)
UNLABELED = np.flatnonzero(np.isnan(Y))


def query(*, init: dict[str, Any] | None = None, **changed: Any) -> Any:
    arguments = {"X": X, "y": Y, "uncertainty": U, "batch_size": 5} | changed
    return SubmodularMI(**{"random_state": 42} | (init or {})).query(**arguments)


def test_the_constructor_only_keeps_what_it_is_given() -> None:
    names = list(inspect.signature(SubmodularMI.__init__).parameters)[1:]
    assert names == ["metric", "eta", "optimizer", "query_size", "missing_label", "random_state"]
    values = {name: object() for name in names}
    made = SubmodularMI(**values)  # type: ignore[arg-type]
    assert all(getattr(made, name) is value for name, value in values.items())
    assert clone(SubmodularMI(eta=2.0)).get_params()["eta"] == 2.0


def test_examples_are_true() -> None:
    result = doctest.testmod(albench.skactiveml)
    assert result.attempted > 3
    assert result.failed == 0


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("metric", "manhattan", "`metric`: expected one of cosine"),
        ("eta", -1, "`eta`: expected a finite number >= 0"),
        ("optimizer", "best", "`optimizer`: expected one of lazy"),
        ("query_size", 0, "`query_size`: expected an integer in 1"),
        ("query_size", 2.5, "`query_size`: expected an integer"),
        ("missing_label", object, "missing_label"),
        ("random_state", "state", "seed"),
    ],
)
def test_wrong_parameters_are_refused_when_it_is_used(name: str, value: Any, error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        query(init={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "string"),
        ("X", np.vstack([X, X])),
        ("X", X[:, 0]),
        ("X", np.where(X[2, 2] == X, np.nan, X)),
        ("y", np.nan),
        ("y", np.vstack([Y, Y])),
        ("y", Y[:-1]),
        ("uncertainty", U[:-1]),
        ("uncertainty", -U),
        ("uncertainty", np.full(30, np.nan)),
        ("uncertainty", "high"),
        ("candidates", np.nan),
        ("candidates", [30]),
        ("candidates", X[:, :2]),
        ("batch_size", 0),
        ("batch_size", 1.2),
        ("return_utilities", "string"),
    ],
)
def test_wrong_arguments_are_refused(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        query(**{name: value})


@pytest.mark.parametrize(
    ("missing", "labels", "kind"),
    [(np.nan, [1.0, 2.0], float), (0, [1, 2], int), (None, ["A", "B"], object), ("", ["A", "B"], str)],
)
def test_labels_of_any_kind(missing: Any, labels: list[Any], kind: type) -> None:
    y = np.full(30, missing, dtype=kind)
    y[:2] = labels
    found = query(y=y, init={"missing_label": missing})
    assert set(found) <= set(range(2, 30))


@settings(deadline=None, max_examples=60)
@given(
    batch_size=st.integers(1, 12),
    metric=st.sampled_from(core.METRICS),
    optimizer=st.sampled_from(core.OPTIMIZERS),
    query_size=st.sampled_from([None, 1, 50]),
    seed=st.integers(0, 1000),
    some=st.booleans(),
)
def test_utilities_are_gains(
    batch_size: int, metric: str, optimizer: str, query_size: int | None, seed: int, some: bool
) -> None:
    init = {"metric": metric, "optimizer": optimizer, "query_size": query_size, "random_state": seed}
    candidates = np.sort(np.random.default_rng(seed).choice(UNLABELED, 12, replace=False)) if some else None
    asked = {"batch_size": batch_size, "candidates": candidates, "init": init}
    indices, utilities = query(return_utilities=True, **asked)
    np.testing.assert_array_equal(query(**asked), indices)
    free = UNLABELED if candidates is None else candidates
    assert utilities.shape == (batch_size, 30)
    assert len(set(indices)) == batch_size
    for step, index in enumerate(indices):
        known = np.setdiff1d(free, indices[:step])
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(utilities[step])), known)
        if optimizer in ("lazy", "naive"):
            assert known[np.argmax(utilities[step, known])] == index
    # Gains never rise: the function is submodular.
    with np.errstate(invalid="ignore"):
        assert not (np.diff(utilities, axis=0) > 1e-9).any()


def test_it_is_the_objective_of_usim() -> None:
    seeds = np.random.RandomState(7)
    found, utilities = query(init={"random_state": seeds, "eta": 0.5}, return_utilities=True)
    free = X[UNLABELED]
    query_set = draw_query(U[UNLABELED], 5, _generator_of(7))
    f = core.FacilityLocationVariantMI.from_features(free, free[query_set.indices], weights=query_set.weights, eta=0.5)
    best = core.maximize(f, 5)
    np.testing.assert_array_equal(found, UNLABELED[best.indices])
    np.testing.assert_array_equal(utilities[np.arange(5), found], best.gains)


def _generator_of(seed: int) -> np.random.Generator:
    """As scikit-activeml multiplies seeds by the number of unlabeled samples and one."""
    from skactiveml.utils import check_random_state

    state = check_random_state(np.random.RandomState(seed), len(UNLABELED) + 1)
    return np.random.default_rng(state.randint(2**31 - 1, size=2).tolist())


def test_candidates_as_indices_or_as_samples_have_the_same_utilities() -> None:
    everything = query(return_utilities=True)[1]
    by_index = query(candidates=UNLABELED, return_utilities=True)[1]
    np.testing.assert_array_equal(everything, by_index)
    samples, of_samples = query(candidates=X[UNLABELED], return_utilities=True)
    np.testing.assert_array_equal(everything[:, UNLABELED], of_samples)
    assert samples.max() < len(UNLABELED)
    one = query(candidates=UNLABELED[:1], batch_size=1, return_utilities=True)[1]
    assert np.flatnonzero(~np.isnan(one[0])).tolist() == [UNLABELED[0]]


def test_the_same_state_gives_the_same_choice() -> None:
    strategy = SubmodularMI(random_state=np.random.RandomState(0))
    first, again = (strategy.query(X, Y, uncertainty=U, batch_size=5, return_utilities=True) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert len({tuple(query(init={"random_state": seed, "query_size": 5})) for seed in range(10)}) > 1


def test_a_batch_larger_than_the_pool_is_cut_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="batch_size"):
        found = query(batch_size=100)
    assert sorted(found) == UNLABELED.tolist()


def test_uncertainty_decides_what_is_represented() -> None:
    line = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    y = np.full(3, np.nan)
    assert SubmodularMI(random_state=0).query(line, y, uncertainty=[1.0, 0.0, 0.0]).tolist() == [0]
    assert SubmodularMI(random_state=0).query(line, y, uncertainty=[0.0, 1.0, 0.0]).tolist() == [1]
    # Of labeled samples it plays no part.
    y[0] = 1.0
    assert SubmodularMI(random_state=0).query(line, y, uncertainty=[np.nan, 1.0, 0.0]).tolist() == [1]


def test_candidates_where_all_is_labeled() -> None:
    labels = np.zeros(30)
    assert query(y=labels, candidates=[3, 4, 5], batch_size=2).shape == (2,)
    assert query(y=labels, candidates=X[:3], batch_size=2, uncertainty=None).shape == (2,)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="`candidates`: expected at least one"):
        query(y=labels)


def test_cycles_until_nothing_is_left() -> None:
    y = np.full(30, np.nan)
    strategy = SubmodularMI(random_state=1)
    for _ in range(10):
        found = strategy.query(X, y, uncertainty=U, batch_size=3)
        assert np.isnan(y[found]).all()
        y[found] = 1.0
    assert not np.isnan(y).any()


HIDDEN = """
import sys
sys.modules["skactiveml"] = None
import albench
try:
    albench.skactiveml
except ImportError as error:
    print(error)
"""


def test_without_scikit_activeml_it_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)
    assert "pip install 'al-bench[skactiveml]'" in done.stdout
