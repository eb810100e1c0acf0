"""One server for a query's folder, until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from albench.annotate.app import Site
from albench.annotate.asked import Asked
from albench.annotate.guard import Hosts, is_loopback
from albench.annotate.page import Page
from albench.annotate.people import People, Person, invite
from albench.annotate.pictures import Pictures
from albench.annotate.work import Work
from albench.annotation.handed import HandedOut
from albench.drawings.assignment import assign
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import Drawings
from albench.errors import InputError
from albench.machine.files import try_lock, writing_to

_LOCK = ".server.lock"
_GRACE_SECONDS = 3
"""For answers that are under way when the server is told to stop."""
_WAITING = 128
"""Connections that wait to be accepted, at most."""


@dataclass(frozen=True)
class ServeRequest:
    """What ``al-bench annotate`` is asked for.

    Attributes
    ----------
    query
        Folder of the query.
    port
        0: any free one.
    annotators, overlap, name
        As `albench.drawings.assignment.assign` takes them.
    reviewer
        Name of somebody who sees all and accepts or sends back; None: nobody.
    idle_seconds
        Without input, after which time is no work.
    public_url
        Address of a reverse proxy before the server.
    """

    query: Path
    host: str = "127.0.0.1"
    port: int = 0
    annotators: tuple[str, ...] = ()
    overlap: int | None = None
    name: str | None = None
    reviewer: str | None = None
    idle_seconds: float = 30.0
    public_url: str | None = None


@dataclass(frozen=True)
class Opened:
    """A server that listens.

    Attributes
    ----------
    base
        Address of the page.
    """

    base: str
    people: People
    is_private: bool

    def link(self, person: Person) -> str:
        """Return a person's own address: what follows the hash is sent to nobody, and stands in no log."""
        return f"{self.base}/#token={person.token}"

    def monai_link(self, person: Person) -> str:
        """Return the address for MONAI Label's plug-in of 3D Slicer."""
        return f"{self.base}/monai/{person.token}/"


def serve(request: ServeRequest, on_open: Callable[[Opened], None], page: Path | None = None) -> None:
    """Serve a query's page; returns when told to stop by SIGINT or SIGTERM.

    Parameters
    ----------
    on_open
        Called once the server listens.
    page
        Folder of the built page; None: the package's.

    Raises
    ------
    InputError
        No query, or one that cannot be drawn in the browser; another server has it; a host or port that cannot be
        listened on; the page was not built; or as `assign`.
    """
    files = Page.read() if page is None else Page.read(page)
    handed = HandedOut.read(request.query)
    drawings = Drawings(handed)
    with _only_server(drawings.folder):
        assignment = assign(handed, request.annotators, request.overlap, request.name)
        hosts = Hosts.listening(request.host, _own_names(), request.public_url)
        people = invite(drawings.folder, assignment.annotators, request.reviewer)
        work = Work(Asked(handed), drawings, FirstVersions(handed), assignment)
        site = Site(work, Pictures(handed), people, hosts, files, request.idle_seconds)
        app = site.app()
        with _listening(request.host, request.port) as listener, site.reading_ahead():
            base = request.public_url or _address(request.host, listener.getsockname()[1])
            on_open(Opened(base.rstrip("/"), people, is_loopback(request.host)))
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,  # addresses of MONAI Label's interface have tokens in them
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            _run(uvicorn.Server(config), [listener])


def _run(server: uvicorn.Server, sockets: Sequence[socket.socket]) -> None:
    """Run until a signal; uvicorn raises it again when it has stopped, which is no news."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        server.run(sockets=list(sockets))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _only_server(folder: Path) -> Iterator[None]:
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = try_lock(folder / _LOCK)
    if lock is None:
        raise InputError(f"{folder.parent}: expected no other `al-bench annotate` of this query, found one running")
    with lock:
        yield


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InputError(f"--host: expected an address of this machine, got {host!r:.200} ({error.strerror})") from None
    family, _, _, _, address = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            option = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
            raise InputError(f"{option}: cannot listen on {host}:{port} ({os.strerror(error.errno or 0)})") from None
        listener.listen(_WAITING)  # before anybody is told the address
        yield listener
    finally:
        listener.close()


def _address(host: str, port: int) -> str:
    """Address for links; one that stands for all of the machine's is no address to go to."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _own_names() -> tuple[str, ...]:
    return socket.gethostname(), socket.getfqdn()
