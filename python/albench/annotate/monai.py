"""The part of MONAI Label's REST interface that its plug-in for 3D Slicer calls, under ``/monai/TOKEN/``.

The plug-in is given that address as its server. It asks for ``info``, the next sample, the image of a sample, and sends
labels of a whole case. There are no models here, hence nothing to infer or train with.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from albench import __version__
from albench.annotate.api import answered, refusal
from albench.annotate.people import Person
from albench.annotate.refusals import ForbiddenError, RefusedError, UnknownError
from albench.annotate.work import Work
from albench.annotation.grid import GridError
from albench.annotation.layout import SEGMENTATION
from albench.annotation.returned import Returned, as_whole, read_returned
from albench.data.readers import ENDINGS, has_header
from albench.drawings.store import ConflictError
from albench.errors import InputError
from albench.machine.scratch import scratch_folder

STRATEGY = "al-bench"
"""Name of the one order in which units are asked."""

_NOT_STORED = {"Cache-Control": "no-store"}
_MOST_FIELDS = 8


@dataclass(frozen=True, eq=False)
class Monai:
    """Answers to the plug-in."""

    work: Work

    def routes(self) -> list[Route]:
        """Return what is answered; everything else of that interface is 404."""
        found = {
            "auth/": lambda request: {"enabled": False},
            "info/": self._info,
            "datastore/": self._datastore,
            "datastore/image": self._image,
            "datastore/image/info": lambda request: {"name": self._file_name(self._case(request))},
            "logs/": lambda request: PlainTextResponse("", headers=_NOT_STORED),
        }
        routes = [Route(f"/monai/{path}", self._get(answer)) for path, answer in found.items()]
        return [
            *routes,
            Route("/monai/activelearning/{strategy}", self._get(self._next), methods=["POST"]),
            Route("/monai/datastore/label", self._save, methods=["PUT"]),
            Route("/monai/{path:path}", _not_here, methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    def _info(self, request: Request) -> dict[str, Any]:
        handed = self.work.asked.handed
        return {
            "name": f"al-bench: {handed.id}",
            "description": "Units of a query in the order in which its strategy chose them",
            "version": __version__,
            "labels": list(handed.class_names.values()),
            "models": {},
            "trainers": {},
            "strategies": {STRATEGY: {"description": f"order of choice by {handed.query.strategy}"}},
            "scoring": {},
            "train_stats": {},
            "datastore": self._status(_annotator(request)),
            "config": {},
        }

    def _datastore(self, request: Request) -> dict[str, Any]:
        person = _annotator(request)
        if request.query_params.get("output") != "all":
            return self._status(person)
        ending = self.work.asked.handed.query.file_ending
        names = [self.work.asked.handed.task_name(case) for case in self._units(person)]
        objects = {name: {"image": {"ext": ending, "info": {}}, "labels": {}} for name in names}
        return {"name": self.work.asked.handed.id, "description": "", "objects": objects}

    def _next(self, request: Request) -> dict[str, Any]:
        """Case of the first unit that is not done; nothing where all are, which the plug-in understands."""
        person = _annotator(request)
        for who, rank in self.work.listed(person):
            unit = self.work.unit(who, rank)
            if unit["status"] in ("open", "later") or unit["verdict"] == "returned":
                case = self.work.asked.case_of(rank).name
                described = self.work.asked.handed.query.cases[case]
                asked = [self.work.unit(who, each) for each in self._units(person)[case]]
                return {
                    "id": described.task,
                    "name": self._file_name(case),
                    "checksum": f"SHA256:{described.sha256[0]}",
                    "description": ", ".join(f"{each['title']} ({each['status']})" for each in asked),
                }
        return {}

    def _image(self, request: Request) -> Response:
        case = self._case(request)
        self.work.asked.handed.require_images(case)
        return FileResponse(self.work.asked.handed.images(case)[0], filename=self._file_name(case), headers=_NOT_STORED)

    async def _save(self, request: Request) -> Response:
        try:
            async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
                label, params = form.get("label"), form.get("params", "{}")
                if not isinstance(label, UploadFile) or not isinstance(params, str):
                    return refusal(400, "expected a file called label, and params")
                save = functools.partial(self._saved, label=label, names=_segment_names(params))
                return await run_in_threadpool(answered, save, request, self.work.asked.handed.folder)
        except RefusedError as error:
            return refusal(400, str(error))
        except HTTPException as error:
            if error.status_code == 413:
                raise
            return refusal(400, "expected a form with a file of labels")

    def _saved(self, request: Request, label: UploadFile, names: tuple[str, ...] | None) -> dict[str, Any]:
        person, case = _annotator(request), self._case(request)
        handed = self.work.asked.handed
        ending = _ending(label.filename or "", handed.query.file_ending)
        with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
            path = Path(folder, f"label{ending}")  # of the sender's name nothing but the ending, from a list
            with path.open("wb") as stream:
                while block := label.file.read(2**20):
                    stream.write(block)
            grid = handed.grid(case)
            try:
                returned = read_returned(path, grid, handed.values)
            except (InputError, GridError) as error:
                raise RefusedError(str(error).replace(f"{folder}/", "")) from None
            labels = _labels(returned, None if ending == SEGMENTATION else names, handed.values)
            taken, left = self._take(person, case, returned, labels)
        return {"image": handed.task_name(case), "label": handed.task_name(case), "taken": taken, "left": left}

    def _take(self, person: Person, case: str, returned: Returned, labels: NDArray[Any]) -> tuple[list[int], list[int]]:
        """Save the person's units of a case that have something drawn in them; return ranks of these and of the others.

        A file says nothing of which units its author has come to: an empty one stays as it is.
        """
        handed = self.work.asked.handed
        whole = np.zeros(returned.placement.shape, dtype=np.uint16)
        whole[returned.placement.box] = labels
        taken, left = [], []
        for rank in self._units(person)[case]:
            box = handed.by_rank[rank].box(handed.query.cases[case].shape_ijk)
            drawn = whole[box]
            covered = returned.rest_is_background or all(
                given.start <= asked.start and asked.stop <= given.stop
                for asked, given in zip(box, returned.placement.box, strict=True)
            )
            if not covered or not ((drawn != 0) & (drawn != handed.ignore)).any():
                left.append(rank)
                continue
            is_whole = not (drawn == handed.ignore).any()
            try:
                self.work.save_labels(person.name, rank, np.ascontiguousarray(drawn), "done" if is_whole else "later")
            except ConflictError:
                raise RefusedError(f"unit {rank} was saved by somebody else at the same time; send it again") from None
            taken.append(rank)
        return taken, left

    def _units(self, person: Person) -> Mapping[str, list[int]]:
        """Ranks of somebody's units by case."""
        found: dict[str, list[int]] = {}
        for _, rank in self.work.listed(person):
            found.setdefault(self.work.asked.case_of(rank).name, []).append(rank)
        return found

    def _status(self, person: Person) -> dict[str, Any]:
        units = [self.work.unit(who, rank) for who, rank in self.work.listed(person)]
        open_cases = {unit["case"] for unit in units if unit["status"] in ("open", "later")}
        cases = {unit["case"] for unit in units}
        return {"total": len(cases), "completed": len(cases - open_cases), "label_tags": {}, "train": []}

    def _case(self, request: Request) -> str:
        """Case that a request names by its task, if it has units of the person's; a name is looked up, nothing more."""
        task = request.query_params.get("image", "")
        for case in self._units(_annotator(request)):
            if self.work.asked.handed.task_name(case) == task:
                return case
        raise UnknownError("no such image")

    def _file_name(self, case: str) -> str:
        handed = self.work.asked.handed
        return f"{handed.task_name(case)}{handed.query.file_ending}"

    def _get(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(answered, answer, request, self.work.asked.handed.folder)

        return endpoint


async def _not_here(request: Request) -> Response:
    """Answer to infer, train, sessions and the rest; to the plug-in, 404 of ``train/`` says that none is running."""
    return JSONResponse({"error": "al-bench has no such service"}, 404, headers=_NOT_STORED)


def _annotator(request: Request) -> Person:
    person = request.scope["person"]
    assert isinstance(person, Person)
    if person.is_reviewer:
        raise ForbiddenError("expected an annotator's link")
    return person


def _segment_names(params: str) -> tuple[str, ...] | None:
    """Names of segments in the order of their values, from 1: so the plug-in exports those that it lists.

    Raises
    ------
    RefusedError
        The text is something else.
    """
    try:
        content = json.loads(params)
        listed = content.get("label_info") if isinstance(content, dict) else None
        return tuple(str(entry["name"]) for entry in listed) if listed else None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedError("params: expected JSON, and names in label_info") from None


def _ending(name: str, usual: str) -> str:
    lower = name.lower()
    ending = next((ending for ending in (SEGMENTATION, *ENDINGS) if lower.endswith(ending)), None)
    if ending is None or not (ending in (SEGMENTATION, usual) or has_header(Path(f"label{ending}"))):
        raise RefusedError(f"expected a label file as {usual}, .nrrd or {SEGMENTATION}, got {name[-40:]!r}")
    return ending


def _labels(returned: Returned, names: tuple[str, ...] | None, values: Mapping[str, int]) -> NDArray[np.uint16]:
    """Values of the query's labels in the part that a file covers.

    Parameters
    ----------
    names
        Of segments: the file has 1, 2 and on for them; None: it has the labels' own values.

    Raises
    ------
    RefusedError
        Numbers that are not whole, or a value or name that no label has.
    """
    whole = as_whole(returned.voxels)
    if whole is None:
        raise RefusedError("expected whole numbers as labels, found others")
    found = np.unique(whole).tolist()
    meant = {value: value for value in values.values()}
    if names is not None:
        meant = {0: 0} | {number: values[name] for number, name in enumerate(names, start=1) if name in values}
    unknown = [value for value in found if value not in meant]
    if unknown:
        raise RefusedError(f"expected labels {', '.join(values)}, found the value {unknown[0]}, which is none of them")
    result = np.zeros(whole.shape, dtype=np.uint16)
    for value in found:
        result[whole == value] = meant[value]
    return result
