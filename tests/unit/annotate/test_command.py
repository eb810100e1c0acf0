"""The command `al-bench annotate`, with something else in the server's place; and what import takes of what it kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from albench.annotate import server
from albench.annotate.people import People, Person
from albench.terminal import annotate as command
from tests.support.annotate_site import encode, serve_site
from tests.support.annotation_project import make_project
from tests.support.command import al_bench

PEOPLE = People((Person("ann", "annotator", "a" * 32), Person("rev", "reviewer", "r" * 32)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[server.ServeRequest]:
    requests: list[server.ServeRequest] = []

    def serve(request: server.ServeRequest, on_open: object) -> None:
        requests.append(request)
        is_private = request.host == "127.0.0.1"
        on_open(server.Opened("http://127.0.0.1:8000", PEOPLE, is_private))  # type: ignore[operator]

    monkeypatch.setattr(server, "serve", serve)
    return requests


def test_everybody_gets_a_link(
    asked: list[server.ServeRequest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    al_bench("annotate", tmp_path, "--annotators", "ann, bob", "--overlap", 2, "--reviewer", "rev", "--no-browser")
    (request,) = asked
    assert (request.query, request.annotators, request.overlap, request.reviewer) == (
        tmp_path,
        ("ann", "bob"),
        2,
        "rev",
    )
    assert (request.host, request.port, request.name) == ("127.0.0.1", 0, None)
    out, err = capsys.readouterr()
    assert f"ann (annotator): http://127.0.0.1:8000/#token={'a' * 32}" in out
    assert f"rev (reviewer): http://127.0.0.1:8000/#token={'r' * 32}" in out
    assert f"3D Slicer: http://127.0.0.1:8000/monai/{'a' * 32}/" in out
    assert f"monai/{'r' * 32}" not in out
    assert err == ""


def test_the_network_is_warned_of(
    asked: list[server.ServeRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command.webbrowser, "open", lambda url: pytest.fail("no browser for a server of others"))
    al_bench("annotate", tmp_path, "--host", "0.0.0.0")
    assert "whoever has a link may read the images and write labels" in capsys.readouterr().err


def test_the_browser_is_told_the_link_in_a_file_of_our_own(
    asked: list[server.ServeRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(url: str) -> bool:
        path = Path(url.removeprefix("file://"))
        assert path.stat().st_mode & 0o077 == 0
        assert f"url=http://127.0.0.1:8000/#token={'a' * 32}" in path.read_text()
        assert "a" * 32 not in url
        seen.append(path)
        return True

    seen: list[Path] = []
    monkeypatch.setattr(command.webbrowser, "open", look)
    al_bench("annotate", tmp_path)
    assert len(seen) == 1
    assert not seen[0].exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--idle-seconds", "0"], "--idle-seconds"), (["--idle-seconds", "nan"], "--idle-seconds"), ([], "query.json")],
)
def test_what_cannot_be_is_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("albench.annotate.page.FOLDER", tmp_path)
    monkeypatch.setattr("albench.annotate.page.Page.read", lambda: None)
    with pytest.raises(AssertionError):
        al_bench("annotate", tmp_path, *arguments)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_a_line_with_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(AssertionError):
        al_bench("annotate", tmp_path)
    assert re.search(r"expected uvicorn, found none: pip install 'al-bench\[annotate\]'", capsys.readouterr().err)


@pytest.mark.parametrize("direction", ["ras", "oblique permuted"])
def test_what_the_page_saved_is_what_import_takes(tmp_path: Path, direction: str) -> None:
    project = make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction", direction=direction)
    served = serve_site(project.folder)
    for unit in project.query.units:
        case = served.site.work.asked.cases[unit.case]
        codes = case.turn.turned(project.truth[unit.case][project.box(unit)].transpose())
        answer = served.put(
            "ann", unit.rank or 0, labels=encode(codes), status="done", seconds_delta=90, comment="fine"
        )
        assert answer.status_code == 200, answer.text
    shutil.rmtree(project.labels)
    al_bench("import-labels", "--query", project.folder, "--dataset", project.raw)
    for case in ("a", "b"):
        taken = project.imported(case)
        boxes = [project.box(unit) for unit in project.query.units if unit.case == case]
        outside = np.ones(taken.shape, dtype=bool)
        for box in boxes:
            assert np.array_equal(taken[box], project.truth[case][box])
            outside[box] = False
        assert (taken[outside] == project.query.ignore).all()
    assert "ann" in (project.raw / "albench" / "ledger.csv").read_text()
