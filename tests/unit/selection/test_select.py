from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import albench
from albench.errors import InputError
from albench.scoring.request import class_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5)).astype(np.float32)
U = RNG.random(20)

NO_TORCH = """
import sys
import numpy as np
import albench
X = np.random.default_rng(0).normal(size=(50, 4))
albench.select(X, 3, uncertainty=np.arange(50.0))
p = np.full((3, 50, 2, 4), 0.5)
albench.select(X, 3, strategy="kmeans-bald", scores=albench.moments(p), groups=np.arange(50) // 10)
albench.select(budget=2, strategy="expected-dice", scores=albench.moments(p))
print(sorted({"torch", "nnunetv2", "SimpleITK", "matplotlib"} & set(sys.modules)))
"""


def test_pytorch_is_imported_by_those_alone_who_have_tensors() -> None:
    done = subprocess.run([sys.executable, "-c", NO_TORCH], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "values",
    [
        torch.from_numpy(X),
        torch.from_numpy(X).requires_grad_(),
        torch.from_numpy(X.astype(np.float64)),
        X.astype(np.float64)[::-1][::-1],
        X.tolist(),
        pd.DataFrame(X),
        np.asfortranarray(X),
    ],
    ids=["tensor", "tensor with a graph", "double", "strided", "list", "table", "Fortran"],
)
def test_features_of_any_kind(values: Any) -> None:
    expected = albench.select(X, 6, uncertainty=U)
    found = albench.select(values, 6, uncertainty=torch.from_numpy(U))
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.gains, expected.gains)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype: torch.dtype) -> None:
    half = torch.from_numpy(X).to(dtype)
    found, expected = (albench.select(each, 6, uncertainty=U) for each in (half, half.float()))
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_uncertainty_by_class_is_weighed() -> None:
    by_class = RNG.random((20, 3))
    weights = np.array([0.0, 0.2, 0.8])
    found = albench.select(budget=5, strategy="mcd", uncertainty=by_class, class_weights=weights)
    expected = np.argsort(-(by_class @ weights), kind="stable")[:5]
    assert found.indices.tolist() == expected.tolist()
    np.testing.assert_allclose(found.scores, (by_class @ weights)[expected])
    # Nothing labelled yet: all classes but the background alike, as in a round.
    alike = albench.select(budget=5, strategy="mcd", uncertainty=by_class)
    np.testing.assert_allclose(alike.scores, np.sort(by_class @ class_weights(np.zeros(3, np.int64)))[::-1][:5])
    # It comes before the variance in the scores.
    scores = albench.Scores(variance=by_class)
    own = albench.select(budget=5, strategy="mcd", uncertainty=U, scores=scores)
    np.testing.assert_array_equal(own.scores, np.sort(U)[::-1][:5])


def test_groups_are_names_of_any_kind() -> None:
    names = np.array(["liver 2", "liver 10", "spleen", "kidney"])[np.arange(20) % 4]
    expected = albench.select(X, 8, uncertainty=U, groups=np.arange(20) % 4, max_per_group=2)
    for groups in (names, names.tolist(), pd.Series(names), pd.Categorical(names), names.astype(object)):
        found = albench.select(X, 8, uncertainty=U, groups=groups, max_per_group=2)
        np.testing.assert_array_equal(found.indices, expected.indices)
    # Their order, not their names, is what a spread over cases may depend on.
    spread = [
        albench.select(budget=6, strategy="equidistant", groups=groups).indices.tolist()
        for groups in (np.sort(names), np.unique(np.sort(names), return_inverse=True)[1])
    ]
    assert spread[0] == spread[1]


def test_units_of_a_case_lie_in_the_order_of_the_rows() -> None:
    """Slices of two cases, mixed up: what is annotated keeps its place between the others."""
    groups = np.array([0, 1] * 10)
    found = albench.select(budget=2, strategy="equidistant", groups=groups, labelled=[0, 1])
    # Ten slices each, the first annotated: the farthest, the ends being neighbours, is the sixth.
    assert sorted(found.indices.tolist()) == [10, 11]


