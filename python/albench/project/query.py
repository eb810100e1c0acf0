"""A query of a project: choose units, and hand them out to annotators."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench import __version__
from albench.annotation.grid import Grid
from albench.annotation.hand_out import hand_out
from albench.annotation.layout import QUERIES
from albench.annotation.places import file_grid
from albench.annotation.registration import hand_out_registered
from albench.annotation.request import AskedCase, HandOut
from albench.annotation.returned import read_label
from albench.data import Case
from albench.data.project import project_cases
from albench.errors import InputError
from albench.machine.files import require_place, sha256
from albench.progress import Reporter
from albench.project.asking import Asked, ask, ask_cold, class_uncertainty, strategy_of, uncertainty_source
from albench.project.inquiry import Inquiry
from albench.project.known import Exclusions, asked_queries, open_units, read_exclusions, require_cases, without
from albench.project.request import QueryRequest
from albench.project.workplace import describe, open_workplace, preprocessed, scored_by
from albench.results.handed_out import AskingModel
from albench.results.query import QueriedUnit, Query
from albench.strategies import label_of, settings_of
from albench.training.given import GivenModel, open_model
from albench.training.model import NnunetModel
from albench.units.pool import Unit
from albench.units.view import UnitView

N_PICTURES = 60
"""Units of a query that the gallery shows."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a query came to.

    Attributes
    ----------
    query
        As it was handed out; without files where nothing was written.
    folder
        Where; None where nothing was written.
    labelled
        Units annotated before.
    n_candidates
        Units that could have been chosen.
    """

    query: Query
    folder: Path | None
    labelled: tuple[Unit, ...]
    n_candidates: int


def make_query(request: QueryRequest, reporter: Reporter) -> Answer:
    """Choose the units to annotate next, and write the folder for annotators.

    Raises
    ------
    InputError
        Something of the request, the images, the labels or the model is not as it has to be; nothing is written then.
    """
    if os.path.lexists(request.out):
        raise InputError(f"--out {request.out}: expected no file or folder yet, found one; choose another name")
    _require_places(request)
    given = None
    if request.model is not None:
        given = open_model(
            request.model, folds=request.folds, checkpoint=request.checkpoint, trusted=request.trust_checkpoint
        )
    source = "none" if given is None else uncertainty_source(request, given, reporter)
    if given is not None:
        strategy_of(request, source)  # refused before any image is read
    excluded, earlier = read_exclusions(request.exclude), asked_queries(request.dataset)
    if excluded.cases:
        ending = describe(given, request.dataset).file_ending
        require_cases(excluded, project_cases(request.images, request.dataset, ending))
    with open_workplace(
        images=request.images,
        raw=request.dataset,
        given=given,
        name=request.name,
        protocol=request.protocol,
        settings=request.set,
        device=request.device,
        cache=request.cache,
        looks=given is None and request.strategy != "random",
        patch_size=request.patch_size,
        unit=request.unit,
        reporter=reporter,
        trust_image_geometry=request.trust_image_geometry,
    ) as place:
        inquiry = Inquiry(request, place, _round(request, earlier), given, source=source)
        return _answer(inquiry, _candidates(inquiry, excluded, earlier), reporter)


def _answer(inquiry: Inquiry, candidates: tuple[Unit, ...], reporter: Reporter) -> Answer:
    """Choose, and write what is handed out."""
    request = inquiry.request
    if inquiry.given is not None:
        place = preprocessed(scored_by(inquiry.place, inquiry.source), reporter)
        candidates = tuple(unit for unit in candidates if unit not in place.lost)
        inquiry = replace(inquiry, place=place, model=place.trainer.load_given())
        asked = ask(inquiry, candidates, reporter)
    else:
        asked = ask_cold(inquiry, candidates)
    labelled = inquiry.place.labelled
    query = _query(inquiry, asked, len(candidates))
    if request.dry_run:
        return Answer(query, None, labelled, len(candidates))
    with reporter.task(f"{inquiry.place.dataset.name}: writing {request.out}"):
        handed = _handed_out(inquiry, asked, query)
        if request.dataset is None:
            whole = hand_out(handed, request.out)
        else:
            whole = hand_out_registered(handed, request.out, request.dataset)
    return Answer(whole, request.out, labelled, len(candidates))


def _require_places(request: QueryRequest) -> None:
    """Refuse folders that could not be written to in the end."""
    if not request.dry_run:
        require_place("--out", request.out)
        if request.dataset is not None:
            require_place("--dataset", request.dataset / QUERIES)


def _round(request: QueryRequest, earlier: Sequence[Query]) -> int:
    if request.round is not None:
        return request.round
    return max([*(query.round + 1 for query in earlier), 0 if request.model is None else 1])


def _candidates(inquiry: Inquiry, excluded: Exclusions, earlier: Sequence[Query]) -> tuple[Unit, ...]:
    """Units that may be asked: not labelled, not asked before, not excluded."""
    place, request = inquiry.place, inquiry.request
    free = place.pool.unlabelled(place.labelled)
    waiting = Exclusions(tuple(open_units(request.dataset, earlier)), frozenset())
    unasked = without(place.pool, free, waiting)
    left = without(place.pool, unasked, excluded)
    if not left:
        raise InputError(
            f"--budget {request.budget}: expected units to choose from, found none: of {len(place.pool)} units "
            f"{len(place.labelled)} are labelled, {len(free) - len(unasked)} were asked for already or skipped, and "
            f"{len(unasked) - len(left)} are excluded"
        )
    return left


def _query(inquiry: Inquiry, asked: Asked, n_candidates: int) -> Query:
    place, request = inquiry.place, inquiry.request
    shown = class_uncertainty(inquiry, asked.units)
    first_audit = len(asked.units) - asked.n_audit
    units = tuple(
        QueriedUnit(
            case=unit.case,
            index=unit.index,
            **place.pool.place(unit),
            score=float(asked.scores[row]),
            gain=float(asked.gains[row]),
            role="strategy" if row < first_audit else "audit",
            uncertainty=shown[row],
        )
        for row, unit in enumerate(asked.units)
    )
    now = datetime.now(UTC)
    digest = hashlib.sha256(repr((place.dataset.checksum, units, now)).encode()).hexdigest()[:4]
    strategy = asked.strategy
    return Query(
        dataset=place.dataset.name,
        strategy=label_of(strategy) if strategy else asked.method,
        parameters=settings_of(strategy) if strategy else {},
        seed=request.seed,
        round=inquiry.number,
        id=f"{now:%Y%m%d-%H%M%S}-{strategy.name if strategy else asked.method}-{digest}",
        created=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        albench=__version__,
        model=None if inquiry.given is None else _asking(inquiry.given, request, inquiry.source),
        labels={name: value for value, name in place.dataset.labels.items()},
        ignore=place.dataset.ignore_label,
        channel_names=place.dataset.channel_names,
        file_ending=place.dataset.file_ending,
        n_candidates=n_candidates,
        trust_image_geometry=request.trust_image_geometry,
        units=units,
    )


def _asking(given: GivenModel, request: QueryRequest, source: str) -> AskingModel:
    here = request.out.absolute().parent.resolve() / request.out.name
    return AskingModel(
        folder=Path(os.path.relpath(given.folder.resolve(), here)).as_posix(),
        configuration=given.configuration,
        folds=tuple(int(fold) if fold.isdecimal() else "all" for fold in given.folds),
        sha256=tuple(sha256(path.resolve()) for path in given.files),
        uncertainty=source,
    )


def _handed_out(inquiry: Inquiry, asked: Asked, query: Query) -> HandOut:
    place, request, given, model = inquiry.place, inquiry.request, inquiry.given, inquiry.model
    reader = None if given is None else str(given.plans["image_reader_writer"])
    predicted = {unit.case for unit in query.units if request.prefill == "prediction" or unit.role == "audit"}
    cases = []
    for name in dict.fromkeys(unit.case for unit in asked.units):
        case = place.dataset.case(name)
        predict: Callable[[], NDArray[Any]] | None = None
        if model is not None and name in predicted:
            predict = _on_file(model, case, reader)
        known = (
            None if case.label is None else _known(case.label, case.images[0], by_voxels=request.trust_image_geometry)
        )
        cases.append(AskedCase(name, case.images, predict, known, reader))
    return HandOut(
        query=query,
        cases=tuple(cases),
        filling=request.prefill,
        editor=request.editor,
        anonymise=request.anonymise,
        annotators=request.annotators,
        views=_pictures(inquiry, asked),
    )


def _on_file(model: NnunetModel, case: Case, reader: str | None) -> Callable[[], NDArray[Any]]:
    """Return what predicts a case on the grid of its file, axes (k, j, i)."""
    return lambda: file_grid(case.images[0], reader).as_stored(model.predict(case.name))


def _known(label: Path, image: Path, *, by_voxels: bool) -> Callable[[], NDArray[Any]]:
    """Return what reads a label on the grid of its image's file, axes (k, j, i)."""
    return lambda: read_label(label, Grid.of_file(image), by_voxels=by_voxels).T.astype(np.uint16)


def _pictures(inquiry: Inquiry, asked: Asked) -> list[UnitView | None]:
    """Look at the units chosen first; none without a model, whose preprocessed images the pictures are of."""
    place, model, scoring = inquiry.place, inquiry.model, inquiry.shown
    if model is None:
        return []
    shown = asked.units[:N_PICTURES]
    if inquiry.source == "none":
        scoring = replace(scoring, source="ensemble")  # of one: the softmax's own entropy
    annotated = set(place.labelled)
    return [
        view if unit in annotated else replace(view, reference=None)
        for unit, view in zip(shown, model.view(shown, scoring), strict=True)
    ]
