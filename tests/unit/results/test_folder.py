"""A results folder that may not be written to is named, with whose it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from albench.config import StudyConfig
from albench.errors import InputError
from albench.machine import removal
from albench.protocols import load_protocol
from albench.results.folder import claim_folder, output_folder
from albench.results.layout import RESERVED, RunFolder
from albench.results.settings import Settings


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EPERM, errno.EROFS])
@pytest.mark.parametrize("there", [True, False])
def test_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int, there: bool) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason), str(path))

    out = tmp_path if there else tmp_path / "a/b"
    monkeypatch.setattr(Path, "touch" if there else "mkdir", refuse)
    message = f"--out {out}: expected a folder that user {os.geteuid()} may write to, found {tmp_path} of user"
    with pytest.raises(InputError) as found, output_folder(out, fresh=False):
        pass
    assert str(found.value).startswith(message)
    assert os.strerror(reason) in str(found.value)


def test_other_errors_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "touch", fill)
    with pytest.raises(OSError, match="full"), output_folder(tmp_path, fresh=False):
        pass


def test_the_folder_is_made(tmp_path: Path) -> None:
    with output_folder(tmp_path / "a/b", fresh=False):
        assert (tmp_path / "a/b").is_dir()


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name != ".lock")


def test_fresh_on_a_mount_point_sets_aside_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's /results can be neither renamed nor have anything beside it."""
    mounts = tmp_path / "mountinfo"
    out = tmp_path / "out"
    out.mkdir()
    mounts.write_text(f"36 35 98:0 / {out} rw - ext4 /dev/sda rw\n")
    monkeypatch.setattr(removal, "_MOUNTS", mounts)
    for number in (1, 2):
        (out / "results.csv").write_text(str(number))
        with output_folder(out, fresh=True) as aside:
            assert aside == out / f"set-aside/results-{number}"
            assert (aside / "results.csv").read_text() == str(number)
            assert entries(out) == ["set-aside"] and RunFolder(out).datasets() == []
            assert claim_folder(out, [config("d")]) == []
    assert entries(out / "set-aside") == ["results-1", "results-2"]


def test_what_is_set_aside_is_no_data_set(tmp_path: Path) -> None:
    for place in ("d/_shared/seed-0", "set-aside/_shared/seed-0", "report/_shared/seed-0"):
        (tmp_path / place).mkdir(parents=True)
    assert RunFolder(tmp_path).datasets() == ["d"]


@pytest.mark.parametrize("where", [".", "..", "link"])
def test_fresh_of_the_current_folder_or_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    real = tmp_path / "real"
    (real / "below").mkdir(parents=True)
    (real / "results.csv").write_text("first")
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir({".": real, "..": real / "below", "link": tmp_path}[where])
    with output_folder(Path(where), fresh=True) as aside:
        assert aside == tmp_path / "real.old-1" and entries(real) == []
    assert (aside / "results.csv").read_text() == "first" and (tmp_path / "link").is_symlink()


def test_a_mount_point_in_the_folder_is_named_and_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out/report").mkdir(parents=True)
    (tmp_path / "out/a").touch()
    (tmp_path / "mountinfo").write_text(f"36 35 98:0 / {tmp_path}/out/report rw - ext4 /dev/sda rw\n")
    monkeypatch.setattr(removal, "_MOUNTS", tmp_path / "mountinfo")
    with (
        pytest.raises(InputError, match=r"--fresh: .*mount point"),
        output_folder(tmp_path / "out", fresh=True),
    ):
        pass
    assert entries(tmp_path / "out") == ["a", "report"]


def config(dataset: str, rounds: int = 3) -> StudyConfig:
    return StudyConfig(
        dataset=dataset,
        dataset_checksum="0",
        trainer="fake",
        device="cpu",
        protocol=load_protocol("quick", rounds=rounds),
    )


def test_a_study_that_finished_nothing_is_set_aside_for_other_settings(tmp_path: Path) -> None:
    claim_folder(tmp_path, [config("d")])
    (tmp_path / "d/mine").mkdir(parents=True)
    (tmp_path / "d/mine/notes.txt").write_text("mine")
    assert claim_folder(tmp_path, [config("d", rounds=4)]) == [tmp_path / "set-aside/d-1"]
    assert (tmp_path / "set-aside/d-1/mine/notes.txt").read_text() == "mine"
    assert entries(tmp_path / "d") == ["settings.json"]
    assert Settings.read(RunFolder(tmp_path)).datasets == ["d"]


HOSTILE = ["..", ".", "", " ", "a/b", "../x", "/etc", "a\0b", "a\nb", "\x1b[2J", "\udc80", "x" * 300, "ä" * 101]


@pytest.mark.parametrize("name", [*HOSTILE, *sorted(RESERVED)])
def test_hostile_names_of_data_sets_remove_nothing(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    (tmp_path / "neighbour").write_text("theirs")
    out.mkdir()
    for rounds in (3, 4):
        with pytest.raises(InputError, match="data set: expected a "):
            claim_folder(out, [config(name, rounds)])
    assert (tmp_path / "neighbour").read_text() == "theirs"


@pytest.mark.parametrize("name", ["-", "--out", "full", "...", "..d", "~", "*", "$HOME", "x" * 200])
def test_names_that_only_look_odd_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    claim_folder(tmp_path, [config(name)])
    assert claim_folder(tmp_path, [config(name, 3)]) == [], "nothing but settings was there"
    (tmp_path / name / "_shared").mkdir()
    assert claim_folder(tmp_path, [config(name, 4)]) == [tmp_path / "set-aside" / f"{name}-1"]
    assert entries(tmp_path) == sorted(["config.json", "set-aside", name])
    assert entries(tmp_path / name) == ["settings.json"]
