"""Training on what is annotated."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from albench.machine.facts import code_version, hardware, utc_now, versions
from albench.machine.files import require_fence, sha256
from albench.machine.removal import remove_tree, set_aside
from albench.results.layout import CEILING
from albench.study.chain import Round, UnfinishedError
from albench.study.events import event_log
from albench.training.base import Saving
from albench.units.cost import annotation_cost
from albench.units.pool import Unit, fold_units


def train(step: Round, labelled: Sequence[Unit], iterations: int, initial: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Train a model on the `labelled` units, or one a fold; return the models. `initial` are as many, or none."""
    for fold, stage in enumerate(step.train_stages):
        start_from = initial[fold] if initial else None

        def compute(fold: int = fold, start_from: Path | None = start_from) -> dict[str, Any]:
            return _train_fold(step, fold, labelled, iterations, start_from)

        inputs = step.annotated if start_from is None else (*step.annotated, start_from)
        step.stage(stage, [step.models[fold].name], inputs, compute)
        _forget(step, step.folder.unfinished(stage))
    return step.models


def _forget(step: Round, unfinished: Path) -> None:
    """Remove what was saved of a training that is over."""
    if not os.path.lexists(unfinished):
        return
    if step.chain.only_look:
        raise UnfinishedError(f"{unfinished} is to be removed")
    require_fence()
    remove_tree(unfinished, step.folder.path)


def _train_fold(
    step: Round, fold: int, labelled: Sequence[Unit], iterations: int, initial: Path | None
) -> dict[str, Any]:
    """Train one model; return what the tables want to know of it."""
    chain, n_folds = step.chain, len(step.models)
    started_at = utc_now()
    units, of_fold, curve, key = labelled, "", "loss", step.key("train")
    if n_folds > 1:
        of_fold, curve, key = f"fold {fold}: ", f"loss/fold-{fold}", (*key, fold)
        units = fold_units(labelled, chain.setup.folds, fold)
        if not units:
            units = labelled
            step.say(f"{of_fold}every annotated case is in this fold, training on all of them")
    before = done = 0 if chain.name == CEILING else chain.protocol.iterations_before(step.number)
    with (
        step.task(f"{of_fold}training on {len(units)} units", iterations) as advance,
        event_log(step.chain.event_folder) as log,
    ):

        def begin(iteration: int) -> None:
            nonlocal done
            done = before + iteration
            advance(at=iteration)

        def on_iteration(loss: float) -> None:
            nonlocal done
            log(curve, loss, done)
            done += 1
            advance(f"loss {loss:.3f}")

        try:
            report = chain.setup.trainer.train(
                units,
                iterations=iterations,
                key=key,
                initial=initial,
                target=step.models[fold],
                on_iteration=on_iteration,
                saving=_saving(step, fold, lambda line: step.say(f"{of_fold}{line}"), begin),
            )
        except FloatingPointError as error:
            raise FloatingPointError(f"{of_fold}{error}") from error
    return {
        **_cost(step, labelled),
        "iterations": report.iterations,
        "train_loss": report.loss,
        "setup_s": report.setup_s,
        "fit_s": report.fit_s,
        "warnings": list(report.warnings),
        "started_at": started_at,
        "code_version": code_version(),
        "hardware": hardware(),
        "versions": versions(),
    }


def _saving(step: Round, fold: int, say: Callable[[str], None], begin: Callable[[int], None]) -> Saving | None:
    """Say how the training of a fold is saved while it runs."""
    chain = step.chain
    if chain.study.checkpoint_minutes == 0:
        return None
    file = step.folder.unfinished(list(step.train_stages)[fold])
    name = f"{chain.name}-seed-{chain.setup.seed}-{step.folder.path.name}-{file.name}"
    return Saving(
        file=file,
        of=sha256(step.folder.chain.shared.prepared),
        set_aside=lambda path: set_aside(path, chain.study.out, name),
        say=say,
        begin=begin,
        every_s=60.0 * chain.study.checkpoint_minutes,
    )


def _cost(step: Round, labelled: Sequence[Unit]) -> dict[str, float]:
    """Return what annotating the units cost, as columns of the tables."""
    cost = annotation_cost(step.chain.pool, labelled)
    return {
        "n_annotated_units": cost.n_units,
        "n_annotated_voxels": cost.n_voxels,
        "n_annotated_fg_voxels": cost.n_fg_voxels,
        "n_annotated_slices": cost.n_slices,
        "n_annotated_border_voxels": cost.n_border_voxels,
        "annotation_s": cost.seconds(step.chain.protocol.annotation_cost),
    }
