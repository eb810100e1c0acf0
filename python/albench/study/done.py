"""What a results folder has already of a study that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from albench.config import difference
from albench.errors import InputError
from albench.results.layout import CEILING, RoundFolder, train_stages
from albench.results.settings import Settings, StudySettings
from albench.results.stages import load_stage
from albench.study.study import Study


@dataclass(frozen=True)
class Done:
    """What need not be done again.

    Attributes
    ----------
    n_trainings, n_iterations
        Of the trainings that the study asks for, over all folds.
    n_prepared
        Seeds whose cases are preprocessed.
    note
        Why results that are there do not count; empty where they do, or where there are none.
    """

    n_trainings: int = 0
    n_iterations: int = 0
    n_prepared: int = 0
    note: str = ""


def trainings(study: Study, strategies: Sequence[str], seed: int) -> Iterator[tuple[RoundFolder, int]]:
    """Yield the rounds of a seed that have a training of their own, each with the iterations of one fold."""
    protocol, folder = study.config.protocol, study.folder
    settings = protocol.training
    chains = [name for name in strategies if name != CEILING]
    # with partial labels, the first query asks for labels that nobody has given yet
    n_later = 0 if protocol.pool.start_method == "labelled" else protocol.rounds - 1
    if chains:
        yield folder.seed(seed).first_round, settings.first_iterations
    for name in chains:
        for number in range(1, n_later + 1):
            yield folder.chain(name, seed).round(number), settings.round_iterations
    if CEILING in strategies:
        yield folder.chain(CEILING, seed).round(protocol.rounds - 1), protocol.ceiling_iterations


def find_done(study: Study, strategies: Sequence[str], n_seeds: int) -> Done:
    """Count the stages of this very configuration that are finished and whole."""
    run = study.folder.run
    try:
        stored = {each.dataset: each.values for each in Settings.read(run).studies}
    except InputError:
        return Done()
    if study.dataset.name not in stored:
        return Done()
    if changed := difference(stored[study.dataset.name], StudySettings.of(study.config).values):
        if not study.folder.has_finished_stage():
            return Done()
        return Done(
            note=f"{run.path} holds results of {study.dataset.name} under another configuration "
            f"({'; '.join(changed)}), which do not count; run needs another --out, or --fresh to set them aside"
        )
    stages = train_stages(study.config.protocol.training.folds)
    finished = [
        iterations
        for seed in range(n_seeds)
        for place, iterations in trainings(study, strategies, seed)
        for stage in stages
        if load_stage(place.path, stage)
    ]
    prepared = [seed for seed in range(n_seeds) if load_stage(study.folder.seed(seed).path, "prepare")]
    return Done(len(finished), sum(finished), len(prepared))
