"""A query is handed out and registered, or neither, whatever call the process dies in."""

from __future__ import annotations

import fcntl
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from albench.annotation.hand_out import hand_out
from albench.annotation.layout import QUERIES, QUERY
from albench.annotation.registration import hand_out_registered, settle_queries
from albench.annotation.request import AskedCase, HandOut
from albench.machine.journal import WORKSPACE, settle
from albench.results.query import Query
from tests.support.annotation_project import Project, make_project
from tests.unit.machine.test_journal import dies_at, snapshot


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("project"), {"a": [2]})


def request_of(project: Project) -> HandOut:
    units = tuple(unit.model_copy(update={"rank": None, "file": None, "prefill": None}) for unit in project.query.units)
    query = replace_query(project.query, units)
    return HandOut(query, (AskedCase("a", (project.image("a"),)),), filling="background", editor="itksnap")


def replace_query(query: Query, units: tuple[object, ...]) -> Query:
    return query.model_copy(update={"version": None, "cases": {}, "units": units})


def registered(raw: Path) -> list[str]:
    return sorted(path.parent.name for path in (raw / QUERIES).glob(f"*/{QUERY}"))


@pytest.mark.parametrize("numbers", [range(0, 120, 24), pytest.param(range(400), marks=pytest.mark.slow)])
def test_both_or_neither(project: Project, numbers: range, tmp_path: Path) -> None:
    seen = set()
    for number in numbers:
        place = tmp_path / "at"
        raw, out = place / "raw", place / "query"
        raw.mkdir(parents=True)
        request = request_of(project)
        died = dies_at(number, partial(hand_out_registered, request, out, raw))
        dies_at(number % 5, partial(settle_queries, raw))
        settle_queries(raw)
        settle(raw)
        assert registered(raw) == ([str(project.query.id)] if out.exists() else []), number
        if out.exists():
            assert Query.read(raw / QUERIES / str(project.query.id) / QUERY) == Query.read(out / QUERY)
            assert [path.name for path in (raw / QUERIES / str(project.query.id)).iterdir()] == [QUERY]
        else:
            assert not list(raw.iterdir()), number
        seen.add(out.exists())
        shutil.rmtree(place)
        if not died:
            break
    assert seen == {True, False} or len(numbers) < 20


def intention(raw: Path, name: str, folder: Path) -> Path:
    path = raw / QUERIES / name / "intention.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"folder": str(folder)}))
    return path


def test_one_that_is_under_way_is_left_alone(tmp_path: Path) -> None:
    path = intention(tmp_path, "q", tmp_path / "nowhere")
    before = snapshot(tmp_path)
    with path.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        settle_queries(tmp_path)
        assert snapshot(tmp_path) == before
    settle_queries(tmp_path)
    assert not list((tmp_path / WORKSPACE).iterdir())


def test_the_folder_of_another_query_is_not_taken_for_it(project: Project, tmp_path: Path) -> None:
    hand_out(request_of(project), tmp_path / "query")
    raw = tmp_path / "raw"
    intention(raw, "another", tmp_path / "query")
    settle_queries(raw)
    assert not list((raw / WORKSPACE).iterdir())
