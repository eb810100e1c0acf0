"""Fetching one large file over HTTP: what has arrived is kept and continued, whatever interrupts."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3

from albench.data.partial_file import PartialFile
from albench.errors import InputError
from albench.machine.files import writing_to
from albench.progress import Advance, Reporter

_CHUNK = 1 << 16
_MB = 10**6
_TEMPORARY = (408, 429, 500, 502, 503, 504)  # the server may answer otherwise later


@dataclass(frozen=True)
class Patience:
    """When to give up.

    Attributes
    ----------
    n_attempts
        In a row without one new byte.
    first_wait_s, longest_wait_s
        Before the second attempt, doubled before each later one, and a bound on it.
    connect_s, read_s
        Without an answer, and without a byte.
    """

    n_attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    connect_s: float = 15.0
    read_s: float = 60.0


class _BrokenOffError(Exception):
    """An attempt that ended early and may be repeated."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class ResumingDownloader:
    """Downloader for `pooch.retrieve` that continues a partial file with HTTP range requests.

    Bytes go to ``<name>.part`` beside the result, with what identifies the server's version of the file, so that parts
    of two versions are never joined. A server without ranges sends everything again.

    Parameters
    ----------
    folder, name
        Of the file that `pooch` will put in its place.
    title
        What progress lines call it.
    factor
        Disk space that is needed, in sizes of the file: 2 where it will be unpacked beside itself.
    """

    def __init__(
        self, folder: Path, name: str, title: str, reporter: Reporter, patience: Patience, factor: float = 1.0
    ) -> None:
        self.part = PartialFile(folder / f"{name}.part")
        self._title = title
        self._reporter = reporter
        self._patience = patience
        self._factor = factor
        self._furthest = 0
        self._advance: Advance | None = None

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Fetch `url` into `output_file`, which is a link to the partial file: that stays until the checksum is known.

        Raises
        ------
        InputError
            The server refuses, or stays unreachable or silent for all attempts; the disk is too small.
        """
        with writing_to(self.part.path.parent), contextlib.ExitStack() as stack, requests.Session() as session:
            self._until_complete(session, url, stack)
        self._reporter.say(f"{self._title}: {self.part.size / _MB:.1f} MB are here, comparing checksums")
        Path(output_file).unlink(missing_ok=True)
        try:
            os.link(self.part.path, output_file)
        except OSError:  # no hard links here
            self.part.path.replace(output_file)

    def _until_complete(self, session: requests.Session, url: str, stack: contextlib.ExitStack) -> None:
        patience, failures = self._patience, 0
        while True:
            before = self._furthest
            try:
                self._attempt(session, url, stack)
                return
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                if isinstance(error, ValueError):
                    raise InputError(f"{url}: expected the address of a file, found: {error}") from error
                broken = _BrokenOffError(_reason(error))
            except _BrokenOffError as error:
                broken = error
            failures = 1 if self._furthest > before else failures + 1
            if failures >= patience.n_attempts:
                raise InputError(
                    f"{url}: {broken}; gave up after {failures} attempts without a new byte. "
                    f"{self.part.size / _MB:.1f} MB are kept, and the same command goes on from there"
                )
            wait_s = min(max(patience.first_wait_s * 2 ** (failures - 1), broken.wait_s), patience.longest_wait_s)
            self._reporter.say(
                f"{self._title}: {broken}; {self.part.size / _MB:.1f} MB are kept, trying again in {wait_s:.0f} s"
            )
            time.sleep(wait_s)

    def _attempt(self, session: requests.Session, url: str, stack: contextlib.ExitStack) -> None:
        """Ask once, for what is missing; returns when all is there."""
        headers = {"Accept-Encoding": "identity"} | self.part.range_headers(url)
        timeout = (self._patience.connect_s, self._patience.read_s)
        with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if self.part.is_complete(url):
                    return
                self.part.discard()
                raise _BrokenOffError("the file at the server has changed")
            if response.status_code not in (200, 206):
                _refuse(url, response)
            start, total = _extent(response)
            if start > 0 and not self.part.continues_with(url, start, total, _validator(response)):
                self.part.discard()
                raise _BrokenOffError("the server sends a part of another file than before, starting again")
            self._require_space(total, start)
            if self._advance is None and total is not None:
                title = f"{self._title}: downloading {total / _MB:.1f} MB"
                self._advance = stack.enter_context(self._reporter.task(title, math.ceil(total / _MB)))
                self._reached(start)
            with self.part.appending(url, start, total, _validator(response)) as stream:
                size = start
                for chunk in response.iter_content(_CHUNK):
                    stream.write(chunk)
                    size += len(chunk)
                    self._reached(size)
        if total is not None and size != total:
            raise _BrokenOffError(f"connection closed after {size} of {total} bytes")

    def _reached(self, size: int) -> None:
        if self._advance is not None:
            for _ in range(size // _MB - self._furthest // _MB):
                self._advance()
        self._furthest = max(self._furthest, size)

    def _require_space(self, total: int | None, have: int) -> None:
        if total is None:
            return
        folder = self.part.path.parent
        needed, free = self._factor * total - have, shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"{folder}: no space left for {self._title}: expected {needed / _MB:.0f} MB free for the archive and "
                f"what is in it, found {free / _MB:.0f} MB; free some or choose another folder with --cache"
            )


def _reason(error: BaseException) -> str:
    """Return what was at the bottom of an error that requests and urllib3 have wrapped."""
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    reason = getattr(error, "strerror", None) or str(error)
    return f"the connection failed ({reason or type(error).__name__})"


def _refuse(url: str, response: requests.Response) -> None:
    said = f"the server says {response.status_code} {response.reason}"
    if response.status_code in _TEMPORARY:
        wait = response.headers.get("Retry-After", "")
        raise _BrokenOffError(said, float(wait) if wait.isdigit() else 0.0)
    raise InputError(f"{url}: expected a file, {said}; give another address with --url")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """First byte that comes, and size of the whole file where the server tells."""
    if response.status_code == 206:
        extent = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if extent is None:
            raise _BrokenOffError("the server sends a part without saying which")
        return int(extent[1]), None if extent[2] == "*" else int(extent[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(response: requests.Response) -> str | None:
    """Return what ``If-Range`` may carry: a strong entity tag, else the date (RFC 9110, 13.1.5)."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def fetch(
    url: str,
    checksum: str | None,
    folder: Path,
    title: str,
    *,
    reporter: Reporter,
    patience: Patience,
    factor: float = 2.0,
) -> Path:
    """Download a file, or continue to, or find it: afterwards it is there whole, with the right checksum.

    Parameters
    ----------
    url
        HTTP or HTTPS.
    checksum
        ``algorithm:hex``; None takes what comes.
    folder
        Goes to nobody else: partial files in it are continued, temporary ones removed.
    title
        What progress lines call it.
    factor
        See `ResumingDownloader`.

    Returns
    -------
    Path
        File in `folder`, named as in the URL.

    Raises
    ------
    InputError
        See `ResumingDownloader`; or the checksum is another, in which case nothing is kept.
    """
    name = url.rsplit("/", 1)[-1].split("?", maxsplit=1)[0] or "download"
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.iterdir():
            if re.fullmatch(r"tmp\w{8}", left_over.name):  # pooch's, of a killed process
                left_over.unlink()
    pooch.get_logger().setLevel("WARNING")
    downloader = ResumingDownloader(folder, name, title, reporter, patience, factor)
    if (folder / name).is_file() and checksum is not None and not _matches(folder / name, checksum):
        (folder / name).unlink()
    try:
        path = Path(pooch.retrieve(url, checksum, fname=name, path=folder, downloader=downloader))
    except InputError:
        raise
    except ValueError as error:
        downloader.part.discard()
        digest = re.search(r"but got '?(?:\w+:)?([0-9a-f]+)", str(error))
        raise InputError(
            f"{url}: expected a file with the checksum {checksum}, found {digest[1] if digest else 'another'}; "
            "it was removed. Download again, or give the right one with --checksum"
        ) from error
    downloader.part.discard()
    return path


def _matches(path: Path, checksum: str) -> bool:
    algorithm, _, expected = checksum.rpartition(":")
    return bool(pooch.file_hash(str(path), alg=algorithm or "sha256") == expected)
