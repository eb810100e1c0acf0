"""`al-bench doctor` as a program, on machines that are odd."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from albench.doctor import examine
from albench.doctor.finding import Finding
from albench.terminal import cli

NO_PROC = """
import builtins, io, os, pathlib, sys
from albench.terminal.cli import main
real = io.open
def refuse(file, *arguments, **named):
    if str(file).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "No such file or directory", str(file))
    return real(file, *arguments, **named)
builtins.open = io.open = refuse
main(["doctor", "--json", "--out", sys.argv[1]])
"""


def doctor(out: Path, *, program: str | None = None, environment: dict[str, str] | None = None) -> dict[str, object]:
    command = [sys.executable, "-m", "albench", "doctor", "--json", "--out", str(out)]
    if program is not None:
        command = [sys.executable, "-c", program, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert "Traceback" not in done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1)
    return answer


def test_json_has_every_finding_with_its_cure(tmp_path: Path) -> None:
    found = doctor(tmp_path)["findings"]
    assert isinstance(found, list)
    assert all(set(each) == {"name", "state", "found", "cure"} for each in found)
    assert all((each["state"] == "ok") == (each["cure"] == "") for each in found)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, {"HOME": "/nowhere", "TMPDIR": "/nowhere", "ALBENCH_DATA": "/nowhere"}])
def test_without_a_home(environment: dict[str, str], tmp_path: Path) -> None:
    found = doctor(tmp_path, environment=environment)["findings"]
    assert len(found) > 10  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_proc(tmp_path: Path) -> None:
    answer = doctor(tmp_path, program=NO_PROC)
    assert len(answer["findings"]) > 8  # type: ignore[arg-type]


def test_for_people_it_is_a_line_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("cores", "8 of 8"), Finding("results", "[red]/x[/red]: full", "free some space")]
    monkeypatch.setattr(examine, "examine", lambda out: iter(found))
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    assert stop.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok       cores: 8 of 8",
        "WARNING  results: [red]/x[/red]: full",
        "         cure: free some space",
    ]
    monkeypatch.setattr(examine, "examine", lambda out: iter(found[:1]))
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    assert stop.value.code == 0
