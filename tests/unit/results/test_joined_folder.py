"""A folder that is shared or held alone, with locks and on file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.machine.claims import ClaimFolder
from albench.machine.files import read_json, write_json
from albench.results import claims as module
from albench.results.claims import Claims
from albench.results.folder import joined_folder, output_folder
from albench.results.layout import RunFolder


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: object, how: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "lockf", refuse)


def test_several_join(tmp_path: Path) -> None:
    with joined_folder(tmp_path, 60) as first, joined_folder(tmp_path, 60):
        assert len(first.joined()) == 2
    assert Claims(RunFolder(tmp_path), 60).joined() == []


def test_alone_means_without_those_that_joined(tmp_path: Path) -> None:
    message = r"in use by processes that joined it, one on .*forgotten after 60 s"
    with joined_folder(tmp_path, 60), pytest.raises(InputError, match=message):
        output_folder(tmp_path, fresh=False).__enter__()
    with output_folder(tmp_path, fresh=False):
        assert not (tmp_path / ".claims").exists()


def test_a_killed_one_that_joined_is_forgotten_after_its_time(tmp_path: Path) -> None:
    folder = Claims(RunFolder(tmp_path), 60).on("phantom", "random", 0)
    assert folder.take() is not None
    with pytest.raises(InputError, match="in use by processes that joined it"):
        output_folder(tmp_path, fresh=False).__enter__()
    then = time.time() - 61
    os.utime(folder.path / "claim-1", (then, then))
    with output_folder(tmp_path, fresh=False):
        pass


def test_without_locks_one_is_alone_by_a_claim(no_locks: None, tmp_path: Path) -> None:
    with output_folder(tmp_path, fresh=False):
        for enter in (output_folder(tmp_path, fresh=False), joined_folder(tmp_path, 60)):
            with pytest.raises(InputError, match=f"in use by another al-bench, .*process {os.getpid()}"):
                enter.__enter__()
        write_json(tmp_path / "results.json", 1)
    message = "in use by processes that joined it"
    with joined_folder(tmp_path, 60), joined_folder(tmp_path, 60), pytest.raises(InputError, match=message):
        output_folder(tmp_path, fresh=False).__enter__()
    with output_folder(tmp_path, fresh=False):
        pass


def test_other_errors_of_locks_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: object, how: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(OSError, match="broken"):
        output_folder(tmp_path, fresh=False).__enter__()


def test_other_versions_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def have(torch: str) -> None:
        values = {"albench": "0.2", "nnunetv2": "2.6", "torch": torch, "numpy": torch}
        monkeypatch.setattr(module, "versions", lambda: json.dumps(values))

    claims = Claims(RunFolder(tmp_path), 60)
    have("2.8.0+cu128")
    claims.require_versions()
    have("2.8.0+cpu")
    claims.require_versions()
    have("2.9.0")
    with pytest.raises(InputError, match=r"expected torch 2\.8\.0, .* found torch 2\.9\.0 on ") as refused:
        claims.require_versions()
    assert "\n" not in str(refused.value)
    assert read_json(tmp_path / ".claims" / "versions.json")["torch"] == "2.8.0"


def test_claims_of_a_data_set_called_as_ours_do_not_meet(tmp_path: Path) -> None:
    claims = Claims(RunFolder(tmp_path), 60)
    folders = [claims.settings, claims.report, claims.on("settings", "joined", 0), claims.on("report", "work", 0)]
    assert len({folder.path for folder in folders}) == 4
    assert all(isinstance(folder, ClaimFolder) and folder.take() for folder in folders)
    assert len(claims.at_work()) == 2 and claims.joined() == []
