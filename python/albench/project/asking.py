"""Which units a query asks for: the strategy's, and some drawn uniformly to measure the model by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from albench.coldstart.choose import choose_start
from albench.config import StartMethod
from albench.errors import InputError
from albench.progress import Reporter, every
from albench.project.inquiry import Inquiry
from albench.project.request import COLD_STARTS, QueryRequest
from albench.scoring.request import Need, Scores, ScoringRequest, class_weights, unit_passes
from albench.seeding import generator
from albench.strategies import Choice, Strategy, make_strategy
from albench.study.choosing import choose_units, scoring_request
from albench.training.given import GivenModel
from albench.training.model import NnunetModel
from albench.units.cost import labelled_voxels
from albench.units.pool import Unit

DEFAULT_STRATEGY = "usim-f"
WITHOUT_PASSES = Need.ENTROPY | Need.FEATURES | Need.STAGE_FEATURES | Need.LAST_LAYER | Need.BOTTLENECK
"""What one pass of one network gives."""
Chooser = Callable[[Sequence[Unit]], Choice]
"""Chooses among the units that it is given."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Units of a query.

    Attributes
    ----------
    units
        In the order of choice; those of the audit come last.
    scores, gains
        float64 (n,): the strategy's, NaN where it has none.
    n_audit
        How many of the last ones were drawn for the audit.
    strategy
        None where there is no model: `method` chose.
    """

    units: tuple[Unit, ...]
    scores: NDArray[np.float64]
    gains: NDArray[np.float64]
    n_audit: int
    strategy: Strategy | None
    method: str


def uncertainty_source(request: QueryRequest, given: GivenModel, reporter: Reporter) -> str:
    """Say what uncertainty is measured over, with what is lost by it.

    Raises
    ------
    InputError
        The model does not have what was asked for.
    """
    has = {"dropout": given.has_dropout, "ensemble": len(given.folds) > 1, "mirroring": bool(given.mirror_axes)}
    chosen: str = request.uncertainty
    if chosen == "auto":
        chosen = next((source for source, there in has.items() if there), "none")
    elif not has[chosen]:
        there = ", ".join(source for source, there in has.items() if there) or "none of them"
        raise InputError(f"--uncertainty {chosen}: expected a model that has it, found {there} in {given.folder}")
    lost = {
        "ensemble": "no dropout layers: uncertainty is what the folds disagree about, one pass each",
        "mirroring": "no dropout layers and one fold: uncertainty is what mirrored passes disagree about, which sees "
        "asymmetry, not ignorance; a second fold or dropout in training would see more",
        "none": "no dropout layers, one fold, no mirroring: no uncertainty over passes; the softmax's own alone",
    }
    if chosen in lost:
        reporter.say(f"{given.folder.name}: {lost[chosen]}")
    return chosen


def ask_cold(inquiry: Inquiry, candidates: Sequence[Unit]) -> Asked:
    """Choose without a model, as a study chooses its starting set."""
    place, request = inquiry.place, inquiry.request
    method = request.strategy or COLD_STARTS[0]
    rng = generator(place.dataset.name, request.seed, "start")
    n = min(request.budget, len(candidates))

    def choose(units: Sequence[Unit]) -> Choice:
        if method == "random":
            rows = rng.choice(len(units), min(n, len(units)), replace=False)
        else:
            assert place.descriptors is not None
            looks = place.descriptors[place.pool.rows(units)]
            kind: StartMethod = "k-centre" if method == "k-centre" else "typical"
            rows = choose_start(kind, min(n, len(units)), looks, rng)
        return Choice(np.asarray(rows, dtype=np.int64))

    units, choice = within_cases(candidates, request.max_cases, choose)
    chosen = tuple(units[row] for row in choice.indices)
    return Asked(chosen, choice.scores, choice.gains, 0, None, method)


def ask(inquiry: Inquiry, candidates: Sequence[Unit], reporter: Reporter) -> Asked:
    """Draw the audit, then let the strategy choose among the other candidates by what the model says of them.

    Parameters
    ----------
    inquiry
        Has a model.
    candidates
        Sorted units of the pool that may be asked.
    """
    place, request, key, number = inquiry.place, inquiry.request, inquiry.key, inquiry.number
    assert inquiry.model is not None
    audit: list[Unit] = []
    if request.audit:
        drawn = generator(*key, "audit").choice(len(candidates), min(request.audit, len(candidates)), replace=False)
        audit = [candidates[row] for row in drawn]
    audited = set(audit)
    free = [unit for unit in candidates if unit not in audited]
    strategy = strategy_of(request, inquiry.source)
    budget = min(request.budget - len(audit), len(free))
    if budget == 0:
        nothing = np.full(len(audit), np.nan)
        return Asked(tuple(audit), nothing, nothing, len(audit), strategy, request.strategy or DEFAULT_STRATEGY)
    weights = class_weights(labelled_voxels(place.pool, place.labelled))
    protocol = place.protocol
    scoring = scoring_request(protocol, weights, (*key, "score"), place.labelled, strategy.gradients)
    scores = _score(inquiry.model, free, strategy.needs, scoring, reporter)

    def choose(units: Sequence[Unit]) -> Choice:
        rows = np.array([position[unit] for unit in units], dtype=np.int64)
        return choose_units(
            strategy,
            units,
            scores if len(units) == len(free) else scores.subset(rows),
            weights,
            pool=place.pool,
            labelled=place.labelled,
            budget=budget,
            max_per_case=request.max_per_case or protocol.pool.max_per_case,
            key=(*key, "select"),
            query_number=max(0, number - 1),
            n_queries=max(protocol.rounds - 1, number),
        )

    position = {unit: row for row, unit in enumerate(free)}
    units, choice = within_cases(free, request.max_cases, choose)
    nothing = np.full(len(audit), np.nan)
    return Asked(
        (*(units[row] for row in choice.indices), *audit),
        np.concatenate([choice.scores, nothing]),
        np.concatenate([choice.gains, nothing]),
        len(audit),
        strategy,
        request.strategy or DEFAULT_STRATEGY,
    )


def within_cases(candidates: Sequence[Unit], max_cases: int | None, choose: Chooser) -> tuple[Sequence[Unit], Choice]:
    """Choose among all candidates; where that takes too many cases, again among those that were chosen from first.

    Returns
    -------
    tuple
        The candidates of the last choice, and that choice.
    """
    choice = choose(candidates)
    if max_cases is None:
        return candidates, choice
    cases = list(dict.fromkeys(candidates[row].case for row in choice.indices))
    if len(cases) <= max_cases:
        return candidates, choice
    kept = set(cases[:max_cases])
    inside = [unit for unit in candidates if unit.case in kept]
    return inside, choose(inside)


def strategy_of(request: QueryRequest, source: str) -> Strategy:
    """Make the strategy that asks a model.

    Raises
    ------
    InputError
        There is none such, or it needs what neither the images nor the model have.
    """
    strategy = make_strategy(request.strategy or DEFAULT_STRATEGY)
    if strategy.oracle_aided or strategy.whole_pool:
        raise InputError(
            f"--strategy {request.strategy}: expected one that looks at images and the model alone; this one reads "
            "labels that nobody has drawn, or takes everything"
        )
    if source == "none" and strategy.needs & ~WITHOUT_PASSES:
        raise InputError(
            f"--strategy {strategy.name}: expected a model with dropout layers, several folds or mirroring, which this "
            "strategy's uncertainty is measured over; entropy, coreset, badge and random work with this one"
        )
    return strategy


def _score(
    model: NnunetModel, units: Sequence[Unit], needs: Need, scoring: ScoringRequest, reporter: Reporter
) -> Scores:
    if not needs:
        return Scores()
    n_passes = unit_passes(needs)
    often = f" in {n_passes} passes" if n_passes > 1 else ""
    with reporter.task(f"scoring {len(units)} units{often}", len(units)) as advance:
        return model.score(units, needs, scoring, every(n_passes, advance))


def class_uncertainty(inquiry: Inquiry, units: Sequence[Unit]) -> list[dict[str, float]]:
    """Return each unit's variance of the softmax over the passes, by class; nothing where there are no passes."""
    if inquiry.model is None or inquiry.source == "none":
        return [{} for _ in units]
    names, scoring = inquiry.place.dataset.labels.values(), inquiry.shown
    variance = inquiry.model.score(units, Need.VARIANCE, replace(scoring, key=(*scoring.key, "shown"))).variance
    assert variance is not None
    return [dict(zip(names, map(float, row), strict=True)) for row in variance]
