"""A local HTTP server for archives, that can be told to misbehave as servers on the internet do."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class ArchiveServer(ThreadingHTTPServer):
    """Serves one file under every path; what it does with the next requests is in its attributes.

    Attributes
    ----------
    ranges
        Whether range requests are understood.
    validators
        Whether an entity tag is sent.
    drops
        For each of the next requests: close the connection after so many bytes; None sends all.
    statuses
        For each of the next requests: answer with this status and nothing else; None serves.
    pause_s
        Wait before every piece of 64 KiB.
    silent_s
        For each of the next requests: wait so long before the answer.
    sizeless
        Whether ``Content-Length`` is left out.
    requests
        Range header of every request so far.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.ranges = self.validators = True
        self.drops: list[int | None] = []
        self.statuses: list[int | None] = []
        self.silent_s: list[float] = []
        self.pause_s = 0.0
        self.sizeless = False
        self.requests: list[str | None] = []
        self.n_bytes = 0

    @property
    def address(self) -> str:
        """URL without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: ArchiveServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        server, content = self.server, self.server.content
        asked = self.headers.get("Range")
        server.requests.append(asked)
        if server.silent_s:
            time.sleep(server.silent_s.pop(0))
        status = server.statuses.pop(0) if server.statuses else None
        if status is not None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        tag = '"' + hashlib.sha256(content).hexdigest()[:16] + '"'
        start = 0
        if asked and server.ranges and self.headers.get("If-Range", tag) == tag:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.validators:
            self.send_header("ETag", tag)
        if not server.sizeless:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        drop = server.drops.pop(0) if server.drops else None
        body = content[start:] if drop is None else content[start : start + drop]
        for place in range(0, len(body), 1 << 16):
            time.sleep(server.pause_s)
            self.wfile.write(body[place : place + (1 << 16)])
            server.n_bytes += len(body[place : place + (1 << 16)])
        self.close_connection = True


@contextlib.contextmanager
def serving(content: bytes | Path) -> Iterator[ArchiveServer]:
    """Run a server while the block runs."""
    server = ArchiveServer(content if isinstance(content, bytes) else content.read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
