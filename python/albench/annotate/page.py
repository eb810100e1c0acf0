"""The page's own files, read once: no address that somebody asks for is ever taken for a path."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from albench.errors import InputError

FOLDER = Path(__file__).parent / "page"
"""What ``python/page`` is built to."""

_INDEX = "index.html"
_HASHED = "assets/"
"""Names of files below have a digest of their content in them."""
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".txt": "text/plain",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Page:
    """Content of the page's files by their path from its folder."""

    files: Mapping[str, bytes]

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Page:
        """Read the page.

        Raises
        ------
        InputError
            It was not built.
        """
        if not (folder / _INDEX).is_file():
            raise InputError(
                f"{folder}: expected the page for annotators, found none; from sources it is made by "
                "`npm ci && npm run build` in python/page"
            )
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})

    async def answer(self, request: Request) -> Response:
        """Answer with a file, ``index.html`` for ``/``."""
        name = request.scope["path"].removeprefix("/") or _INDEX
        content = self.files.get(name)
        if content is None:
            raise HTTPException(404, "no such address")
        suffix = Path(name).suffix
        kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        kept = "public, max-age=31536000, immutable" if name.startswith(_HASHED) else "no-cache"
        return Response(content, media_type=kind, headers={"Cache-Control": kept})
