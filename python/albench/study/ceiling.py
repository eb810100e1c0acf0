"""A ceiling that stays the same where the number of rounds changes, and with it the round that it stands for."""

from __future__ import annotations

import shutil

from albench.machine.files import HALF_WRITTEN, require_fence, sha256
from albench.machine.removal import remove_tree
from albench.results.layout import CEILING, QUERY, RoundFolder, train_stages
from albench.results.query import Query
from albench.results.stages import StageRecord, load_stage
from albench.study.chain import Round
from albench.study.study import Study


def former_ceiling(study: Study, seed: int) -> RoundFolder | None:
    """Return the round of a finished ceiling that stands for the last round as well, though it is another; or None.

    Only a ceiling whose iterations do not depend on the number of rounds can be had twice.
    """
    protocol, chain = study.config.protocol, study.folder.chain(CEILING, seed)
    last = chain.round(protocol.rounds - 1)
    if protocol.training.full_iterations is None or last.path.exists():
        return None
    stages = ("query", "evaluate", *train_stages(protocol.training.folds))
    whole = [each for each in chain.rounds() if all(load_stage(each.path, stage) for stage in stages)]
    return whole[-1] if whole else None


def take_over(former: RoundFolder, last: Round) -> None:
    """Copy a ceiling to the round that it stands for now: whole or not at all, and as if it had been made there."""
    chain = last.folder.chain.path
    copy = chain / f"{HALF_WRITTEN}{last.folder.path.name}"
    remove_tree(copy, chain)
    shutil.copytree(former.path, copy)
    Query.read(copy / QUERY).model_copy(update={"round": last.number}).write(copy / QUERY)
    digest = sha256(copy / QUERY)
    for stage in ("query", *last.train_stages):
        record = StageRecord.read(copy, stage)
        inputs = record.inputs and {name: digest if name == QUERY else old for name, old in record.inputs.items()}
        files = {name: digest if name == QUERY else old for name, old in record.files.items()}
        record.model_copy(update={"inputs": inputs, "files": files}).write(copy, stage)
    require_fence()
    copy.rename(last.folder.path)
    last.say(f"the ceiling of round {former.number}, which has as many iterations")
