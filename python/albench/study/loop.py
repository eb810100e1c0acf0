"""The active-learning loop: query, annotate, train, test; every stage on disk before the next begins."""

from __future__ import annotations

from pathlib import Path

from albench.study.ceiling import former_ceiling, take_over
from albench.study.chain import Chain, Round, UnfinishedError
from albench.study.rounds.pictures import keep_pictures
from albench.study.rounds.query import query, take
from albench.study.rounds.test import test
from albench.study.rounds.train import train


def run_start(start: Round) -> tuple[Path, ...]:
    """Train and test on the starting set, once for all strategies of a seed; return the models, one a fold."""
    labelled = start.chain.setup.start
    models = train(start, labelled, start.chain.protocol.training.first_iterations)
    test(start, labelled, models)
    return models


def run_chain(chain: Chain) -> None:
    """Run all rounds of a chain that are not finished yet; each annotates what the last round's models say.

    The chain ends early, with a query, where the data set has no labels for what it asks; without one, where every
    patch overlaps an annotated one.
    """
    first, *later = chain.rounds
    training = chain.protocol.training
    labelled = take(first, chain.setup.start)
    models = run_start(chain.start)
    for step in later:
        if not chain.pool.unlabelled(labelled):
            step.say("no patch is left that overlaps no annotated one")
            return
        chosen = query(step, labelled, models)
        if missing := chain.pool.n_without_label(chosen):
            units = f"{missing} of the {len(chosen)} units chosen"
            step.say(f"{units} are not labelled yet; they are listed in {step.folder.query}")
            return
        keep_pictures(step, chosen, models)
        labelled += chosen
        models = train(step, labelled, training.round_iterations, models if training.warm_start else ())
        test(step, labelled, models)


def run_ceiling(chain: Chain) -> None:
    """Train once on every label, with the iterations of a whole chain or the protocol's own, as the last round.

    With the protocol's own, one that is there as another round, which was the last before, is taken over.
    """
    last = chain.rounds[-1]
    if (before := former_ceiling(chain.study, chain.setup.seed)) is not None:
        if chain.only_look:
            raise UnfinishedError(f"{before.path} is to be taken over")
        take_over(before, last)
    labelled = take(last, chain.pool.units)
    test(last, labelled, train(last, labelled, chain.protocol.ceiling_iterations))
