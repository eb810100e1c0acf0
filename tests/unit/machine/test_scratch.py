"""Arrays in memory or in a nameless file, with the same content either way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from albench.errors import InputError
from albench.machine import scratch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(scratch, "_chosen", None)
    return tmp_path


def mapped(array: np.ndarray) -> bool:
    """Whether a memory map is at the bottom of the array."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def test_above_the_bound_an_array_is_mapped_from_a_file_that_no_folder_lists(folder: Path) -> None:
    small, large = scratch.empty((5, 2), max_bytes=40), scratch.empty((5, 3), max_bytes=40)
    assert not mapped(small) and mapped(large)
    assert type(large) is np.ndarray and large.shape == (5, 3) and large.dtype == small.dtype == np.float32
    large[:] = np.arange(15).reshape(5, 3)
    np.testing.assert_array_equal(large.sum(axis=0), [30, 35, 40])
    assert list(folder.iterdir()) == []


def test_an_array_without_entries_needs_no_file() -> None:
    assert scratch.empty((0, 3), max_bytes=-1).shape == (0, 3)


def test_a_full_disk_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        scratch.empty((5, 3), max_bytes=40)


@pytest.mark.parametrize("max_bytes", [0, 10**6])
@pytest.mark.parametrize("block_bytes", [1, 10**6])
def test_rows_are_those_of_plain_indexing(max_bytes: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "MAX_BYTES", max_bytes)
    monkeypatch.setattr(scratch, "_BLOCK_BYTES", block_bytes)
    array = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    rows = np.array([3, 3, 19, 0, 7], dtype=np.int64)
    taken = scratch.take(array, rows)
    assert mapped(taken) == (max_bytes == 0)
    np.testing.assert_array_equal(taken, array[rows])


def test_a_stack_gives_back_what_was_put_on_it() -> None:
    with scratch.Stack(2, np.int32) as stack:
        first = stack.append(np.array([[1, 2], [3, 4]], dtype=np.int32))
        nothing = stack.append(np.empty((0, 2), dtype=np.int32))
        last = stack.append(np.array([[5, 6, 7], [8, 9, 0]], dtype=np.int32).T[:, ::-1])  # not contiguous
        rows = stack.array()
    np.testing.assert_array_equal(rows[first], [[1, 2], [3, 4]])
    assert rows[nothing].shape == (0, 2)
    np.testing.assert_array_equal(rows[last], [[8, 5], [9, 6], [0, 7]])
    assert mapped(rows) and not rows.flags.writeable


def test_a_stack_of_nothing_is_an_array_without_rows() -> None:
    with scratch.Stack(2, np.int32) as stack:
        assert stack.array().shape == (0, 2)


def test_a_stack_refuses_rows_of_another_kind() -> None:
    with scratch.Stack(2, np.int32) as stack, pytest.raises(ValueError, match=r"expected int32 \(n, 2\), got int64"):
        stack.append(np.zeros((1, 2), dtype=np.int64))


def test_large_files_go_where_a_disk_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scratch.scratch_folder() == tmp_path  # TMPDIR
    monkeypatch.delenv("TMPDIR")
    assert scratch.scratch_folder() == Path("/var/tmp")
    scratch.use_folder(tmp_path / "later")
    assert scratch.scratch_folder() == Path("/var/tmp")
    (tmp_path / "later").mkdir()
    assert scratch.scratch_folder() == tmp_path / "later"
    scratch.use_folder(None)
    monkeypatch.setattr(os, "access", lambda *args: False)
    assert scratch.scratch_folder() != Path("/var/tmp")


def test_whoever_chose_a_folder_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB", "17")
    scratch.use_folder(tmp_path / "results")
    (tmp_path / "results").mkdir()
    assert scratch.scratch_folder() == tmp_path
    scratch.use_scratch(tmp_path / "disk" / "$JOB")
    assert scratch.scratch_folder() == Path(tempfile.mkdtemp()).parent == tmp_path / "disk" / "17"
    told = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
    assert subprocess.run(told, check=True, capture_output=True, text=True).stdout == f"{tmp_path}/disk/17\n"


def test_a_scratch_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--scratch /x/\$NO_JOB: expected variables that are set"):
        scratch.use_scratch(Path("/x/$NO_JOB"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--scratch .*file/below: cannot be written to \(Not a directory: "):
        scratch.use_scratch(tmp_path / "file" / "below")
