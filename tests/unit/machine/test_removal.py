"""Nothing outside the folder that is named is deleted or moved, and what may be somebody's work is not deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.machine import removal
from albench.machine.files import build_folder, lock_file
from albench.machine.removal import is_mounted, remove_tree, set_aside


@pytest.fixture
def neighbour(tmp_path: Path) -> Path:
    """A file beside the folder that things are removed from."""
    (tmp_path / "out/study/seed-0").mkdir(parents=True)
    (tmp_path / "out/study/seed-0/model").write_text("ours")
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour/file").write_text("theirs")
    return tmp_path / "neighbour/file"


@pytest.mark.parametrize("change", [remove_tree, set_aside])
@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "out",
        "out/..",
        "out/.",
        "out/study/..",
        "out/study/../..",
        "out/study/../../neighbour",
        "neighbour",
    ],
)
def test_what_is_not_inside_stays(tmp_path: Path, neighbour: Path, change: object, path: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    for target in (tmp_path / path, tmp_path / "out/study/.." / path):
        with pytest.raises(InputError, match="expected"):
            change(target, tmp_path / "out")  # type: ignore[operator]
    assert sorted(tmp_path.rglob("*")) == before and neighbour.read_text() == "theirs"


def test_folders_above_the_present_one(tmp_path: Path, neighbour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    above = Path("../out")
    remove_tree(above / "study/seed-0", above)
    assert set_aside(above / "study", above) == above / "set-aside/study-1"
    for path in (Path("../neighbour"), above / "../neighbour", Path("..")):
        with pytest.raises(InputError, match="nothing was"):
            remove_tree(path, above)
    build_folder(above / "made", lambda temporary: (temporary / "file").touch())
    assert sorted(path.name for path in above.iterdir()) == [".made.lock", "made", "set-aside"]
    assert neighbour.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../out", "a\nb", "x" * 300])
def test_hostile_names_are_refused(tmp_path: Path, neighbour: Path, name: str) -> None:
    with pytest.raises(InputError):
        remove_tree(Path(f"{tmp_path}/out/{name}"), tmp_path / "out")
    assert neighbour.exists()


def test_a_link_is_removed_and_what_it_points_to_is_not(tmp_path: Path, neighbour: Path) -> None:
    out = tmp_path / "out"
    (out / "link").symlink_to(neighbour.parent)
    (out / "study/inner").symlink_to(neighbour.parent)
    remove_tree(out / "link", out)
    remove_tree(out / "study", out)
    assert list(out.iterdir()) == [] and neighbour.read_text() == "theirs"


def test_a_link_on_the_way_is_resolved(tmp_path: Path, neighbour: Path) -> None:
    (tmp_path / "out/link").symlink_to(neighbour.parent)
    with pytest.raises(InputError, match="to lie inside"):
        remove_tree(tmp_path / "out/link/file", tmp_path / "out")
    assert neighbour.exists()


def test_nothing_there_is_nothing_to_remove(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none", tmp_path)


@pytest.mark.parametrize("mounted", ["out/study", "out/study/seed-0", "out/stu dy"])
def test_mount_points_stay(tmp_path: Path, neighbour: Path, monkeypatch: pytest.MonkeyPatch, mounted: str) -> None:
    (tmp_path / mounted).mkdir(exist_ok=True)
    mounts = tmp_path / "mountinfo"
    escaped = str(tmp_path / mounted).replace(" ", "\\040")
    mounts.write_text(f"36 35 98:0 /mnt1 {escaped} rw,noatime master:1 - ext3 /dev/root rw\n")
    monkeypatch.setattr(removal, "_MOUNTS", mounts)
    assert is_mounted(tmp_path / mounted) and not is_mounted(tmp_path / "out")
    top = tmp_path / "out" / Path(mounted).parts[1]
    for change in (remove_tree, set_aside):
        with pytest.raises(InputError, match="mounted"):
            change(top, tmp_path / "out")
    assert (tmp_path / "out/study/seed-0/model").exists()


def test_a_home_folder_stays(tmp_path: Path, neighbour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("out/study", "out/study/seed-0"):
        monkeypatch.setenv("HOME", str(tmp_path / home))
        with pytest.raises(InputError, match="home"):
            remove_tree(tmp_path / "out/study", tmp_path / "out")
    assert (tmp_path / "out/study/seed-0/model").exists()


def test_what_is_set_aside_keeps_its_name_and_is_never_replaced(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "study").mkdir()
        (tmp_path / "study/file").write_text(str(number))
        assert set_aside(tmp_path / "study", tmp_path) == tmp_path / f"set-aside/study-{number}"
    assert [(tmp_path / f"set-aside/study-{n}/file").read_text() for n in (1, 2)] == ["1", "2"]


def test_a_link_in_place_of_the_folder_for_it_is_not_followed(tmp_path: Path, neighbour: Path) -> None:
    (tmp_path / "out/set-aside").symlink_to(neighbour.parent)
    with pytest.raises(InputError, match="set aside"):
        set_aside(tmp_path / "out/study", tmp_path / "out")
    assert [path.name for path in neighbour.parent.iterdir()] == ["file"]


def test_only_the_own_rests_of_a_killed_builder_are_removed(tmp_path: Path) -> None:
    """A name may hold signs that stand for any name."""
    own, other = tmp_path / ".[a]*.building-1", tmp_path / ".ab.building-1"
    own.mkdir()
    other.mkdir()
    build_folder(tmp_path / "[a]*", lambda folder: None)
    assert other.is_dir() and not own.exists()


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_is_no_lock_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    lock, victim = tmp_path / ".lock", tmp_path / "victim"
    if kind == "link":
        victim.write_text("theirs")
    if kind in ("link", "dangling"):
        lock.symlink_to(victim)
    elif kind == "folder":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    with pytest.raises(InputError, match="expected a lock file"):
        lock_file(lock)
    assert victim.exists() == (kind == "link") and (kind != "link" or victim.read_text() == "theirs")
