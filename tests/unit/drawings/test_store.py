"""Versions of drawings: none is overwritten, half written or lost, whoever saves at the same time or is killed."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from albench.annotation.handed import HandedOut
from albench.drawings.drawing import Drawing
from albench.drawings.first_version import FirstVersions
from albench.drawings.store import ConflictError, Drawings
from albench.errors import InputError
from albench.machine.files import HALF_WRITTEN
from tests.support.annotation_project import make_project
from tests.unit.machine.test_journal import dies_at


@pytest.fixture
def drawings(tmp_path: Path) -> Drawings:
    project = make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction")
    return Drawings(HandedOut.read(project.folder))


def drawn(drawings: Drawings, value: int) -> Drawing:
    return Drawing(version=0, labels=np.full(drawings.shape(1), value, dtype=np.uint16), by="anna", seconds=value)


def newest(drawings: Drawings, annotator: str = "anna") -> Drawing:
    return drawings.read(annotator, 1, lambda: drawn(drawings, 0))


def test_versions_count(drawings: Drawings) -> None:
    assert newest(drawings).version == drawings.newest("anna", 1) == 0
    for number in range(1, 4):
        saved = drawings.save("anna", 1, number - 1, drawn(drawings, number))
        assert saved.version == drawings.newest("anna", 1) == number and saved.saved.endswith("+00:00")
    assert newest(drawings).labels.max() == 3 and newest(drawings, "ben").version == 0
    assert [each.labels.max() for each in drawings.history("anna", 1)] == [1, 2, 3]
    with pytest.raises(ConflictError) as conflict:
        drawings.save("anna", 1, 2, drawn(drawings, 9))
    assert conflict.value.current.version == 3 and conflict.value.current.labels.max() == 3
    assert newest(drawings).labels.max() == 3


def test_old_versions_go(drawings: Drawings) -> None:
    for number in range(1, 56):
        drawings.save("anna", 1, number - 1, drawn(drawings, number % 3))
    assert [each.version for each in drawings.history("anna", 1)] == list(range(6, 56))


def race(drawings: Drawings, name: str, n: int, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    base = 0
    for _ in range(n):
        while True:
            try:
                base = drawings.save("anna", 1, base, drawn(drawings, 1).with_changes(by=name)).version
                break
            except ConflictError as conflict:
                base = conflict.current.version


@pytest.mark.parametrize("links", [True, False])
def test_two_processes(links: bool, drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    context = multiprocessing.get_context("fork")
    start = context.Event()
    names = ["first", "second"]
    processes = [context.Process(target=race, args=(drawings, name, 12, start)) for name in names]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    history = drawings.history("anna", 1)
    assert [each.version for each in history] == list(range(1, 25))
    assert sorted(each.by for each in history) == ["first"] * 12 + ["second"] * 12


def no_links(source: object, target: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), str(source), None, str(target))


@pytest.mark.parametrize("links", [True, False])
def test_without_links(links: bool, drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    drawings.save("anna", 1, 0, drawn(drawings, 1))
    monkeypatch.setattr(Drawings, "_versions", lambda self, annotator, rank: [])  # as one who looked too early
    with pytest.raises(InputError, match="expected versions of a drawing"):
        drawings.save("anna", 1, 0, drawn(drawings, 2))
    monkeypatch.undo()
    assert newest(drawings).labels.max() == 1


@pytest.mark.parametrize("links", [True, False])
def test_killed_at_any_moment(links: bool, drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    drawings.save("anna", 1, 0, drawn(drawings, 1))
    place = drawings.folder / "units" / "anna" / "000001"
    seen, number = set(), 0
    while True:
        before = newest(drawings)
        died = dies_at(
            number,
            lambda base=before.version: drawings.save("anna", 1, base, drawn(drawings, 2)),  # type: ignore[misc]
        )
        after = newest(drawings)
        assert (after.version, int(after.labels.max())) in (
            (before.version, int(before.labels.max())),
            (before.version + 1, 2),
        )
        seen.add(after.version - before.version)
        for path in place.glob(f"{HALF_WRITTEN}*"):
            os.utime(path, (0, 0))
        drawings.save("anna", 1, after.version, drawn(drawings, 1))  # goes on, and cleans up
        assert not list(place.glob(f"{HALF_WRITTEN}*"))
        if not died:
            break
        number += 1
    assert number > 3 and seen == {0, 1}


def test_what_others_are_writing_stays(drawings: Drawings) -> None:
    drawings.save("anna", 1, 0, drawn(drawings, 1))
    place = drawings.folder / "units" / "anna" / "000001"
    (place / f"{HALF_WRITTEN}other").write_text("half")
    drawings.save("anna", 1, 1, drawn(drawings, 1))
    assert (place / f"{HALF_WRITTEN}other").exists()


def test_damage_is_named(drawings: Drawings) -> None:
    drawings.save("anna", 1, 0, drawn(drawings, 1))
    path = drawings.folder / "units" / "anna" / "000001" / "v000000001.json"
    whole = path.read_text()
    for text in ("", whole[:-20], whole.replace('"version": 1', '"version": 2'), "[]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"v000000001\.json: expected"):
            newest(drawings)


@pytest.mark.parametrize("name", ["..", "a/b", "", "a\nb"])
def test_names_lead_nowhere_else(name: str, drawings: Drawings) -> None:
    with pytest.raises(InputError, match="annotator: expected a plain name"):
        drawings.save(name, 1, 0, drawn(drawings, 1))
    with pytest.raises(KeyError):
        drawings.shape(99)


def test_a_full_disk_is_said(drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings.save("anna", 1, 0, drawn(drawings, 1))

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(InputError, match="no space left"):
        drawings.save("anna", 1, 1, drawn(drawings, 2))
    monkeypatch.undo()
    assert newest(drawings).version == 1
    assert not list((drawings.folder / "units" / "anna" / "000001").glob(f"{HALF_WRITTEN}*"))


def test_first_versions_are_what_was_handed_out(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction", audited=[("b", 4)])
    drawings = Drawings(HandedOut.read(project.folder))
    first = FirstVersions(drawings.handed)
    for unit in project.query.units:
        drawing = first.of(unit.rank or 0)
        assert drawing.version == 0 and drawing.status == "open"
        assert (drawing.labels.transpose() == project.handed(unit.case)[project.box(unit)]).all()
        assert (drawing.labels == drawings.handed.ignore).all() == (unit.role == "audit")
    with pytest.raises(KeyError):
        first.of(4)
    next((project.folder / ".handed-out").rglob("b.nii.gz")).write_bytes(b"")
    assert (first.of(3).labels == drawings.handed.ignore).all()  # read already
    with pytest.raises(InputError, match="expected what was handed out"):
        FirstVersions(drawings.handed).of(3)
