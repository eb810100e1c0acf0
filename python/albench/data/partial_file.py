"""The part of a download that has arrived, with what it is a part of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from albench.machine.files import write_json


class PartialFile:
    """Bytes of a file from its start on, and beside them a note of where they come from.

    The note is written before the first byte of a version, so a killed process never leaves bytes of one version under
    the note of another.

    Parameters
    ----------
    path
        Of the bytes; the note is ``<path>.json``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def _known(self, url: str) -> dict[str, Any] | None:
        """Return the note, where it is about `url`."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) and note.get("url") == url else None

    def range_headers(self, url: str) -> dict[str, str]:
        """Headers that ask for the rest, provided that the file is still the same; none where nothing is there."""
        note = self._known(url)
        if note is None or self.size == 0 or not (note["validator"] or note["total"]):
            return {}
        headers = {"Range": f"bytes={self.size}-"}
        return headers | ({"If-Range": note["validator"]} if note["validator"] else {})

    def is_complete(self, url: str) -> bool:
        """Whether as many bytes are there as the server said there are."""
        note = self._known(url)
        return note is not None and note["total"] == self.size

    def continues_with(self, url: str, start: int, total: int | None, validator: str | None) -> bool:
        """Whether bytes from `start` on, of a version so described, may follow those that are there."""
        return start == self.size and self._known(url) == {"url": url, "total": total, "validator": validator}

    def discard(self) -> None:
        """Remove bytes and note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @contextlib.contextmanager
    def appending(self, url: str, start: int, total: int | None, validator: str | None) -> Iterator[BinaryIO]:
        """Open for writing from byte `start` on: 0, which drops what is there, or `size`."""
        if start == 0:
            self.discard()
            write_json(self._note, {"url": url, "total": total, "validator": validator})
        with self.path.open("ab") as stream:
            yield stream
