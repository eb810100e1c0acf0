"""What stands before everything else: from where, with whose token and how large a request may be."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from albench.annotate.people import People
from albench.errors import InputError

API, MONAI = "/api/", "/monai/"

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_DIGITS = re.compile(r"[0-9]{1,18}")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",  # the viewer's font is a picture in its code
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


@dataclass(frozen=True)
class Hosts:
    """Names under which a browser may ask for the page.

    A page of elsewhere whose name was made to lead here (DNS rebinding) sends its own name as host, hence names are
    compared, and numbers are not: those lead to nobody but us.

    Attributes
    ----------
    names
        In small letters, without port.
    any_number
        Whether every IP address will do, as where the server listens on all of them.
    public
        Address of a reverse proxy, such as ``https://annotate.example.org``; None where there is none.
    """

    names: frozenset[str] = _LOOPBACK
    any_number: bool = False
    public: str | None = None

    @classmethod
    def listening(cls, host: str, own_names: Iterable[str] = (), public: str | None = None) -> Hosts:
        """Return the names for a server that listens on `host`.

        Raises
        ------
        InputError
            `public` is no address of a server.
        """
        names = set(_LOOPBACK)
        if public is not None:
            parts = urlsplit(public)
            if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc) or parts.path.strip("/"):
                raise InputError(
                    f"--public-url: expected an address such as https://annotate.example.org, got {public!r:.200}"
                )
            names.add(_name(parts.netloc))
            public = f"{parts.scheme}://{parts.netloc.lower()}"
        if is_loopback(host):
            return cls(frozenset(names), public=public)
        names |= {_name(f"[{host}]" if ":" in host else host), *(name.lower() for name in own_names)}
        return cls(frozenset(names), any_number=True, public=public)

    def allows(self, host: str) -> bool:
        """Whether a request with this header ``Host`` is for us."""
        if not _HOST.fullmatch(host):
            return False
        name = _name(host)
        return name in self.names or (self.any_number and _is_number(name))

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether the page that makes a request, as browsers say it, is ours; `host` is the request's."""
        return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}", self.public)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    match = _HOST.fullmatch(host)
    return (match["name"] if match else host).lower()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Guard:
    """ASGI application that refuses what is not for `app`, and adds the headers for browsers to every answer.

    What passes has the person in ``scope["person"]`` where a token is needed, and no token in its path.

    Attributes
    ----------
    api_bytes, upload_bytes
        Most that the body of a request may have.
    """

    app: ASGIApp
    hosts: Hosts
    people: People
    api_bytes: int
    upload_bytes: int
    headers: dict[bytes, bytes] = field(default_factory=lambda: dict(_HEADERS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message["headers"] = [*given, *(entry for entry in self.headers.items() if entry[0] not in names)]
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await _answer(with_headers, *refused)
            return
        await self.app(scope, _bounded(receive, self._limit(scope)), with_headers)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason; None where nothing is wrong, and then `scope` says who asks."""
        return self._foreign(scope) or self._unknown(scope) or self._too_long(scope)

    def _foreign(self, scope: Scope) -> tuple[int, str] | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self.hosts.allows(hosts[0]):
            return 403, "expected the address that the link has as host"
        if len(origins) > 1 or (origins and not self.hosts.allows_origin(origins[0], hosts[0])):
            return 403, "expected a request of this server's own page"
        return None

    def _unknown(self, scope: Scope) -> tuple[int, str] | None:
        path = scope["path"]
        if path.startswith(API):
            return self._recognise(scope, _bearer(scope))
        if not path.startswith(MONAI):
            return None
        token, _, rest = path.removeprefix(MONAI).partition("/")
        scope["path"] = MONAI + rest
        scope["raw_path"] = scope["path"].encode()
        return self._recognise(scope, token)

    def _too_long(self, scope: Scope) -> tuple[int, str] | None:
        lengths, limit = _values(scope, b"content-length"), self._limit(scope)
        if len(lengths) > 1 or any(not _DIGITS.fullmatch(length) for length in lengths):
            return 400, "expected a length in digits"
        return (413, f"expected at most {limit:,} bytes") if lengths and int(lengths[0]) > limit else None

    def _recognise(self, scope: Scope, token: str | None) -> tuple[int, str] | None:
        person = None if token is None else self.people.of(token)
        if person is None:
            return 401, "expected the token of a link that al-bench annotate has printed"
        scope["person"] = person
        return None

    def _limit(self, scope: Scope) -> int:
        return self.upload_bytes if scope["path"].startswith(MONAI) else self.api_bytes


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _bearer(scope: Scope) -> str | None:
    values = _values(scope, b"authorization")
    kind, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token if kind.lower() == "bearer" else None


def _bounded(receive: Receive, limit: int) -> Receive:
    """Count what arrives: a body in chunks does not say before how long it is."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"expected at most {limit:,} bytes")
        return message

    return counted


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    headers += [(b"cache-control", b"no-store"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
