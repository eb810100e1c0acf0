"""The server as a process: one a query, ended by signals and kills, and spoken to without a client's manners."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from albench.annotate.server import Opened, ServeRequest, serve
from albench.annotation.handed import HandedOut
from albench.drawings.store import Drawings
from albench.errors import InputError
from tests.support.annotation_project import Project, make_project

SERVE = """
import sys
from pathlib import Path
from albench.annotate.server import ServeRequest, serve

def say(opened):
    print(opened.link(opened.people.everybody[0]), flush=True)

serve(ServeRequest(Path(sys.argv[1]), port=int(sys.argv[3])), say, Path(sys.argv[2]))
print("stopped", flush=True)
"""
ONES = base64.b64encode(zlib.compress(bytes([1] * 168))).decode()


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    base: str
    token: str

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.base}/api/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}"},
            method="GET" if body is None else "PUT",
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are; what is answered until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            with contextlib.suppress(OSError):  # closed before it has read all
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(2**16):
                    parts.append(part)
        return b"".join(parts)


def _page(project: Project) -> Path:
    page = project.root / "page"
    page.mkdir(exist_ok=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    return page


@contextlib.contextmanager
def running(project: Project, port: int = 0) -> Iterator[Running]:
    command = [sys.executable, "-c", SERVE, str(project.folder), str(_page(project)), str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            base, _, token = process.stdout.readline().strip().partition("/#token=")
            assert base, process.stderr.read()
            yield Running(process, base, token)
        finally:
            process.kill()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction")


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signals_end_it(project: Project, number: int) -> None:
    with running(project) as server:
        assert len(server.ask("query")["units"]) == 3
        server.process.send_signal(number)
        out, err = server.process.communicate(timeout=20)
        assert (server.process.returncode, out, err) == (0, "stopped\n", "")


def test_a_query_has_one_server(project: Project) -> None:
    def another(opened: Opened) -> None:
        with pytest.raises(InputError, match="found one running"):
            serve(ServeRequest(project.folder), lambda opened: None, page)
        raise Tried

    page = _page(project)
    with pytest.raises(Tried):
        serve(ServeRequest(project.folder), another, page)


class Tried(Exception):  # noqa: N818 - ends a server
    pass


@pytest.mark.slow
def test_what_was_answered_survives_a_kill(project: Project) -> None:
    acknowledged: list[tuple[int, str]] = []
    with running(project) as server:
        stop = threading.Event()

        def save() -> None:
            version = 0
            with contextlib.suppress(OSError, ValueError):
                while not stop.is_set():
                    comment = f"after {version}"
                    body = {"base": version, "labels": ONES, "status": "later", "comment": comment, "seconds_delta": 1}
                    version = server.ask("units/1", body)["version"]
                    acknowledged.append((version, comment))

        thread = threading.Thread(target=save)
        thread.start()
        deadline = time.monotonic() + 20
        while len(acknowledged) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        stop.set()
        thread.join(timeout=30)
        port, token = server.port, server.token
    version, comment = acknowledged[-1]
    kept = [each.comment for each in Drawings(HandedOut.read(project.folder)).history(*_whose(project))]
    assert kept[: len(acknowledged)] == [comment for _, comment in acknowledged]
    assert len(kept) <= len(acknowledged) + 1  # at most one was written and not answered
    with running(project, port) as server:
        assert server.token == token  # open pages go on
        unit = server.ask("units/1")
        assert unit["version"] in (version, version + 1)
        assert unit["comment"] == comment or unit["version"] == version + 1


def _whose(project: Project) -> tuple[str, int]:
    (folder,) = (project.folder / "annotated" / "units").iterdir()
    return folder.name, 1


def test_manners(project: Project) -> None:
    """Requests that no browser sends."""
    with running(project) as server:
        own = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n".encode()
        put = b"PUT /api/units/1 HTTP/1.1\r\n" + own
        for target in (
            b"/../query.json",
            b"/%2e%2e/query.json",
            b"/..%2f..%2fquery.json",
            b"//etc/passwd",
            b"/\\..\\x",
        ):
            answer = server.raw(b"GET " + target + b" HTTP/1.1\r\n" + own + b"Connection: close\r\n\r\n")
            assert answer.split()[1] in (b"404", b"400"), answer
            assert b"sha256" not in answer
        rebound = server.raw(b"GET /api/query HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert rebound.split()[1] == b"403"
        two = own + b"Host: evil.example\r\n"
        assert server.raw(b"GET /api/query HTTP/1.1\r\n" + two + b"\r\n").split()[1] in (b"400", b"403")
        declared = server.raw(put + b"Content-Length: 999999999\r\n\r\n")
        assert declared.split()[1] == b"413"
        chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
        chunked = server.raw(put + b"Transfer-Encoding: chunked\r\n\r\n" + 64 * chunk + b"0\r\n\r\n")
        assert chunked == b"" or chunked.split()[1] == b"413"  # reset while it still sends, or told
        both = put + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        assert b" 200 " not in server.raw(both)
        assert b"200 OK" in server.raw(b"GET / HTTP/1.1\r\n" + own + b"Connection: close\r\n\r\n")
        server.raw(b"GET /monai/" + server.token.encode() + b"/info/ HTTP/1.1\r\n" + own + b"Connection: close\r\n\r\n")
        assert server.ask("query")["units"][0]["version"] == 0
        server.process.terminate()
        out, err = server.process.communicate(timeout=20)
        assert "Traceback" not in err
        assert server.token not in out + err


def test_ports_and_hosts_that_cannot_be(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for request, option in (
            (ServeRequest(project.folder, port=taken.getsockname()[1]), "--port"),
            (ServeRequest(project.folder, host="no such host"), "--host"),
            (ServeRequest(project.folder, host="203.0.113.7"), "--host"),
            (ServeRequest(project.folder, public_url="evil"), "--public-url"),
        ):
            with pytest.raises(InputError, match=option):
                serve(request, lambda opened: None, _page(project))


def test_a_page_that_was_not_built_is_a_line_with_the_cure(project: Project) -> None:
    with pytest.raises(InputError, match="npm ci && npm run build"):
        serve(ServeRequest(project.folder), lambda opened: None, project.root)
    assert not (project.folder / "annotated").exists()
