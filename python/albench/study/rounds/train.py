"""Training on what is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from albench.machine.facts import code_version, hardware, utc_now, versions
from albench.results.layout import CEILING
from albench.study.chain import Round
from albench.study.events import event_log
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
    return step.models


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
    done = 0 if chain.name == CEILING else chain.protocol.iterations_before(step.number)
    with (
        step.task(f"{of_fold}training on {len(units)} units", iterations) as advance,
        event_log(step.chain.event_folder) as log,
    ):

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
