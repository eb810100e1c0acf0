"""Choosing the units that are annotated for a round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from albench.machine.facts import code_version, versions
from albench.progress import every
from albench.results.layout import CEILING, QUERY
from albench.results.longer import asked_for
from albench.results.query import QueriedUnit, Query
from albench.scoring.cache import ScoreCache
from albench.scoring.request import Need, Scores, ScoringRequest, class_weights, unit_passes
from albench.strategies import Choice, settings_of
from albench.study.chain import Round
from albench.study.choosing import choose_units, scoring_request
from albench.units.cost import labelled_voxels
from albench.units.pool import Unit


def query(step: Round, labelled: Sequence[Unit], models: Sequence[Path]) -> list[Unit]:
    """Let the chain's strategy choose among the units that are not annotated; write the query, and return its units.

    Parameters
    ----------
    labelled
        Units annotated so far.
    models
        Trained on them, one a fold; they score the other units.
    """
    step.stage("query", [QUERY], (*step.before.annotated, *models), lambda: _choose(step, labelled, models))
    chosen = Query.read(step.folder.query).chosen
    if len(chosen) < step.budget:
        step.say(f"only {len(chosen)} of {step.budget} patches found room")
    return chosen


def take(step: Round, units: Sequence[Unit]) -> list[Unit]:
    """Write the query of a round whose `units` no strategy chooses, and return them."""
    everything = Choice(indices=np.arange(len(units), dtype=np.int64))

    def write() -> dict[str, Any]:
        write_query(step, units, everything)
        return {}

    shared = step.folder.chain.shared
    step.stage("query", [QUERY], (shared.pool if step.chain.name == CEILING else shared.start,), write)
    return list(units)


def _choose(step: Round, labelled: Sequence[Unit], models: Sequence[Path]) -> dict[str, Any]:
    """Score the units that are not annotated with the last models, let the strategy choose, write the query."""
    started = time.perf_counter()
    chain, strategy = step.chain, step.chain.strategy
    assert strategy is not None
    units = chain.pool.unlabelled(labelled)
    weights = class_weights(labelled_voxels(chain.pool, labelled))
    request = scoring_request(chain.protocol, weights, step.key("score"), labelled, strategy.gradients)
    warnings: list[str] = []

    def score(needs: Need, known: Scores) -> Scores:
        wanted = replace(request, variance=known.variance)
        n_passes = unit_passes(needs, known.variance is not None)
        often = f" in {n_passes} passes" if n_passes > 1 else ""
        with step.task(f"scoring {len(units)} units{often}", len(units)) as advance:
            model = chain.setup.trainer.load(*models)
            scores = model.score(units, needs, wanted, every(n_passes, advance))
        warnings.extend(model.warnings)
        return scores

    if step.number == 1:  # the model is everyone's, and so is what it says of the pool
        scores, cached = _shared_scores(chain.start, units, request).scores(strategy.needs, score)
    else:
        scores, cached = score(strategy.needs, Scores()) if strategy.needs else Scores(), Need.NOTHING
    scored = time.perf_counter()
    n_queries = chain.protocol.rounds - 1
    selection = choose_units(
        strategy,
        units,
        scores,
        weights,
        pool=chain.pool,
        labelled=labelled,
        budget=step.budget,
        max_per_case=chain.protocol.pool.max_per_case,
        key=step.key("select"),
        query_number=step.number - 1,
        n_queries=n_queries,
    )
    selected = time.perf_counter()
    write_query(step, units, selection)
    return {
        **asked_for(step.budget, n_queries if strategy.scheduled else None),
        "score_s": scored - started,
        "select_s": selected - scored,
        "cached_scores": " ".join(str(need.name).lower() for need in cached),
        "warnings": warnings,
    }


def _shared_scores(start: Round, units: Sequence[Unit], request: ScoringRequest) -> ScoreCache:
    """Scores by the first model of a seed, of all units but the starting set."""
    digests = [record.files[name] for stage, name in start.train_stages.items() if (record := start.record(stage))]
    device = start.chain.study.config.device
    context = [*digests, device, versions(), code_version(), repr(units)]
    return ScoreCache(start.folder.scores, "\n".join(context), request)


def write_query(step: Round, units: Sequence[Unit], selection: Choice) -> None:
    """Write which of `units` are chosen, in order, with what their strategy says of each."""
    chain = step.chain
    chosen = zip(selection.indices, selection.scores, selection.gains, strict=True)
    Query(
        dataset=chain.study.dataset.name,
        strategy=chain.name,
        parameters=settings_of(chain.strategy) if chain.strategy else {},
        seed=chain.setup.seed,
        round=step.number,
        units=tuple(
            QueriedUnit(case=units[i].case, index=units[i].index, **chain.pool.place(units[i]), score=score, gain=gain)
            for i, score, gain in chosen
        ),
    ).write(step.folder.query)
