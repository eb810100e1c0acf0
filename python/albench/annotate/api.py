"""Requests of the page, under ``/api/``: parsed within bounds, answered in JSON or as NIfTI."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from albench.annotate.people import Person
from albench.annotate.pictures import Pictures
from albench.annotate.refusals import ForbiddenError, RefusedError, UnknownError
from albench.annotate.team import progress
from albench.annotate.work import Saving, Work
from albench.drawings.drawing import Status, Verdict
from albench.drawings.store import ConflictError
from albench.errors import InputError, first_fault

_NUMBER = re.compile(r"[0-9]{1,9}")
_CT = "ct"  # nnU-Net's name of a channel in Hounsfield units, in any letters
_NOT_STORED = {"Cache-Control": "no-store"}

_Version = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
_Seconds = Annotated[float, Field(allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Save(_Body):
    base: _Version
    labels: str | None = None
    status: Status
    comment: str = ""
    seconds_delta: _Seconds = 0.0
    allow_unlabelled: bool = False


class _Review(_Body):
    annotator: str | None = None
    base: _Version
    verdict: Verdict
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Api:
    """Answers to the page.

    Attributes
    ----------
    idle_seconds
        Without any input, after which time does not count as work.
    """

    work: Work
    pictures: Pictures
    idle_seconds: float

    def routes(self) -> list[Route]:
        """Return what is answered; all of it for people with a token alone."""
        unit = "/api/units/{rank}"
        return [
            Route("/api/query", self._get(self._query)),
            Route("/api/progress", self._get(lambda request: progress(self.work))),
            Route(unit, self._get(self._unit), methods=["GET"]),
            Route(unit, self._with_body(self._save, _Save), methods=["PUT"]),
            Route(f"{unit}/review", self._with_body(self._review, _Review), methods=["POST"]),
            Route(f"{unit}/image", self._get(self._unit_image)),
            Route(f"{unit}/versions", self._get(self._versions)),
            Route(f"{unit}/versions/{{version}}", self._get(self._version)),
            Route("/api/cases/{case}/image", self._get(self._case_image)),
        ]

    def _query(self, request: Request) -> dict[str, Any]:
        person, query, asked = _person(request), self.work.asked.handed.query, self.work.asked
        channels = self.pictures.channels(next(iter(asked.cases)))
        return {
            "id": query.id,
            "strategy": query.strategy,
            "round": query.round,
            "me": {"name": person.name, "role": person.role},
            "annotators": list(self.work.assignment.annotators),
            "classes": asked.codes.described(),
            "ignore_code": asked.codes.ignore_code,
            "channels": list(channels),
            "is_ct": [name.casefold() == _CT for name in channels],
            "idle_seconds": self.idle_seconds,
            "units": [self.work.unit(who, rank) for who, rank in self.work.listed(person)],
        }

    def _unit(self, request: Request) -> dict[str, Any]:
        return self.work.unit_with_labels(*self._whose(request))

    def _save(self, request: Request, body: _Save) -> dict[str, Any]:
        person, rank = _person(request), _number(request, "rank")
        try:
            return self.work.save(person, rank, Saving(**body.model_dump()))
        except ConflictError as error:
            raise _Conflict(self.work.conflict(person.name, rank, error.current)) from None

    def _review(self, request: Request, body: _Review) -> dict[str, Any]:
        person, rank = _person(request), _number(request, "rank")
        try:
            return self.work.review(person, rank, body.annotator, body.base, body.verdict, body.remark)
        except ConflictError as error:
            who = self.work.annotator(person, rank, body.annotator)
            raise _Conflict(self.work.conflict(who, rank, error.current)) from None

    def _versions(self, request: Request) -> list[dict[str, Any]]:
        return self.work.versions(*self._whose(request))

    def _version(self, request: Request) -> dict[str, Any]:
        return self.work.version(*self._whose(request), _number(request, "version"))

    def _unit_image(self, request: Request) -> Response:
        _, rank = self._whose(request, any_annotator=True)
        case = self.work.asked.case_of(rank)
        content = self.pictures.nifti(case.name, _channel(request), case.turn, case.spacing, self.work.asked.slab(rank))
        return _nifti(content)

    def _case_image(self, request: Request) -> Response:
        number = _number(request, "case")
        case = next((each for each in self.work.asked.cases.values() if each.number == number), None)
        seen = {self.work.asked.case_of(rank).number for _, rank in self.work.listed(_person(request))}
        if case is None:
            raise UnknownError(f"no case {number}")
        if number not in seen:
            raise ForbiddenError(f"case {number} is another annotator's")
        return _nifti(self.pictures.nifti(case.name, _channel(request), case.turn, case.spacing))

    def _whose(self, request: Request, *, any_annotator: bool = False) -> tuple[str, int]:
        """Annotator and rank that a request means; of a picture, which is everybody's, the reviewer need not say."""
        person, rank = _person(request), _number(request, "rank")
        named = request.query_params.get("annotator")
        if any_annotator and person.is_reviewer and named is None and rank in self.work.asked.handed.by_rank:
            return self.work.assignment.owner(rank), rank
        return self.work.annotator(person, rank, named), rank

    @property
    def _folder(self) -> Path:
        return self.work.asked.handed.folder

    def _get(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(answered, answer, request, self._folder)

        return endpoint

    def _with_body(self, answer: Callable[[Request, Any], Any], kind: type[_Body]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            content = await request.body()
            parsed = functools.partial(_with_parsed, answer, content, kind)
            return await run_in_threadpool(answered, parsed, request, self._folder)

        return endpoint


def _with_parsed(answer: Callable[[Request, Any], Any], content: bytes, kind: type[_Body], request: Request) -> Any:
    return answer(request, _parsed(content, kind))


class _Conflict(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, current: dict[str, Any]) -> None:
        super().__init__()
        self.current = current


def answered(answer: Callable[[Request], Any], request: Request, folder: Path) -> Response:
    """Answer a request, or say in one line why not.

    What somebody sends and cannot be is their error, 400; what cannot be read or written is ours, 500, and named from
    the query's folder on.
    """
    try:
        found = answer(request)
    except _Conflict as conflict:
        return _json({"error": "another version has been saved meanwhile", "current": conflict.current}, 409)
    except RefusedError as error:
        return refusal(error.STATUS, str(error))
    except InputError as error:
        return refusal(500, str(error).replace(f"{folder}{os.sep}", ""))
    except OSError as error:
        return refusal(500, f"cannot be read or written ({error.strerror})")
    return found if isinstance(found, Response) else _json(found)


def refusal(status: int, message: str) -> Response:
    """Answer with an error of one line."""
    return _json({"error": " ".join(message.split())[:1000]}, status)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer to what the framework refuses: no such address, no such method, a body that is too long."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "an error of the server; its terminal says more"
    response = refusal(status, detail)
    if status == 413:
        response.headers["Connection"] = "close"  # the rest of the body is not read
    return response


def _json(content: Any, status: int = 200) -> Response:
    return JSONResponse(content, status, headers=_NOT_STORED)


def _nifti(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream", headers=_NOT_STORED)


def _person(request: Request) -> Person:
    person = request.scope["person"]
    assert isinstance(person, Person)
    return person


def _number(request: Request, name: str) -> int:
    text = request.path_params[name]
    if not _NUMBER.fullmatch(text):
        raise UnknownError(f"no such {name}")
    return int(text)


def _channel(request: Request) -> int:
    text = request.query_params.get("channel", "0")
    if not _NUMBER.fullmatch(text):
        raise RefusedError("channel: expected a number from 0 on")
    return int(text)


def _parsed(content: bytes, kind: type[_Body]) -> _Body:
    try:
        return kind.model_validate(json.loads(content))
    except ValidationError as error:
        place, why, _ = first_fault(error)
        raise RefusedError(f"{place or 'body'}: {why}") from None
    except (ValueError, RecursionError):
        raise RefusedError("expected JSON") from None
