"""A variant of USIM: what annotated units cover counts no more, and classes weigh alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from albench import core
from albench.scoring.request import Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, non_negative, one_of
from albench.strategies.coreset import features_of
from albench.strategies.kernels import Embedding
from albench.strategies.query import QUERY_KINDS, QueryKind, make_query
from albench.strategies.usim import facility_location

Strata = Literal["class", "none"]


class UsimX(Strategy):
    """Conditional mutual information with the uncertain part of the pool, given what is annotated, on features.

    The batch A maximises sum_q w_q max(0, max_a s(a, q) - c_q) with c_q = max_l s(l, q) over the annotated units l: a
    unit like one that is annotated already is worth nothing, however uncertain. Similarity is the correlation of
    bottleneck activations, each standardised over the pool; negative ones count as 0.

    Parameters
    ----------
    query
        ``expected``: every unit weighs by its share of the uncertainty; ``sampled``: drawn with replacement by it.
    strata
        ``class``: every foreground class has the same share of the uncertainty, whatever its size; ``none``: weighed by
        the inverse of what is labelled of it, as in ``usim-f``.
    beta
        Power of the uncertainty: 0 makes all units weigh alike, large leaves the most uncertain.
    condition
        Whether what is annotated is taken into account.
    """

    name = "usim-x"
    look = Look("usim", "*", "--")
    summary = "conditional submodular mutual information on features, given what is annotated"
    reference = "al-bench, after Föllmer et al., MIDL 2024, and Kothawade et al., PRISM, AAAI 2022"
    needs = Need.VARIANCE | Need.FEATURES

    def __init__(
        self, *, query: QueryKind = "expected", strata: Strata = "class", beta: float = 1.0, condition: bool = True
    ) -> None:
        self.query = one_of("query", query, QUERY_KINDS)
        self.strata = one_of("strata", strata, ("class", "none"))
        self.beta = non_negative("beta", beta)
        self.condition = condition

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Make the query set, take off what is covered, and maximise."""
        mass = self.uncertainty_mass(view)
        query = make_query(self.query, mass, budget, rng)
        features = features_of(view)
        rows, labelled = standardised(features.unlabelled, features.labelled)
        covered = None
        if self.condition and len(labelled):
            similarity = core.similarity(labelled, rows[query.indices], metric="cosine")
            covered = np.maximum(similarity.max(axis=0), 0).astype(np.float64)
        objective = facility_location(Embedding(rows, "cosine"), query, eta=0.0, covered=covered)
        result = core.maximize(objective, budget, optimizer="lazy")
        return Choice(indices=result.indices, scores=mass[result.indices], gains=result.gains)

    def uncertainty_mass(self, view: PoolView) -> NDArray[np.float64]:
        """Return what each unit weighs in the query set, up to a factor; float64 (n,)."""
        if self.strata == "none":
            return view.uncertainty**self.beta
        by_class = view.score("variance")[:, 1:] ** self.beta
        totals = by_class.sum(axis=0)
        return np.asarray((by_class / np.where(totals > 0, totals, 1.0)).sum(axis=1), dtype=np.float64)


def standardised(
    unlabelled: NDArray[np.float32], labelled: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centre columns and divide them by their standard deviation, both over all rows; constant ones become 0."""
    both = np.concatenate([unlabelled, labelled]).astype(np.float64)
    spread = both.std(axis=0)
    both = (both - both.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    rows = both.astype(np.float32)
    return rows[: len(unlabelled)], rows[len(unlabelled) :]
