"""Training on all that is annotated, as a round of a study does; what comes out is a folder of nnU-Net's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from albench.data.groups import case_groups
from albench.errors import InputError
from albench.machine.files import require_place
from albench.machine.removal import set_aside
from albench.progress import Reporter
from albench.project.known import asked_queries
from albench.project.request import TrainRequest, UnitKind
from albench.project.workplace import Workplace, open_workplace, preprocessed
from albench.results.query import Query
from albench.seeding import Key, generator
from albench.training.base import Saving, TrainingReport
from albench.training.export import export_model, require_no_model
from albench.training.given import GivenModel, open_model
from albench.training.nnunet import nnunet_name
from albench.units.pool import Unit, fold_units
from albench.units.split import assign_folds


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes
    ----------
    folder
        nnU-Net's folder of the model.
    reports
        Of each fold.
    labelled
        Units that were trained on.
    """

    folder: Path
    reports: tuple[TrainingReport, ...]
    labelled: tuple[Unit, ...]


def train_project(request: TrainRequest, reporter: Reporter) -> Trained:
    """Train on every unit of which all voxels are annotated, and write the model; no case is held out.

    Without a model to start from, images are planned for as in a study: the annotated units alone decide what
    intensities are normalised by.

    Raises
    ------
    InputError
        Nothing is annotated, the model is there already, or images and labels are not as they have to be.
    """
    require_place("--out", request.out / "Dataset")
    given, earlier = None, asked_queries(request.dataset)
    if request.start is not None:
        given = open_model(request.start, checkpoint=request.checkpoint, trusted=request.trust_checkpoint)
    with open_workplace(
        images=request.images or request.dataset,
        raw=request.dataset,
        given=given,
        name=request.name,
        protocol=request.protocol,
        settings=request.set,
        device=request.device,
        cache=request.cache,
        looks=False,
        patch_size=None,
        unit=_unit(request, earlier),
        reporter=reporter,
        trust_image_geometry=request.trust_image_geometry,
        require=lambda name, configuration: _require_no_model(request, name, configuration),
    ) as place:
        return _trained(place, request, given, _number(request, earlier), reporter)


def _require_no_model(request: TrainRequest, name: str, configuration: str) -> None:
    require_no_model(nnunet_name(name), configuration, request.out, "--out")


def _trained(
    place: Workplace, request: TrainRequest, given: GivenModel | None, number: int, reporter: Reporter
) -> Trained:
    """Train all folds, and lay the model out."""
    if not place.labelled:
        raise InputError(
            f"--dataset {request.dataset}: expected units of which every voxel is annotated, found none among "
            f"{len(place.pool)}"
        )
    n_cases = len({unit.case for unit in place.labelled})
    reporter.say(
        f"{place.dataset.name}: training on {len(place.labelled)} of {len(place.pool)} units, in {n_cases} of "
        f"{len(place.split.pool)} cases"
    )
    place = preprocessed(place, reporter)
    name, n_folds = place.dataset.name, place.protocol.training.folds
    folds = {}
    if n_folds > 1:
        groups = case_groups(place.dataset, place.protocol.pool.group_by).groups
        folds = assign_folds(place.split.pool, n_folds, generator(name, request.seed, "folds"), groups)
    models, reports = [], []
    for fold in range(n_folds):
        key: tuple[Key, ...] = (name, request.seed, number, "train")
        units = place.labelled
        if n_folds > 1:
            key = (*key, fold)
            units = fold_units(place.labelled, folds, fold) or place.labelled
        target, report = _train(place, given, units, key, fold, request.checkpoint_minutes, reporter)
        models.append(target)
        reports.append(report)
    folder = export_model(place.trainer.store, models, request.out, option="--out")
    for fold in range(n_folds):
        _unfinished(place, fold).unlink(missing_ok=True)
    return Trained(folder, tuple(reports), place.labelled)


def _unit(request: TrainRequest, queries: Sequence[Query]) -> UnitKind:
    """Return what was annotated at once: what the last query asked for, if nobody says."""
    if request.unit != "auto" or not queries:
        return request.unit
    return "patch" if queries[-1].units[0].axis is None else "slice"


def _number(request: TrainRequest, queries: Sequence[Query]) -> int:
    """Round of the training: that of the last query of the raw data set."""
    if request.round is not None:
        return request.round
    rounds = [query.round for query in queries]
    return max([0 if request.start is None else 1, *rounds])


def _train(
    place: Workplace,
    given: GivenModel | None,
    units: Sequence[Unit],
    key: tuple[Key, ...],
    fold: int,
    checkpoint_minutes: int,
    reporter: Reporter,
) -> tuple[Path, TrainingReport]:
    """Train one fold, with the random stream of a study's round of the same name, seed and number."""
    protocol, name = place.protocol.training, place.dataset.name
    initial = None
    if given is not None and protocol.warm_start:
        initial = place.trainer.store.folder / f"start-{fold}.pth"
        # the number of a fold is that of the file it came from, which may be "all"
        replace(given.networks[fold % len(given.networks)], fold=0).write(initial)
    iterations = protocol.first_iterations if given is None else protocol.round_iterations
    target = place.trainer.store.folder / f"trained-{fold}.pth"
    with reporter.task(f"{name}: training on {len(units)} units", iterations) as advance:
        saving = Saving(
            file=_unfinished(place, fold),
            of=place.dataset.checksum,
            set_aside=lambda path: set_aside(path, path.parent),
            say=lambda line: reporter.say(f"{name}: {line}"),
            begin=lambda iteration: advance(at=iteration),
            every_s=60.0 * checkpoint_minutes,
            at_end=protocol.folds > 1,  # of these the whole model is made at once
        )
        report = place.trainer.train(
            units,
            iterations=iterations,
            key=key,
            initial=initial,
            target=target,
            on_iteration=lambda loss: advance(f"loss {loss:.3f}"),
            saving=saving if checkpoint_minutes else None,
        )
    for warning in report.warnings:
        reporter.say(f"{name}: {warning}")
    return target, report


def _unfinished(place: Workplace, fold: int) -> Path:
    """Where the training of a fold is saved: with the images that it is of, where the same request finds it again."""
    return place.trainer.store.folder / f"trained-{fold}.unfinished"
