"""A results folder that may not be written to is named, with whose it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.results.folder import output_folder


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
