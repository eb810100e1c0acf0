"""ALUNET's USIM-F and USIM-C: class weights, uncertainty, Fisher diagonal, similarities, query set and choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from albench import core
from albench.scoring.fisher import draw
from albench.scoring.request import FisherEmbedding, Scores
from albench.strategies import PoolView, make_strategy
from albench.strategies.query import draw_query, knee, query_size
from tests.fidelity.fidelity_inputs import Replay, inputs, published
from tests.fidelity.fidelity_views import slices_view

AS_PUBLISHED = "heads=published+pseudo_labels=own"


def view_of(**gradients: Any) -> PoolView:
    """The frozen slices with their uncertainty, and gradients."""
    view = slices_view()
    return replace(view, scores=Scores(variance=view.scores.variance, **gradients))


def fisher_view(case: dict[str, Any]) -> PoolView:
    """With the gradients at the parameters that the published code drew."""
    gradients = inputs("vectors")["gradients"][:, case["columns"]]
    return view_of(fisher=FisherEmbedding(np.ascontiguousarray(gradients), np.array(case["fisher"])))


@pytest.mark.parametrize("name", ["alunet_usimf", "alunet_usimc"])
def test_query_set(name: str) -> None:
    """Knee, size, probabilities (class-weighted variance) and, with the same draw, the units and their counts."""
    uncertainty = slices_view().uncertainty
    for case in published(name)["results"]["cases"]:
        of_query = case["draws"][-1]
        assert knee(uncertainty) == case["knee"]
        assert query_size(uncertainty, case["budget"]) == of_query["size"]
        found = draw_query(uncertainty, case["budget"], Replay(of_query))
        expected, counts = np.unique(of_query["result"], return_counts=True)
        assert found.indices.tolist() == expected.tolist()
        assert found.weights.tolist() == counts.tolist()


def test_units_and_parameters_of_the_fisher_diagonal() -> None:
    """Units by uncertainty and parameters by F, both without replacement, where there are more than are taken."""
    theirs = published("alunet_fisher")["results"]
    first = inputs("vectors")["gradients"][theirs["units"][0]].astype(np.float64)
    (of_parameters,) = theirs["draws"]
    found = draw(first**2, of_parameters["size"], Replay(of_parameters))
    assert found.tolist() == sorted(theirs["columns"])
    # one unit's squared gradient, not the mean over the eight: this is what fisher=one is
    np.testing.assert_allclose(first[theirs["columns"]] ** 2, theirs["fisher"], rtol=1e-12)
    of_units = published("alunet_usimf")["results"]["cases"][0]["draws"][0]
    assert draw(slices_view().uncertainty, of_units["size"], Replay(of_units)).tolist() == list(range(23))


def test_fisher_similarity() -> None:
    """Each value of the kernel that the published code hands to submodlib."""
    case = published("alunet_usimf")["results"]["cases"][0]
    strategy = make_strategy(f"usim-f+{AS_PUBLISHED}+fisher=one")
    embedding = strategy.embedding(fisher_view(case))  # type: ignore[attr-defined]
    found = embedding.kernel(embedding.rows[case["draws"][-1]["result"]])
    np.testing.assert_allclose(found, case["kernel"], rtol=1e-4, atol=1e-4 * np.abs(case["kernel"]).max())
    assert (np.array(case["kernel"]) < 0).any()


@pytest.mark.parametrize("optimizer", core.OPTIMIZERS[:2])
def test_usim_f_chooses_the_same(optimizer: str) -> None:
    strategy = make_strategy(f"usim-f+{AS_PUBLISHED}+fisher=one+optimizer={optimizer}")
    for case in published("alunet_usimf")["results"]["cases"]:
        found = strategy.select(fisher_view(case), case["budget"], Replay(case["draws"][-1]))  # type: ignore[arg-type]
        assert found.indices.tolist() == case["chosen"]
        np.testing.assert_allclose(found.gains, case["gains"], rtol=1e-3)


@pytest.mark.parametrize("optimizer", core.OPTIMIZERS[:2])
def test_usim_c_chooses_the_same(optimizer: str) -> None:
    strategy = make_strategy(f"usim-c+{AS_PUBLISHED}+optimizer={optimizer}")
    view = view_of(bottleneck=inputs("vectors")["gradients"])
    for case in published("alunet_usimc")["results"]["cases"]:
        found = strategy.select(view, case["budget"], Replay(case["draws"][-1]))  # type: ignore[arg-type]
        assert found.indices.tolist() == case["chosen"]
        np.testing.assert_allclose(found.gains, case["gains"], rtol=1e-3)
