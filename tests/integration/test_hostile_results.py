"""Results folders of somebody else: every command reads them or refuses in one line, and runs nothing in them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from albench.check.baseline import summarise
from albench.data import Dataset
from albench.errors import ChainsFailedError, InputError
from albench.progress import Silent
from albench.report.galleries import galleries
from albench.report.inputs import read_inputs
from albench.results.stages import load_stage
from albench.results.tables import read_results, read_rounds
from albench.study import run as run_module
from albench.study.export import export_round
from albench.study.forecast import forecast_studies
from albench.study.request import RunRequest
from albench.study.run import Resolved
from albench.study.workers import run_studies
from tests.support.fake_study import fake_protocol, fake_study
from tests.support.hostile import (
    bombs,
    files_of,
    sign,
)

STRATEGIES = ("entropy",)
pytestmark = pytest.mark.timeout(120)  # what waits for a pipe, or reads a device to its end, fails


@pytest.fixture(scope="module")
def made(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two rounds, with plans and a model that can be exported."""
    out = tmp_path_factory.mktemp("made") / "out"
    run_studies([fake_study(phantom, out, fake_protocol(rounds=2))], STRATEGIES, range(1), 1)
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out", symlinks=True))


@pytest.fixture
def commands(phantom: Dataset, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """What reads a results folder, as the command line calls it; trainings are fake."""

    def resolve(request: RunRequest, reporter: object) -> Resolved:
        study = fake_study(phantom, out.with_name("other"), fake_protocol(rounds=2))
        return Resolved(request, (replace(study, out=out, given=str(phantom.root)),), 1)

    monkeypatch.setattr(run_module, "resolve", resolve)
    monkeypatch.setattr(run_module, "build_report", lambda folder: folder)
    request = RunRequest((str(phantom.root),), strategy=STRATEGIES, out=out)
    study = {"dataset": phantom.name, "strategy": STRATEGIES[0], "seed": 0, "round_number": None}
    return {
        "report": lambda: galleries(read_inputs([out])),
        "check": lambda: summarise(out),
        "export": lambda: export_round(out, results=out.with_name("to"), **study),  # type: ignore[arg-type]
        "run": lambda: run_module.run(request),
    }


def attempt(command: Callable[[], object]) -> bool:
    """Whether a command was refused; anything but one line fails."""
    try:
        command()
    except ChainsFailedError as error:
        assert isinstance(error.__cause__, ExceptionGroup)
        assert len(str(error).splitlines()) == len(error.__cause__.exceptions) + 1
        assert all(isinstance(each, InputError) for each in error.__cause__.exceptions)
        return True
    except (InputError, OSError) as error:
        assert "\n" not in str(error) and not isinstance(error, TimeoutError)
        return True
    return False


def plant(file: Path, content: bytes, out: Path) -> None:
    file.write_bytes(content)
    sign(out)


def fitting(file: Path) -> str:
    return {".npz": "npz", ".npy": "npy", ".pth": "torch"}.get(file.suffix, "pickle")


def test_what_would_run_does_where_it_is_unpickled(tmp_path: Path) -> None:
    """The bombs are none that never go off."""
    kinds = bombs(tmp_path / "canary")
    for kind in ("torch", "old torch", "npy", "npz", "pickle"):
        file = tmp_path / kind
        file.write_bytes(kinds[kind])
        if kind == "pickle":
            pickle.loads(kinds[kind])
        elif "torch" in kind:
            torch.load(file, weights_only=False)
        else:
            found = np.load(file, allow_pickle=True)
            found["context"] if kind == "npz" else found
        (tmp_path / "canary").rmdir()


@pytest.mark.slow
def test_a_pickle_in_place_of_any_file_is_never_run(
    out: Path, made: Path, commands: dict[str, Callable[[], object]], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    kinds, tried = bombs(canary), 0
    for file in list(files_of(out)):
        whole = file.read_bytes()
        for command in commands.values():
            plant(file, kinds[fitting(file)], out)
            attempt(command)
            tried += 1
            assert not canary.exists(), file
            shutil.rmtree(out)
            shutil.copytree(made, out, symlinks=True)
        assert file.read_bytes() == whole
    assert tried > 60


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "kind",
    [
        "pickle",
        "torch",
        *(pytest.param(kind, marks=pytest.mark.long) for kind in ("blosc2", "npy", "npz", "old torch", "protocol 0")),
    ],
)
def test_every_kind_of_pickle_in_place_of_any_file(
    out: Path, made: Path, commands: dict[str, Callable[[], object]], tmp_path: Path, kind: str
) -> None:
    canary = tmp_path / "canary"
    content = bombs(canary)[kind]
    for file in list(files_of(out)):
        for command in commands.values():
            plant(file, content, out)
            attempt(command)
            assert not canary.exists(), file
            shutil.rmtree(out)
            shutil.copytree(made, out, symlinks=True)


KINDS = ["link", "dangling", "device", "pipe", "socket"]


def replace_by(path: Path, kind: str, outside: Path) -> None:
    """Put something that is no file in place of a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # names of sockets are short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)
    else:
        path.symlink_to({"link": outside, "dangling": outside / "none", "device": "/dev/zero"}[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_every_command(
    out: Path, made: Path, commands: dict[str, Callable[[], object]], tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    before = {path: path.stat().st_mtime_ns for path in (outside, outside / "file")}
    places = [*files_of(out), *(path for path in sorted(out.rglob("*")) if path.is_dir())]
    assert len(places) > 25
    request = RunRequest(("phantom",), out=out)
    commands["plan"] = lambda: forecast_studies(request, Silent())
    for place in places:
        replace_by(place, kind, outside / "file" if place.is_file() and kind == "link" else outside)
        for name, command in commands.items():
            assert attempt(command), f"{name} took {place}"
        shutil.rmtree(out)
        shutil.copytree(made, out, symlinks=True)
    assert {path: path.stat().st_mtime_ns for path in (outside, outside / "file")} == before
    assert (outside / "file").read_text() == "theirs" and [p.name for p in outside.iterdir()] == ["file"]


def test_what_nothing_reads_may_hold_links(out: Path, commands: dict[str, Callable[[], object]]) -> None:
    for name in ("set-aside", ".cache"):
        (out / name).mkdir()
        (out / name / "link").symlink_to("/etc")
    assert not attempt(commands["report"]) and not attempt(commands["check"]) and not attempt(commands["run"])


def test_a_lock_that_is_a_link_is_not_written_through(
    out: Path, commands: dict[str, Callable[[], object]], tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("theirs")
    (out / ".lock").unlink(missing_ok=True)
    (out / ".lock").symlink_to(tmp_path / "victim")
    assert attempt(commands["run"])
    assert (tmp_path / "victim").read_text() == "theirs"


DEEP = '{"a":' * 5000 + "1" + "}" * 5000


@pytest.mark.parametrize(
    "text", [DEEP, "[" * 100_000, "NaN", "1e999", "9" * 5000, '{"units": 1e400}', "\x00", "{}", "[]"]
)
def test_hostile_json_is_one_line(out: Path, made: Path, commands: dict[str, Callable[[], object]], text: str) -> None:
    for file in [path for path in files_of(out) if path.suffix == ".json" and "stage" not in path.name]:
        plant(file, text.encode(), out)
        for command in commands.values():
            attempt(command)
        shutil.rmtree(out)
        shutil.copytree(made, out, symlinks=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("index", 10**30),
        ("index", -1),
        ("score", float("inf")),
        ("score", 1e308),
        ("case", "../../etc"),
        ("case", "\x1b[2J"),
        ("start", [10**30] * 3),
        ("seed", 10**40),
        ("round", -5),
        ("strategy", "../x"),
        ("dataset", "/etc"),
    ],
)
def test_hostile_queries_are_read_or_refused(
    out: Path, commands: dict[str, Callable[[], object]], field: str, value: Any
) -> None:
    (query,) = out.glob("*/entropy/seed-0/round-1/query.json")
    content = json.loads(query.read_text())
    (content if field in content else content["units"][0])[field] = value
    plant(query, json.dumps(content).encode(), out)
    for name in ("report", "check", "export"):
        attempt(commands[name])


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../../../secret", "../../../../x", "/dev/zero", "..", "a\0b"])
@pytest.mark.parametrize("kind", ["files", "inputs"])
def test_a_record_that_names_files_elsewhere_is_no_record(
    out: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = next(out.glob("*/entropy/seed-0/round-1"))
    record = load_stage(here, "query")
    assert record is not None
    record.model_copy(update={kind: {name: "0"}}).write(here, "query")
    monkeypatch.setattr("albench.results.stages.sha256", pytest.fail)
    assert load_stage(here, "query") is None


def test_settings_that_would_have_a_reader_count_for_ever(out: Path, commands: dict[str, Callable[[], object]]) -> None:
    settings = json.loads((out / "config.json").read_text())
    for folds in (10**12, -1, "x", [], 1.5):
        for study in settings["datasets"].values():
            study["protocol"]["training"]["folds"] = folds
        (out / "config.json").write_text(json.dumps(settings))
        assert attempt(commands["export"])


def test_a_table_of_a_few_kilobytes_that_fills_the_memory_is_refused(out: Path) -> None:
    dictionary = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**5, np.int32)), pa.array(["x" * 10**6]))
    table = pa.table({"case": dictionary})
    pq.write_table(table, out / "results.parquet", store_schema=False, compression="zstd")
    assert (out / "results.parquet").stat().st_size < 10**5
    with pytest.raises(InputError, match=r"results\.parquet: .*more than are read"):
        read_results(out)
    zeros = pa.table({f"c{i}": pa.array(np.zeros(3 * 10**6, np.int8)) for i in range(100)})
    pq.write_table(zeros, out / "rounds.parquet", compression="zstd")
    with pytest.raises(InputError, match=r"rounds\.parquet: .*more than are read"):
        read_rounds(out)


@pytest.mark.slow
def test_pictures_that_fill_the_memory_are_refused(out: Path, commands: dict[str, Callable[[], object]]) -> None:
    gallery = next(out.glob("*/entropy/seed-0/round-1/gallery.npz"))
    large = np.zeros((20_000, 20_000), np.uint8)
    for planes in (large, np.zeros((0, 0), np.uint8), np.zeros((4, 4)), np.zeros(4, np.uint8)):
        names = ("image", "prediction", "reference", "uncertainty")
        np.savez_compressed(gallery, **{f"{name}_0": planes for name in names})
        sign(out)
        assert attempt(commands["report"])
