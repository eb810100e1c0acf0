"""The server's parts put together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from albench.annotate.api import Api, on_http_error
from albench.annotate.guard import Guard, Hosts
from albench.annotate.monai import Monai
from albench.annotate.page import Page
from albench.annotate.people import People
from albench.annotate.pictures import Pictures
from albench.annotate.work import Work
from albench.errors import InputError

_BESIDE_LABELS = 64 * 1024
"""Bytes of a request that are no labels."""
_BYTES_OF_VOXEL = 8
"""Of an uncompressed label file, at most."""
_CASES_AHEAD = 4
"""Whose images are decoded before anybody asks."""


@dataclass(frozen=True, eq=False)
class Site:
    """All that the server needs."""

    work: Work
    pictures: Pictures
    people: People
    hosts: Hosts
    page: Page
    idle_seconds: float

    def app(self) -> Guard:
        """Return the ASGI application.

        Raises
        ------
        InputError
            More labels than can be drawn in the browser; an image whose axes do not span the space.
        """
        asked = self.work.asked
        largest_unit = max(math.prod(self.work.drawings.shape(rank)) for rank in asked.ranks)
        largest_case = max(math.prod(case.shape) for case in asked.cases.values())
        assert asked.codes.values

        inner = Starlette(
            routes=[
                *Api(self.work, self.pictures, self.idle_seconds).routes(),
                *Monai(self.work).routes(),
                Route("/{path:path}", self.page.answer),
            ],
            exception_handlers={HTTPException: on_http_error, Exception: on_http_error},
        )
        # incompressible bytes grow by a few in a thousand when deflated, and by a third in base64
        api_bytes = _BESIDE_LABELS + math.ceil(largest_unit * 1.01 * 4 / 3)
        upload_bytes = _BESIDE_LABELS + _BYTES_OF_VOXEL * largest_case
        return Guard(inner, self.hosts, self.people, api_bytes, upload_bytes)

    @contextmanager
    def reading_ahead(self) -> Iterator[None]:
        """Decode in a thread what is asked for first; at the end, wait for the image that it is at."""
        stop = Event()
        thread = Thread(target=self._read_ahead, args=(stop,), name="read ahead")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _read_ahead(self, stop: Event) -> None:
        """Decode the first cases of each annotator in turn, while there is room; what cannot be is said when asked."""
        asked, assignment = self.work.asked, self.work.assignment
        first: dict[str, int] = {}
        for who in assignment.annotators:
            for rank in assignment.ranks(who):
                first.setdefault(asked.case_of(rank).name, rank)
        for case, rank in sorted(first.items(), key=lambda entry: entry[1])[:_CASES_AHEAD]:
            if stop.is_set() or not self.pictures.has_room:
                return
            with suppress(InputError, OSError, MemoryError):
                self.pictures.decode(case)
                self.work.handed_out(rank)
