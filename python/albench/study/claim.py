"""The results folder as a run takes it: settings and requests written, and what stands of former rounds said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from albench.machine.removal import set_aside
from albench.progress import Reporter
from albench.results.collect import write_tables
from albench.results.folder import examine_folder
from albench.results.registered import register, require_registrable
from albench.results.settings import StudySettings
from albench.strategies import make_strategy
from albench.study.budget import check_budget
from albench.study.file import write_study
from albench.study.request import RunRequest
from albench.study.stands import begins_again, what_stands
from albench.study.study import Study
from albench.units.pool import Pool


def claim_results(
    request: RunRequest, studies: Sequence[Study], protocol: dict[str, Any] | None, reporter: Reporter
) -> None:
    """Bind the results folder, which this process holds, to the studies of a request.

    Where the number of rounds or later budgets change, a kill leaves the former settings or the new ones, and no tables
    or those that fit them.

    Parameters
    ----------
    protocol
        `albench.study.file.own_protocol` of the request.

    Raises
    ------
    InputError
        The folder has other settings that cannot be made these, a pool has too few units for them, or the claims are
        not those registered there: then nothing is written.
    """
    require_registrable(request.out, request.claims)
    claim = examine_folder(request.out, [study.config for study in studies])
    former = {settings.dataset: settings for settings in claim.changed}
    for study in studies:
        if study.dataset.name in former:
            _check_pools(study)
    if former:  # before: who repeats a request that is there goes on to the new settings, not back
        _write_requests(request, studies, protocol)
    for folder in claim.take():
        reporter.say(f"what was in {request.out} under other settings is in {folder} now")
    # after: a folder with a request alone is nobody's, and what was set aside took its request with it
    register(request.out, request.claims)
    _write_requests(request, studies, protocol)
    if former:
        write_tables(request.out)
    for study in studies:
        for line in _set_others_aside(study, request.strategy, request.seed_range):
            reporter.say(line)
        if study.dataset.name in former:
            for line in what_stands(study, former[study.dataset.name], request.strategy, request.seed_range):
                reporter.say(line)


def _write_requests(request: RunRequest, studies: Sequence[Study], protocol: dict[str, Any] | None) -> None:
    """Write the request beside the tables, and into each data set's folder that of its own study."""
    write_study(request, request.out, protocol)
    for study in studies:
        given = (study.given,) if study.given else request.dataset
        write_study(replace(request, dataset=given), study.folder.path, protocol)


def _check_pools(study: Study) -> None:
    """Refuse more units than the pools that are there have."""
    for seed in study.folder.seeds():
        if seed.pool.is_file():
            check_budget(study, Pool.load(seed.pool))


def _set_others_aside(study: Study, strategies: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """Make room for chains whose strategy looks at the number of queries, and chose for another; say where they are."""
    settings = StudySettings.of(study.config)
    for name in strategies:
        for chain in (study.folder.chain(name, seed) for seed in seeds if make_strategy(name).scheduled):
            if begins_again(chain, settings, settings):
                place = set_aside(chain.path, study.out, f"{name}-{chain.path.name}")
                title = f"{study.dataset.name} {name} seed {chain.seed}"
                yield f"{title}: begins again; what it chose for another number of queries is in {place} now"