def test_labelled_units_are_centres_of_coreset() -> None:
    line = np.array([[0.0], [1.0], [5.0], [9.0]])
    assert albench.select(line, 2, strategy="coreset", labelled=[0]).indices.tolist() == [3, 2]
    mask = np.array([True, False, False, False])
    assert albench.select(line, 2, strategy="coreset", labelled=mask).indices.tolist() == [3, 2]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no budget": ({"budget": None}, "`budget`: expected an integer in 1..20, got None"),
    "too much": ({"budget": 21}, "`budget`: expected an integer in 1..20, got 21"),
    "more than is free": ({"labelled": range(15), "budget": 6}, r"`budget`: expected an integer in 1..5, got 6"),
    "other rows": ({"uncertainty": U[:-1]}, "`uncertainty`: expected 20 rows, as features has, got 19"),
    "NaN": ({"uncertainty": np.where(np.arange(20) == 7, np.nan, U)}, "`uncertainty`: .* NaN or infinity in row 7"),
    "negative": ({"uncertainty": -U}, "`uncertainty`: expected numbers >= 0"),
    "a cube": ({"uncertainty": np.ones((20, 2, 2))}, r"`uncertainty`: expected shape \(n,\) or \(n, C\), got"),
    "words": ({"uncertainty": ["a"] * 20}, "`uncertainty`: expected real numbers, got dtype <U1"),
    "a vector": ({"features": X[:, 0]}, r"`features`: expected shape \(n, d\), got shape \(20,\)"),
    "infinite features": (
        {"features": np.where(np.arange(20)[:, None] == 3, np.inf, X)},
        "`features`: .* infinity in row 3",
    ),
    "too large for float32": ({"features": X.astype(np.float64) * 1e300}, "`features`: .* infinity in row 0"),
    "no features": ({"features": None}, "strategy 'usim-c': expected features$"),
    "no uncertainty": ({"uncertainty": None}, r"strategy 'usim-c': expected uncertainty, or scores=albench\.moments"),
    "nothing": ({"features": None, "uncertainty": None}, "expected an argument with a row for every unit"),
    "no row": ({"features": X[:0]}, "`features`: expected a row for every unit"),
    "labelled beyond": ({"labelled": [20]}, "`labelled`: expected indices in 0..19, got 20"),
    "labelled twice": ({"labelled": [2, 2]}, "`labelled`: expected distinct indices"),
    "short mask": ({"labelled": np.zeros(3, bool)}, r"`labelled`: expected indices, or a mask of shape \(20,\)"),
    "all labelled": ({"labelled": range(20)}, "`candidates`: expected at least one unit that is not labelled"),
    "no candidate": ({"candidates": []}, "`candidates`: expected at least one"),
    "groups of another size": ({"groups": [0, 1]}, "`groups`: expected 20 rows, as features has, got 2"),
    "groups without a name": ({"groups": [np.nan] * 20}, "`groups`: expected a label for every unit, got NaN in row 0"),
    "groups of two kinds": ({"groups": np.array([1, "a"] * 10, object)}, "`groups`: expected labels of one kind"),
    "a bound without groups": ({"max_per_group": 2}, "`groups`: expected the case of every unit"),
    "a bound of none": ({"max_per_group": 0, "groups": range(20)}, "`max_per_group`: expected an integer in 1"),
    "a bound too low": ({"max_per_group": 1, "groups": [0] * 20}, "`max_per_group`: .* lets 5 units .* got 1: 1 units"),
    "weights of another size": ({"class_weights": [0, 1]}, r"`class_weights`: expected shape \(1,\)"),
    "no such strategy": ({"strategy": "usin-c"}, "unknown strategy 'usin-c'; did you mean usim-c"),
    "a class": ({"strategy": 7}, "`strategy`: expected the name of a strategy or an object of one, got int"),
    "seed": ({"random_state": -1}, "`random_state`: expected an integer in 0"),
    "no seed": ({"random_state": None}, "`random_state`: expected an integer in 0.*got None"),
    "no Scores": ({"scores": {"entropy": U}}, "`scores`: expected a Scores, as albench.moments makes it, got dict"),
    "Fisher below 0": (
        {"strategy": "usim-f", "gradients": X, "fisher": -np.ones(5)},
        "`fisher`: expected numbers >= 0",
    ),
    "Fisher of 0": ({"strategy": "usim-f", "gradients": X, "fisher": np.zeros(5)}, "`fisher`: expected numbers > 0"),
    "no Fisher": ({"strategy": "usim-f", "gradients": X}, "`fisher`: expected the Fisher information's diagonal"),
    "cases wanted": ({"strategy": "equidistant"}, "`groups`: expected the case of every unit, which strategy"),
    "scores by class": (
        {"strategy": "bald", "scores": albench.Scores(mutual_information=np.ones((20, 2)))},
        r"`scores.mutual_information`: expected shape \(n,\), got shape \(20, 2\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name: str) -> None:
    changed, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        albench.select(**{"features": X, "budget": 5, "uncertainty": U} | changed)


def test_nothing_given_is_changed() -> None:
    arrays = {"features": X.copy(), "uncertainty": U.copy(), "groups": np.arange(20) % 3}
    for array in arrays.values():
        array.flags.writeable = False
    albench.select(budget=5, labelled=[1], max_per_group=3, **arrays)
