"""Several files change together or not at all, whatever call the process dies in."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.machine.files import write_json
from albench.machine.journal import WORKSPACE, changing, settle

FATAL = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "symlink", "link")


def snapshot(root: Path) -> dict[str, object]:
    """Every path below `root`: content of files, targets of links, None for folders."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def make_old(root: Path) -> None:
    (root / "kept").mkdir(parents=True)
    (root / "kept/a").write_text("old a")
    (root / "kept/b").write_text("old b")
    (root / "gone").mkdir()
    (root / "gone/inner").write_text("old")
    (root / "link").symlink_to("kept/a")


def change(root: Path) -> None:
    with changing(root) as changes:
        changes.put("kept/a").write_text("new a")
        changes.put("made/deep/c").write_text("new c")
        changes.put("link").symlink_to("kept/b")
        folder = changes.put(f"{WORKSPACE}/queries/q")
        folder.mkdir()
        (folder / "one").write_text("1")
        changes.remove("kept/b")
        changes.remove("gone/inner")
        changes.remove_folder("gone")


def dies_at(number: int, work: Callable[[], None]) -> bool:
    """Run `work` in a fork that ends, as by kill -9, before its call `number` that changes files; whether it died."""
    child = os.fork()
    if child == 0:
        left = [number]

        def fatal(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return real(*args, **kwargs)

            return call

        for name in FATAL:
            setattr(os, name, fatal(getattr(os, name)))
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


@pytest.mark.slow
def test_old_or_new_after_every_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a moment to die at, and no more
    make_old(tmp_path / "before")
    make_old(tmp_path / "after")
    change(tmp_path / "after")
    before, after = snapshot(tmp_path / "before"), snapshot(tmp_path / "after")
    assert after["kept/a"] == b"new a" and after["made/deep/c"] == b"new c" and "gone" not in after
    seen = set()
    number = 0
    while True:
        root = tmp_path / f"at-{number}"
        make_old(root)
        died = dies_at(number, lambda root=root: change(root))  # type: ignore[misc]
        # and the one that settles may be killed, too
        dies_at(number % 7, lambda root=root: settle(root))  # type: ignore[misc]
        settle(root)
        found = snapshot(root)
        assert found in (before, after), number
        seen.add(found == after)
        if not died:
            break
        number += 1
    assert number > 20
    assert seen == {True, False}


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    make_old(tmp_path / "root")
    before = snapshot(tmp_path / "root")
    with pytest.raises(RuntimeError, match="no"), changing(tmp_path / "root") as changes:
        changes.put("kept/a").write_text("new")
        raise RuntimeError("no")
    assert snapshot(tmp_path / "root") == before


def test_links_on_the_way_are_refused(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    make_old(root)
    other.mkdir()
    (root / "elsewhere").symlink_to(other)
    with pytest.raises(InputError, match="expected a folder, found a link"), changing(root) as changes:
        changes.put("elsewhere/a").write_text("new")
    assert list(other.iterdir()) == []
    (root / WORKSPACE).symlink_to(other)
    with pytest.raises(InputError, match="expected a folder, found a link"), changing(root):
        pass
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(
    "target", ["../escaped", "/etc/escaped", "a/../../escaped", ".", "", f"{WORKSPACE}/incoming/x", "a//b", "a\0b"]
)
def test_a_journal_leads_nowhere_else(target: str, tmp_path: Path) -> None:
    """Raw data may come from others, a journal in them as well."""
    root = tmp_path / "root"
    make_old(root)
    (root / WORKSPACE / "incoming/files").mkdir(parents=True)
    (root / WORKSPACE / "incoming/files/0-x").write_text("theirs")
    step = {"do": "put", "target": target}
    write_json(root / WORKSPACE / "incoming/journal.json", {"format": 1, "steps": [step]})
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match="expected the journal of a change"):
        settle(root)
    assert snapshot(tmp_path) == before


def test_a_journal_removes_no_link_target(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    make_old(root)
    other.mkdir()
    (other / "precious").write_text("1")
    (root / "elsewhere").symlink_to(other)
    (root / WORKSPACE / "incoming/files").mkdir(parents=True)
    for target in ("elsewhere/precious", "elsewhere"):
        step = {"do": "remove", "target": target}
        write_json(root / WORKSPACE / "incoming/journal.json", {"format": 1, "steps": [step]})
        if target == "elsewhere":
            settle(root)
        else:
            with pytest.raises(InputError, match="found a link"):
                settle(root)
        assert (other / "precious").read_text() == "1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    make_old(tmp_path / "root")
    (tmp_path / "root").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(InputError, match="cannot be written"), changing(tmp_path / "root"):
        pass
