"""Requests by whoever should not get anywhere: each is refused with a status and a line, and nothing is written."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.annotate.guard import Hosts
from albench.errors import InputError
from albench.results.query import Query
from tests.support.annotate_site import HOST, Served, encode, serve_site
from tests.support.annotation_project import make_project

ONES = encode(np.ones((14, 12, 1)))
PLAIN = {"base": 0, "labels": ONES, "status": "later", "comment": "", "seconds_delta": 0.0}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    project = make_project(tmp_path_factory.mktemp("attacked"), {"a": [2, 5], "b": [4]}, filling="prediction")
    site = serve_site(project.folder, ["ann", "bob"])
    before = _tree(project.folder)
    yield site
    assert _tree(project.folder) == before  # after all attacks together


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _refused(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert "Traceback" not in answer.text
    assert "\n" not in answer.json()["error"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def _put(served: Served, **body: Any) -> httpx.Response:
    return served.client.put("/api/units/1", headers=served.headers("ann"), json=PLAIN | body)


PRIVATE = ["query", "progress", "units/1", "units/1/image", "units/1/versions", "units/1/versions/0", "cases/0/image"]


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "Bearer {token}x", "{token}"]
)
def test_without_a_token_nothing_is_told(served: Served, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.format(token=served.token("ann"))}
    _refused(served.client.get(f"/api/{path}", headers=headers), 401)
    _refused(served.client.get(f"/api/{path}?token={served.token('ann')}", headers=headers), 401)


def test_two_tokens_are_none(served: Served) -> None:
    both = [("Authorization", f"Bearer {served.token(name)}") for name in ("ann", "bob")]
    _refused(served.client.get("/api/query", headers=both), 401)


def test_whoever_has_a_token_gets_no_further_than_their_own_units(served: Served) -> None:
    ranks = {name: [unit["rank"] for unit in served.get(name, "query")["units"]] for name in ("ann", "bob")}
    cases = {name: {unit["case"] for unit in served.get(name, "query")["units"]} for name in ("ann", "bob")}
    for name, other in (("ann", "bob"), ("bob", "ann")):
        headers, rank = served.headers(name), ranks[other][0]
        for path in (f"units/{rank}", f"units/{rank}/image", f"units/{rank}/versions", f"units/{rank}/versions/0"):
            _refused(served.client.get(f"/api/{path}", headers=headers), 403)
            _refused(served.client.get(f"/api/{path}?annotator={other}", headers=headers), 403)
        _refused(served.client.get(f"/api/units/{ranks[name][0]}?annotator={other}", headers=headers), 403)
        _refused(served.client.get(f"/api/cases/{min(cases[other])}/image", headers=headers), 403)
        _refused(served.client.put(f"/api/units/{rank}", headers=headers, json=PLAIN), 403)
        review = {"annotator": name, "base": 0, "verdict": "accepted", "remark": ""}
        _refused(served.client.post(f"/api/units/{ranks[name][0]}/review", headers=headers, json=review), 403)
    _refused(served.client.put("/api/units/1", headers=served.headers("rev"), json=PLAIN), 403)
    _refused(served.client.get("/api/units/1?annotator=mallory", headers=served.headers("rev")), 404)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.0.9:8000",
        "",
        "@",
        "127.0.0.1:8000@evil.example",
        "127.0.0.1/evil",
        "[::1",
        "localhost:port",
    ],
)
@pytest.mark.parametrize("path", ["/", "/assets/main.js", "/api/query"])
def test_a_foreign_name_that_leads_here_is_refused(served: Served, host: str, path: str) -> None:
    _refused(served.client.get(path, headers=served.headers("ann") | {"Host": host}), 403)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:1", "[::1]:8000", "127.0.0.1"])
def test_own_names_pass(served: Served, host: str) -> None:
    own = {"Host": host, "Origin": f"http://{host}"}
    assert served.client.get("/api/query", headers=served.headers("ann") | own).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8001",
        f"file://{HOST}",
        f"http://{HOST}.evil.example",
        f"http://{HOST}/",
        f"http://evil.example@{HOST}",
    ],
)
def test_pages_of_elsewhere_are_refused(served: Served, origin: str) -> None:
    headers = served.headers("ann") | {"Origin": origin}
    _refused(served.client.put("/api/units/1", headers=headers, json=PLAIN), 403)
    _refused(served.client.options("/api/units/1", headers=headers), 403)
    _refused(served.client.get(f"/monai/{served.token('ann')}/info/", headers={"Origin": origin}), 403)


def test_no_answer_lets_other_origins_read_it(served: Served) -> None:
    answer = served.client.get("/api/query", headers=served.headers("ann") | {"Origin": f"http://{HOST}"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert not [name for name in answer.headers if name == "set-cookie"]


def test_every_answer_has_the_headers_for_browsers(served: Served) -> None:
    for path in ("/", "/nowhere", "/api/query", "/api/nowhere", "/monai/x/info/"):
        headers = served.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self';" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
    assert served.client.get("/").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/../query.json",
        "/..%2fquery.json",
        "/%2e%2e/query.json",
        "/assets/../../query/query.json",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/assets/%00",
        "/index.html%00.js",
        "/assets/..%5c..%5cquery.json",
        "/annotated/tokens.json",
        "/assets",
        "/assets/",
        "/file:///etc/passwd",
        "/%c0%ae%c0%ae/query.json",
        "/.server.lock",
    ],
)
def test_no_address_is_a_path(served: Served, path: str) -> None:
    for given_path in (path, f"/api{path}", f"/api/units/1{path}", f"/monai/{served.token('ann')}{path}"):
        answer = _raw_get(served, given_path, served.headers("ann"))
        assert answer.status_code in (401, 404), (given_path, answer.text)
        assert b"root:" not in answer.content
        assert b"sha256" not in answer.content


@pytest.mark.parametrize(
    "rank", ["0", "4", "-1", "1.0", "1e0", "%31%00", "%C2%B2", "%D9%A3", "9" * 9, "9" * 5000, "a", "..", "1;2"]
)
def test_ranks_that_are_none(served: Served, rank: str) -> None:
    for rest in ("", "/image", "/versions") if rank != ".." else ("",):
        _refused(_raw_get(served, f"/api/units/{rank}{rest}", served.headers("ann")), 404)
    if rank.isdigit() and rank != "0":  # case and version 0 there are
        _refused(served.client.get(f"/api/cases/{rank}/image", headers=served.headers("ann")), 404)
        _refused(served.client.get(f"/api/units/1/versions/{rank}", headers=served.headers("ann")), 404)


@pytest.mark.parametrize("channel", ["1", "-1", "x", "", "9" * 5000])
def test_channels_that_are_none(served: Served, channel: str) -> None:
    answer = served.client.get(f"/api/units/1/image?channel={channel}", headers=served.headers("ann"))
    _refused(answer, 404 if channel == "1" else 400)


def _stream(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


BOMB = base64.b64encode(zlib.compress(bytes(40 * 10**6), 9)).decode()


@pytest.mark.parametrize(
    "labels",
    [
        "",
        "not base64!",
        base64.b64encode(b"no stream").decode(),
        _stream(b""),
        _stream(bytes(167)),
        _stream(bytes(169)),
        _stream(bytes([4] * 168)),
        _stream(bytes([255] * 168)),
        ONES + "AA==",
        ONES[:-8],
        "\u0000",
        "ü" * 20,
        base64.b64encode(zlib.compress(bytes(168))[:-2]).decode(),
        base64.b64encode(zlib.compress(bytes(168)) + b"more").decode(),
        _stream(bytes(10**6)),
    ],
)
def test_labels_that_are_none(served: Served, labels: str) -> None:
    _refused(_put(served, labels=labels), 400)


def test_a_bomb_is_not_inflated(served: Served) -> None:
    import tracemalloc

    body = json.dumps(PLAIN | {"labels": BOMB})
    assert len(body) < served.site.app().api_bytes
    tracemalloc.start()
    try:
        _refused(served.client.put("/api/units/1", headers=served.headers("ann"), content=body), 400)
        assert tracemalloc.get_traced_memory()[1] < 5 * 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"base": -1},
        {"base": 2**31},
        {"base": "0"},
        {"base": 0.5},
        {"base": None},
        {"base": True},
        {"labels": 3},
        {"status": "finished"},
        {"status": None},
        {"comment": 3},
        {"comment": "x" * 1001},
        {"comment": "\x1b[31m"},
        {"comment": "\ud800"},
        {"comment": "a\u202eb"},
        {"seconds_delta": -1},
        {"seconds_delta": 10**9},
        {"seconds_delta": "x"},
        {"version": 3},
        {"annotator": "bob"},
        {"../x": 1},
    ],
)
def test_bodies_that_are_none(served: Served, change: dict[str, Any]) -> None:
    content = json.dumps(PLAIN | change)
    _refused(served.client.put("/api/units/1", headers=served.headers("ann"), content=content), 400)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 60_000,
        b"\xff\xfe",
        b'{"base": NaN}',
        b'{"base": ' + b"9" * 6000 + b"}",
        *(json.dumps(PLAIN | {"seconds_delta": 0}).replace("0}", number + "}").encode() for number in ("NaN", "1e999")),
    ],
)
def test_what_is_no_json(served: Served, content: bytes) -> None:
    _refused(served.client.put("/api/units/1", headers=served.headers("ann"), content=content), 400)


@pytest.mark.parametrize("length", ["-1", "1x", "+5", "٣", "1, 1", "9" * 30])
def test_lengths_that_are_none(served: Served, length: str) -> None:
    assert _ask(served, [(b"content-length", length.encode())], [b""])[0] == 400


@pytest.mark.parametrize("declared", [True, False])
def test_bodies_that_are_too_long(served: Served, declared: bool) -> None:
    limit = served.site.app().api_bytes
    headers = [(b"content-length", str(limit + 1).encode())] if declared else [(b"transfer-encoding", b"chunked")]
    arrived: list[int] = []
    status, body = _ask(served, headers, (b"x" * 2**16 for _ in range(10_000)), arrived)
    assert status == 413
    assert list(json.loads(body)) == ["error"]
    assert sum(arrived) == 0 if declared else sum(arrived) <= limit + 2 * 2**16  # no more is read than must be


def test_a_body_without_a_token_is_not_read(served: Served) -> None:
    arrived: list[int] = []
    status, _ = _ask(served, [], (b"x" * 2**16 for _ in range(100)), arrived, token="wrong")
    assert (status, arrived) == (401, [])


def test_labels_of_cases_are_bounded_too(served: Served) -> None:
    limit = served.site.app().upload_bytes
    answer = served.client.put(
        f"/monai/{served.token('ann')}/datastore/label?image=a", files={"label": ("a.nii.gz", bytes(limit + 1))}
    )
    _refused(answer, 413)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST", "TRACE", "OPTIONS"])
def test_methods_that_are_none(served: Served, method: str) -> None:
    _refused(served.client.request(method, "/api/units/1", headers=served.headers("ann")), 405)


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    project = make_project(tmp_path, {"a": [2]})
    query = Query.read(project.folder / "query.json")
    labels = {"background": 0, name: 1, '"><img src=x onerror=alert(1)>': 2}
    query.model_copy(update={"labels": labels, "strategy": name}).write(project.folder / "query.json")
    answer = (site := serve_site(project.folder)).client.get("/api/query", headers=site.headers("ann"))
    assert answer.headers["content-type"] == "application/json"
    assert [row["name"] for row in answer.json()["classes"]] == list(labels)
    for path in (f"/{name}", f"/api/{name}", f"/api/units/{name}", f"/monai/{name}/info/"):
        refused = site.client.get(path, headers=site.headers("ann"))
        assert not refused.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("damage", ["image", "image gone", "task", "drawing"])
def test_what_is_damaged_on_the_disk_is_said_in_a_line(tmp_path: Path, damage: str) -> None:
    project = make_project(tmp_path, {"a": [2, 5]})
    site = serve_site(project.folder)
    site.put("ann", 2, labels=ONES)
    drawing = next((project.folder / "annotated" / "units" / "ann" / "000002").glob("v*.json"))
    task = next((project.folder / ".handed-out").rglob("a.nii.gz"))
    files = {"image": project.image("a"), "task": task, "drawing": drawing}
    if damage == "image gone":
        project.image("a").unlink()
    else:
        files[damage].write_bytes(files[damage].read_bytes()[:-60])
    site = serve_site(project.folder)
    paths = {"task": ["units/1"], "drawing": ["query", "units/2", "units/2/versions", "progress"]}
    for path in paths.get(damage, ["units/1/image", "cases/0/image"]):
        answer = site.client.get(f"/api/{path}", headers=site.headers("ann"))
        _refused(answer, 500)
        assert str(project.folder) not in answer.text
    if damage in ("image", "drawing"):
        assert site.client.get("/api/units/1", headers=site.headers("ann")).status_code == 200


@given(st.text(max_size=40))
def test_hosts_that_have_no_name_of_ours_are_foreign(text: str) -> None:
    hosts = Hosts.listening("127.0.0.1")
    if hosts.allows(text):
        assert text.lower().split(":")[0] in ("127.0.0.1", "localhost", "[")


def test_a_server_for_others_takes_its_own_names_and_numbers() -> None:
    hosts = Hosts.listening("0.0.0.0", ["Pc-7", "pc-7.clinic.example"], "https://annotate.clinic.example")
    for host in ("pc-7:80", "PC-7.clinic.example", "10.1.2.3:8000", "[fe80::1]:80", "annotate.clinic.example"):
        assert hosts.allows(host)
        assert hosts.allows_origin(f"http://{host}", host)
    for host in ("evil.example", "10.1.2.3.evil.example", "pc-7.evil.example", "annotate.clinic.example.evil"):
        assert not hosts.allows(host)
    assert hosts.allows_origin("https://annotate.clinic.example", "127.0.0.1:8000")
    assert not hosts.allows_origin("https://evil.example", "annotate.clinic.example")
    assert not Hosts.listening("127.0.0.1").allows("10.1.2.3")


@pytest.mark.parametrize(
    "url", ["annotate.example", "ftp://a.example", "https://a.example/b", "https://a b", "https://"]
)
def test_addresses_of_proxies_that_are_none(url: str) -> None:
    with pytest.raises(InputError, match="--public-url"):
        Hosts.listening("127.0.0.1", (), url)


def _raw_get(served: Served, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask for a path as it stands: clients resolve `..` themselves."""
    url = httpx.URL(scheme="http", host="127.0.0.1", port=8000, raw_path=path.encode())

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(served.site.app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.send(httpx.Request("GET", url, headers=headers))

    return asyncio.run(ask())


def _ask(
    served: Served,
    headers: list[tuple[bytes, bytes]],
    chunks: Any,
    arrived: list[int] | None = None,
    token: str | None = None,
) -> tuple[int, bytes]:
    """Send a body chunk by chunk, as far as the application wants to have it."""
    given_token = served.token("ann") if token is None else token
    own = [(b"host", HOST.encode()), (b"authorization", f"Bearer {given_token}".encode())]
    path = "/api/units/1"
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PUT", "scheme": "http"}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "headers": own + headers}
    sent: list[dict[str, Any]] = []
    waiting = iter(chunks)

    async def receive() -> dict[str, Any]:
        chunk = next(waiting, None)
        if chunk is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        if arrived is not None:
            arrived.append(len(chunk))
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(served.site.app()(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)
