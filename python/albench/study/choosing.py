"""Choosing the next units: the same steps for a round of a study and for a query of a project."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from albench.config import Protocol
from albench.scoring.request import GradientSettings, Scores, ScoringRequest
from albench.seeding import Key, generator
from albench.strategies import Choice, Oracle, PoolView, Strategy, choose
from albench.units.pool import Pool, Unit


def scoring_request(
    protocol: Protocol,
    weights: NDArray[np.float64],
    key: tuple[Key, ...],
    labelled: Sequence[Unit],
    gradients: GradientSettings,
) -> ScoringRequest:
    """Return how a protocol wants units scored."""
    settings = protocol.scoring
    return ScoringRequest(
        passes=settings.passes,
        dropout=settings.dropout,
        batch_size=settings.batch_size,
        bfloat16=settings.precision == "bfloat16",
        class_weights=weights,
        key=key,
        labelled=tuple(labelled),
        gradients=gradients,
        source=settings.source,
    )


def choose_units(
    strategy: Strategy,
    units: Sequence[Unit],
    scores: Scores,
    weights: NDArray[np.float64],
    *,
    pool: Pool,
    labelled: Sequence[Unit],
    budget: int,
    max_per_case: int | None,
    key: tuple[Key, ...],
    query_number: int,
    n_queries: int,
) -> Choice:
    """Let a strategy choose `budget` of the units that are not annotated.

    Parameters
    ----------
    units
        Those of `pool` that may be chosen, sorted; `scores` are of these, in this order.
    weights
        float64 (n_labels,) of the classes: see `albench.scoring.request.class_weights`.
    labelled
        Units annotated so far, in order of choice.
    budget
        Clipped to the number of units.
    max_per_case
        Bound on the units of one case; None: any number.
    key
        Names of the random stream.
    query_number, n_queries
        Which query this is, counted from 0, and how many there will be.

    Raises
    ------
    InputError
        The bound on the units of one case allows fewer.
    """
    view = PoolView(
        tuple(units),
        scores,
        weights,
        query_number=query_number,
        n_queries=n_queries if strategy.scheduled else None,
        annotated=tuple(labelled),
        oracle=_oracle(pool, units) if strategy.oracle_aided else None,
    )
    return choose(
        strategy,
        view,
        min(budget, len(units)),
        generator(*key),
        max_per_case=max_per_case,
        boxes=pool.boxes(units) if pool.overlaps else None,
    )


def _oracle(pool: Pool, units: Sequence[Unit]) -> Oracle:
    rows = pool.rows(units)
    return Oracle(pool.voxel_counts[rows], pool.border_counts[rows])
