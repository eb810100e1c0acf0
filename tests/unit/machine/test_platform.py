"""What becomes of calls that only Linux has, on systems that are made believe here."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from albench import machine
from albench.errors import InputError
from albench.machine import facts, limits, scratch
from albench_core import cores


def test_room_for_an_array_is_written_where_it_cannot_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(scratch, "_BLOCK_BYTES", 16)
    written: list[tuple[int, int]] = []
    write = os.pwrite

    def counted(descriptor: int, data: bytes, offset: int) -> int:
        written.append((offset, len(data)))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", counted)
    array = scratch.empty((3, 3), max_bytes=0)
    assert written == [(0, 16), (16, 16), (32, 4)]
    np.testing.assert_array_equal(array, 0)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        scratch.empty((3, 3), max_bytes=0)


@pytest.mark.parametrize(("system", "unit"), [("linux", 2**10), ("darwin", 1)])
def test_peak_memory_without_proc(system: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(sys, "platform", system)
    usage = SimpleNamespace(ru_maxrss=300 * 2**20 // unit)
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    assert facts.peak_rss_mib() == 300


def test_limits_and_cores_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert cores.n_allowed_cores() == os.cpu_count()
    assert cores.cpu_quota(tmp_path) is None
    assert limits.memory_limit(tmp_path) is None
    assert limits.shared_memory_bytes() is None


def test_windows_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InputError, match="expected Linux or macOS, got Windows"):
        importlib.reload(machine)


WINDOWS = """
import os, sys
from albench.terminal import cli
import albench.data.registry, pandas  # not of the systems below
for name in [name for name in sys.modules if name.startswith(("albench.machine", "albench.data"))]:
    del sys.modules[name]
del os.register_at_fork
sys.platform = "win32"
sys.modules["fcntl"] = sys.modules["resource"] = None
cli.main(["datasets", "verify", "phantom"])
"""


def test_the_command_refuses_windows_in_a_line() -> None:
    done = subprocess.run([sys.executable, "-c", WINDOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("al-bench: expected Linux or macOS, got Windows")
    assert done.stderr.count("\n") == 1
