"""Who annotates what: whole cases, decided once, some units twice on purpose."""

from __future__ import annotations

import getpass
import json
import multiprocessing
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.annotation.handed import HandedOut
from albench.drawings import assignment as module
from albench.drawings.assignment import ASSIGNMENT, assign, standing_assignment
from albench.drawings.store import FOLDER
from albench.errors import InputError
from tests.support.annotation_project import Project, make_project

ASKED = {"a": [2, 5, 6], "b": [4], "c": [1, 3]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, ASKED)


def handed(project: Project) -> HandedOut:
    return HandedOut.read(project.folder)


def test_one_person(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "jane")
    assert standing_assignment(handed(project)) is None
    made = assign(handed(project))
    assert made.annotators == ("jane",) and made.ranks("jane") == (1, 2, 3, 4, 5, 6) and made.of(3) == ("jane",)
    monkeypatch.setattr(getpass, "getuser", lambda: "john")  # who starts it later changes nothing
    assert assign(handed(project)).owners == made.owners
    with pytest.raises(InputError, match=r"--name: expected jane, as .* has it from the first start, got 'john'"):
        assign(handed(project), name="john")
    with pytest.raises(KeyError):
        made.of(7)


@pytest.mark.parametrize("raised", [OSError, KeyError, None])
def test_nobody_is_logged_in(raised: type[Exception] | None, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        if raised is not None:
            raise raised
        return "DOMAIN/jane"

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert assign(handed(project)).annotators == ("annotator",)


def test_cases_are_divided(project: Project) -> None:
    made = assign(handed(project), ["anna", "ben"])
    assert [made.owner(rank) for rank in range(1, 7)] == ["anna"] * 3 + ["ben"] * 3
    assert made.seconds == {} and made.ranks("ben") == (4, 5, 6)
    again = assign(handed(project))
    assert (again.annotators, again.owners, again.seconds) == (made.annotators, made.owners, made.seconds)
    assign(handed(project), ["ben", "anna"], overlap=0, name="anna")
    for wish, message in (
        (
            {"annotators": ["anna", "ben", "cy"]},
            "--annotators: expected anna, ben, as .* got anna, ben, cy; for others",
        ),
        ({"overlap": 2}, "--overlap: expected 0, as .* from the first start, got 2"),
        ({"name": "cy"}, "--name: expected anna, ben"),
    ):
        with pytest.raises(InputError, match=message):
            assign(handed(project), **wish)  # type: ignore[arg-type]


def test_the_query_names_them(tmp_path: Path) -> None:
    project = make_project(tmp_path, ASKED, annotators=("anna", "ben"))
    with pytest.raises(InputError, match="--annotators: expected anna, ben, whom the query was handed out to, got cy"):
        assign(handed(project), ["cy"])
    assert not (project.folder / FOLDER).exists()
    made = assign(handed(project))
    assert all(made.owner(unit.rank or 0) == unit.annotator for unit in project.query.units)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"annotators": ["anna", "Anna"]}, "annotators: expected distinct names"),
        ({"annotators": ["anna", "../b"]}, "annotators: expected a plain name"),
        ({"annotators": ["1", "2", "3", "4"]}, "annotators: expected at most one for each of 3 cases"),
        ({"overlap": 1, "name": "anna"}, "--overlap: expected two annotators or more to compare, got anna alone"),
        ({"overlap": 7, "annotators": ["anna", "ben"]}, "--overlap: expected 0 to 6 units, got 7"),
        ({"overlap": -1}, "--overlap: expected 0 to 6 units, got -1"),
        ({"name": "a/b"}, "--name: expected a plain name"),
        ({"name": "cy", "annotators": ["anna", "ben"]}, "--name: expected one of the annotators anna, ben, got 'cy'"),
    ],
)
def test_what_cannot_be(wish: dict[str, object], message: str, project: Project) -> None:
    with pytest.raises(InputError, match=message):
        assign(handed(project), **wish)  # type: ignore[arg-type]
    assert not (project.folder / FOLDER).exists()


@settings(max_examples=60, deadline=None)
@given(
    owners=st.lists(st.sampled_from("abc"), min_size=1, max_size=30),
    people=st.integers(2, 5),
    share=st.floats(0, 1),
    query=st.text(max_size=5),
)
def test_overlap(owners: list[str], people: int, share: float, query: str) -> None:
    names = ["a", "b", "c", "d", "e"][: max(people, 3)]
    of = dict(enumerate(owners, start=1))
    n = int(share * len(of))
    seconds = module._seconds(query, of, names, n)
    assert len(seconds) == n and set(seconds) <= set(of)
    assert all(second in names and second != of[rank] for rank, second in seconds.items())
    assert seconds == module._seconds(query, of, names, n)
    if len(set(owners)) == 1 and n:
        load = Counter({name: 0 for name in names if name != owners[0]})
        load.update(seconds.values())
        assert max(load.values()) - min(load.values()) <= 1


def test_overlap_is_uniform() -> None:
    of = dict.fromkeys(range(1, 11), "a")
    drawn = Counter(rank for number in range(2000) for rank in module._seconds(f"q{number}", of, ["a", "b"], 3))
    # binomial with n = 2000, p = 0.3: standard deviation 20.5
    assert set(drawn) == set(of) and all(abs(times - 600) < 100 for times in drawn.values())


def test_overlap_stands(project: Project) -> None:
    made = assign(handed(project), ["anna", "ben"], overlap=3)
    (rank, second), *_ = made.seconds.items()
    assert made.of(rank) == (made.owner(rank), second) and rank in made.ranks(second)
    again = assign(handed(project), ["anna", "ben"], overlap=3)
    assert again.seconds == made.seconds and standing_assignment(handed(project)) is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": "other"}, "expected who annotates query .*, found that of 'other'"),
        ({"owners": {"1": "anna"}}, "expected an annotator for each unit"),
        ({"annotators": ["ben"]}, "expected an annotator for each unit"),
        ({"seconds": {"1": "anna"}}, "expected an annotator for each unit"),
        ({"seconds": {"9": "ben"}}, "expected an annotator for each unit"),
        ({"owners": 3}, "expected who annotates what, found owners"),
        ({"annotators": ["../x"]}, "expected who annotates what, found annotators.0"),
    ],
)
def test_damaged_files_are_named(changes: dict[str, object], message: str, project: Project) -> None:
    assign(handed(project), ["anna", "ben"])
    path = project.folder / FOLDER / ASSIGNMENT
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | changes))
    with pytest.raises(InputError, match="'digest' does not fit"):
        assign(handed(project))
    bare = {name: value for name, value in (stored | changes).items() if name not in ("format", "digest")}
    path.write_text(json.dumps(bare))
    with pytest.raises(InputError, match=message):
        assign(handed(project))


def start(project: Project, people: list[str], queue: object) -> None:
    try:
        queue.put(assign(handed(project), people).owners)  # type: ignore[attr-defined]
    except InputError as error:
        queue.put(str(error))  # type: ignore[attr-defined]


def test_two_first_starts(project: Project) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    wishes = [["anna", "ben"], ["cy", "dan"]]
    processes = [context.Process(target=start, args=(project, wish, queue)) for wish in wishes]
    for process in processes:
        process.start()
    found = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    stands = standing_assignment(handed(project))
    assert stands is not None and stands.owners in found
    assert any(isinstance(each, str) and each.startswith("--annotators: expected") for each in found)
