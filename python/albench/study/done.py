"""What a results folder has already of a study that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from albench.errors import InputError
from albench.results.layout import CEILING, RoundFolder, train_stages
from albench.results.longer import require_continued
from albench.results.settings import Settings, StudySettings
from albench.results.stages import load_stage
from albench.study.ceiling import former_ceiling
from albench.study.stands import begins_again, what_stands
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
    lines
        What stands of another number of rounds and what does not, or why nothing counts that is there.
    """

    n_trainings: int = 0
    n_iterations: int = 0
    n_prepared: int = 0
    lines: tuple[str, ...] = ()


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


def find_done(study: Study, strategies: Sequence[str], seeds: Sequence[int]) -> Done:
    """Count what is finished and whole of this very configuration, or stands under it (`albench.results.longer`)."""
    run, wanted = study.folder.run, StudySettings.of(study.config)
    try:
        stored = next((each for each in Settings.read(run).studies if each.dataset == study.dataset.name), None)
    except InputError:
        return Done()
    if stored is None or not study.folder.has_finished_stage():
        return Done()
    try:
        require_continued(study.folder, stored, wanted)
    except InputError as error:
        return Done(lines=(f"what is done does not count, and run would refuse: {error}",))
    stages = train_stages(study.config.protocol.training.folds)
    finished = [
        iterations
        for seed in seeds
        for place, iterations in trainings(study, strategies, seed)
        if not begins_again(place.chain, stored, wanted)
        for stage in stages
        if load_stage(_place_now(study, place).path, stage)
    ]
    prepared = [seed for seed in seeds if load_stage(study.folder.seed(seed).path, "prepare")]
    changes = (stored.rounds, stored.budgets) != (wanted.rounds, wanted.budgets)
    lines = tuple(what_stands(study, stored, strategies, seeds)) if changes else ()
    return Done(len(finished), sum(finished), len(prepared), lines)


def _place_now(study: Study, place: RoundFolder) -> RoundFolder:
    """Where a training is that the study asks for: the ceiling may be that of another last round."""
    former = former_ceiling(study, place.seed) if place.strategy == CEILING else None
    return former or place
