"""The server of `al-bench annotate` around a small project, without a network."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.testclient import TestClient

from albench.annotate.app import Site
from albench.annotate.asked import Asked
from albench.annotate.guard import Hosts
from albench.annotate.page import Page
from albench.annotate.people import People, invite
from albench.annotate.pictures import Pictures
from albench.annotate.work import Work
from albench.annotation.handed import HandedOut
from albench.drawings.assignment import assign
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import Drawings

HOST = "127.0.0.1:8000"


@dataclass(frozen=True, eq=False)
class Served:
    """A server, and those who have a link to it."""

    site: Site
    client: TestClient

    @property
    def people(self) -> People:
        return self.site.people

    def headers(self, name: str) -> dict[str, str]:
        person = next(person for person in self.people.everybody if person.name == name)
        return {"Authorization": f"Bearer {person.token}"}

    def token(self, name: str) -> str:
        return next(person.token for person in self.people.everybody if person.name == name)

    def get(self, name: str, path: str) -> Any:
        answer = self.client.get(f"/api/{path}", headers=self.headers(name))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, name: str, rank: int, **body: Any) -> Any:
        content = {"base": 0, "labels": None, "status": "later", "comment": "", "seconds_delta": 0.0} | body
        return self.client.put(f"/api/units/{rank}", headers=self.headers(name), json=content)


def serve_site(folder: Path, annotators: Sequence[str] = ("ann",), overlap: int = 0, reviewer: str = "rev") -> Served:
    """Serve a query's folder, with a page made for the test."""
    page = folder.parent / "page"
    (page / "assets").mkdir(parents=True, exist_ok=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    (page / "assets" / "main.js").write_text("export {};")
    handed = HandedOut.read(folder)
    drawings = Drawings(handed)
    assignment = assign(handed, annotators, overlap)
    people = invite(drawings.folder, assignment.annotators, reviewer)
    work = Work(Asked(handed), drawings, FirstVersions(handed), assignment)
    site = Site(work, Pictures(handed), people, Hosts(), Page.read(page), 30.0)
    client = TestClient(site.app(), base_url=f"http://{HOST}", raise_server_exceptions=False)
    return Served(site, client)


def encode(codes: NDArray[Any]) -> str:
    """Codes (x, y, z) as a browser sends them."""
    return base64.b64encode(zlib.compress(codes.astype(np.uint8).tobytes(order="F"))).decode()


def decode(text: str, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Codes (x, y, z) as a browser reads them."""
    data = zlib.decompress(base64.b64decode(text))
    return np.frombuffer(data, dtype=np.uint8).reshape(tuple(shape), order="F")
