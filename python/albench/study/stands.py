"""What stands where the number of rounds or later budgets of a study change, and what is done again, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from albench.results.layout import CEILING, ChainFolder, RoundFolder, train_stages
from albench.results.longer import is_of_other_length
from albench.results.settings import StudySettings
from albench.study.ceiling import former_ceiling
from albench.study.study import Study


def what_stands(study: Study, former: StudySettings, strategies: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """Yield lines that say what of former rounds is kept, and what is done again, and why.

    Parameters
    ----------
    former
        Settings that the folder had, or still has.
    """
    n_rounds, n_folds = study.config.protocol.rounds, study.config.protocol.training.folds
    wanted = StudySettings.of(study.config)
    kept, n_beyond = Counter[int](), 0
    for name in strategies:
        chains = [study.folder.chain(name, seed) for seed in seeds]
        if name == CEILING:
            yield from _ceiling(study, seeds)
            continue
        others = [chain for chain in chains if begins_again(chain, former, wanted)]
        if others:
            yield (
                f"{study.dataset.name} {name}: chooses by the number of queries, which is {n_rounds - 1} now: "
                f"{_count(len(others), 'chain')} from the first query on"
            )
        for chain in chains:
            finished = {each.number for each in chain.rounds() if chain not in others and _is_finished(each, n_folds)}
            kept[len(finished & set(range(n_rounds)))] += 1
            n_beyond += any(number >= n_rounds for number in finished)
    for n_kept, n_chains in sorted(kept.items(), reverse=True):
        if n_kept:
            more = f"{_count(n_rounds - n_kept, 'round')} more{' each' if n_chains > 1 else ''}"
            yield (
                f"{study.dataset.name}: {_count(n_kept, 'round')} of {_count(n_chains, 'chain')} kept, "
                f"{more if n_kept < n_rounds else 'none more'}"
            )
    if n_beyond:
        yield (
            f"{study.dataset.name}: {_count(n_beyond, 'chain')} with rounds after the {n_rounds} asked for, which stay "
            f"and are in no table"
        )


def _ceiling(study: Study, seeds: Sequence[int]) -> Iterator[str]:
    protocol, n_again = study.config.protocol, 0
    for seed in seeds:
        chain = study.folder.chain(CEILING, seed)
        done = [each.number for each in chain.rounds() if _is_finished(each, protocol.training.folds)]
        if done and protocol.rounds - 1 not in done and former_ceiling(study, seed) is None:
            n_again += 1
    if n_again:
        yield (
            f"{study.dataset.name} {CEILING}: as many iterations as a chain has, {protocol.ceiling_iterations} now: "
            f"{_count(n_again, 'training')} again; those of another number of rounds stay and are in no table"
        )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _is_finished(folder: RoundFolder, n_folds: int) -> bool:
    """Whether records say so; what they say of files is compared when the round's turn comes."""
    place = folder.trained_in
    return folder.stage("query").exists() and all(
        place.stage(stage).exists() for stage in ("evaluate", *train_stages(n_folds))
    )


def begins_again(chain: ChainFolder, stored: StudySettings, wanted: StudySettings) -> bool:
    """Whether a chain was chosen for another number of queries, by a strategy that looks at it."""
    return any(is_of_other_length(folder, stored, wanted) for folder in chain.rounds())
