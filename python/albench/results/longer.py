"""More rounds, or another budget from here on: what of a study stands when these settings of it change.

A round is decided by what comes before it and by its own budget: whatever rounds follow leave it as it is. There are
two exceptions. A strategy that looks at the number of queries chooses otherwise from the first one on, and the ceiling
stands for the last round. The record of a query says what it was asked for; one that does not was written under the
settings that the folder has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from albench.config import difference
from albench.errors import InputError
from albench.results.layout import CEILING, RoundFolder, StudyFolder
from albench.results.settings import StudySettings
from albench.results.stages import StageRecord
from albench.strategies import make_strategy

_BUDGET, _N_QUERIES = "budget", "n_queries"


def asked_for(budget: int, n_queries: int | None) -> dict[str, Any]:
    """Return what a query's record notes of the settings it was chosen under.

    Parameters
    ----------
    n_queries
        Of its chain; None where the strategy does not look at it.
    """
    return {_BUDGET: budget} if n_queries is None else {_BUDGET: budget, _N_QUERIES: n_queries}


def is_of_study(folder: RoundFolder, settings: StudySettings) -> bool:
    """Whether a round is one that the settings ask for: tables and reports leave out others, which are kept.

    Such are rounds beyond the last one, the ceiling of another last round, and rounds of a strategy that chose for
    another number of queries.
    """
    return settings.has_round(folder) and not is_of_other_length(folder, settings, settings)


def is_of_other_length(folder: RoundFolder, stored: StudySettings, wanted: StudySettings) -> bool:
    """Whether a query's strategy looked at the number of queries, and that was not as `wanted`.

    Parameters
    ----------
    stored
        Settings that the folder has.
    """
    asked = _asked(folder, stored)
    return (
        wanted.rounds is not None
        and asked is not None
        and asked.get(_N_QUERIES, wanted.rounds - 1) != (wanted.rounds - 1)
    )


def require_continued(study: StudyFolder, stored: StudySettings, wanted: StudySettings) -> None:
    """Refuse settings under which rounds that are done would be others, or under which nothing of them would stand.

    Raises
    ------
    InputError
        With what differs: something besides the number of rounds and the budgets, or the budget of a query that is
        done.
    """
    changed = difference(stored.values, wanted.values)
    if not changed:
        return
    where = f"--out {study.run.path}: holds results of {study.dataset} under another configuration "
    where += f"({'; '.join(changed)})"
    way_out = "choose another folder, or --fresh to set this one aside"
    if stored.rounds is None or difference(stored.besides_rounds(), wanted.besides_rounds()):
        raise InputError(f"{where}; {way_out}")
    for folder, budget in _budgets(study, stored):
        if folder.number <= len(wanted.budgets) and budget != wanted.budgets[folder.number - 1]:
            raise InputError(
                f"{where}: its query of round {folder.number} is done, with budget {budget} (the query of "
                f"{folder.strategy}, seed {folder.seed}, for one), and only later ones may have another; {way_out}"
            )


def note_what_was_asked(study: StudyFolder, stored: StudySettings) -> None:
    """Write into records of queries that lack it what `stored`, which are about to be replaced, asked for.

    Records are nobody's input, and what is added holds under these settings too: this may end anywhere.
    """
    for folder in _queried(study):
        asked = _asked(folder, stored)
        if asked is not None:
            record = StageRecord.read(folder.path, "query")
            if _BUDGET not in record.notes:
                record.model_copy(update={"notes": {**record.notes, **asked}}).write(folder.path, "query")


def _queried(study: StudyFolder) -> Iterator[RoundFolder]:
    """Yield the rounds that a strategy chooses for, whole or not."""
    for folder in study.rounds():
        if folder.number > 0 and folder.strategy != CEILING:
            yield folder


def _budgets(study: StudyFolder, stored: StudySettings) -> Iterator[tuple[RoundFolder, int]]:
    """Yield finished queries, each with the budget that it had."""
    for folder in _queried(study):
        asked = _asked(folder, stored)
        if asked is not None and isinstance(budget := asked.get(_BUDGET), int):
            yield folder, budget


def _asked(folder: RoundFolder, stored: StudySettings) -> Mapping[str, Any] | None:
    """Return what a finished query was asked for; None where there is none, or nothing to know it from."""
    if folder.number == 0 or folder.strategy == CEILING or not folder.stage("query").exists():
        return None
    try:
        notes = StageRecord.read(folder.path, "query").notes
    except InputError:  # it will be done again
        return None
    if _BUDGET in notes:
        return notes
    if stored.rounds is None or folder.number > len(stored.budgets):
        return None
    n_queries = stored.rounds - 1 if _is_scheduled(folder.strategy) else None
    return asked_for(stored.budgets[folder.number - 1], n_queries)


def _is_scheduled(label: str) -> bool:
    """Whether a strategy looks at the number of queries; one that is not installed here might."""
    try:
        return make_strategy(label).scheduled
    except InputError:
        return True
