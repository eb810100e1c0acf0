"""What the system refuses as files are written: one line that names the file, and nothing half written."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from albench.errors import InputError
from albench.machine.files import atomic_file, write_json
from albench.machine.foreign import read_table
from albench.machine.limits import allow_open_files
from albench.machine.spreadsheet import csv_bytes
from albench.machine.tables import write_parquet
from albench.study.limits import named

REFUSALS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "no space left on the device",
    errno.EACCES: "cannot be written",
    errno.EROFS: "cannot be written",
    errno.EIO: "cannot be written",
    errno.EMFILE: "`ulimit -n` has the limit",
    errno.EFBIG: "`ulimit -f` has the limit",
    errno.EAGAIN: "`ulimit -u` has the limit",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_what_the_system_refuses_names_the_file_and_leaves_the_one_before(number: int, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_json(path, 1)
    with pytest.raises(InputError, match=f"kept.json: .*{REFUSALS[number]}"), atomic_file(path) as part:
        part.write_text("half")
        raise OSError(number, os.strerror(number))
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        raise FileNotFoundError(errno.ENOENT, "none")


# In a process of its own, since a limit of files' sizes cannot be taken back.
LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from albench.errors import InputError
from albench.machine.files import write_array, write_json
from albench.machine.tables import write_parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
folder = Path(sys.argv[1])
rows = np.random.default_rng(0).random((4096, 4))
for write in [
    lambda: write_json(folder / "a.json", rows.tolist()),
    lambda: write_array(rows, folder / "a.npy"),
    lambda: write_parquet(pd.DataFrame(rows), folder / "a.parquet"),
]:
    try:
        write()
    except InputError as error:
        print(error)
"""


def test_every_writer_says_which_file_does_not_fit(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        str(tmp_path / f"a.{kind}") for kind in ("json", "npy", "parquet")
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        FloatingPointError("the loss is nan"),
        OSError(errno.ENOSPC, "No space left on device"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    ],
)
def test_what_a_part_of_a_study_runs_into_names_the_part(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised, named("mine seed 0", tmp_path):
        raise error
    assert str(raised.value).startswith(("mine seed 0: ", f"{tmp_path}: "))


def test_faults_of_ours_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), named("mine", tmp_path):
        raise RuntimeError("shapes do not fit")


def test_open_files_are_raised_to_what_is_allowed_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: found.append(limits))
    for limits in [(1024, 2048), (256, resource.RLIM_INFINITY), (5000, 9000)]:
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limits=limits: limits)
        allow_open_files()
    assert found == [(2048, 2048), (4096, resource.RLIM_INFINITY)]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (40, 40))
    with pytest.raises(InputError, match=r"open files: expected a limit of 64 or more \(`ulimit -n`\), found 40"):
        allow_open_files()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, b"\0" * 99])
def test_tables_that_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet: expected a Parquet table"):
        read_table(tmp_path / "a.parquet")


def test_formulas_are_texts_and_numbers_stay(tmp_path: Path) -> None:
    hostile = ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"]
    harmless = ["-1.5", "+3", "-inf", "a=b", "-", "[/b]", "$x_1$"]
    table = pd.DataFrame({"=name": [*hostile, *harmless], "x": -1.5, "bounds": [[-1, 2]] * 14})
    found = csv_bytes(table).decode()
    for text in hostile:
        assert f"'{text}" in found
    for text in harmless:
        assert f"\n{text},-1.5," in found
    assert found.startswith("'=name,x,bounds\n") and ",-1.5," in found
    assert table["=name"].tolist() == [*hostile, *harmless]  # the table itself is as it was
    write_parquet(table.drop(columns="bounds"), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet")["=name"].tolist() == [*hostile, *harmless]
