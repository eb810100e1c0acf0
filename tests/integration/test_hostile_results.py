"""Results folders of somebody else: every command reads them or refuses in one line, and runs nothing in them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from albench.check.baseline import summarise
from albench.data import Dataset
from albench.errors import InputError
from albench.machine.files import write_json
from albench.progress import Silent
from albench.report.galleries import galleries
from albench.report.inputs import read_inputs
from albench.results.stages import load_stage, run_stage
from albench.results.tables import read_results, read_rounds
from albench.study import run as run_module
from albench.study.export import export_round
from albench.study.forecast import forecast_studies
from albench.study.request import RunRequest
from albench.study.run import Resolved
from albench.study.workers import run_studies
from albench.training.checkpoint import read_checkpoint
from albench.training.export import prepared_in
from tests.support.fake_study import fake_protocol, fake_study
from tests.support.hostile import (
    DESCRIPTION,
    PLANS,
    Bomb,
    bombs,
    changed,
    files_of,
    hostile_plans,
    planned,
    sign,
    write_model,
)

STRATEGIES = ("entropy",)
TOO_LONG_S = 60


@pytest.fixture(autouse=True)
def never_long() -> Iterator[None]:
    """What waits for a pipe, or reads a device to its end, fails."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {TOO_LONG_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(TOO_LONG_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


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
        return Resolved(request, (type(study)(study.dataset, study.config, out, study.make_trainer),), 1)

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
@pytest.mark.parametrize("kind", ["blosc2", "npy", "npz", "old torch", "pickle", "protocol 0", "torch"])
def test_every_kind_of_pickle_in_place_of_any_file(
    out: Path, made: Path, commands: dict[str, Callable[[], object]], tmp_path: Path, kind: str
) -> None:
    canary = tmp_path / "canary"
    content = bombs(canary)[kind]
    for file in list(files_of(out)):
        for command in commands.values():
            signal.alarm(TOO_LONG_S)
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


def test_pictures_that_fill_the_memory_are_refused(out: Path, commands: dict[str, Callable[[], object]]) -> None:
    gallery = next(out.glob("*/entropy/seed-0/round-1/gallery.npz"))
    large = np.zeros((20_000, 20_000), np.uint8)
    for planes in (large, np.zeros((0, 0), np.uint8), np.zeros((4, 4)), np.zeros(4, np.uint8)):
        names = ("image", "prediction", "reference", "uncertainty")
        np.savez_compressed(gallery, **{f"{name}_0": planes for name in names})
        sign(out)
        assert attempt(commands["report"])


@pytest.fixture
def exportable(tmp_path: Path) -> Path:
    """A folder with one round's real model of a tiny network."""
    folder = tmp_path / "study"
    write_json(folder / "config.json", {"datasets": {"d": {"protocol": {"training": {"folds": 1}}}}})
    here = folder / "d/random/seed-0/round-1"
    store = planned(folder / "d/_shared/seed-0")
    run_stage(here, "train", ["model.pth"], lambda: write_model(here / "model.pth", store) or {})
    return folder


def export(folder: Path) -> Path:
    return export_round(
        folder, dataset=None, strategy="random", seed=0, round_number=None, results=folder.with_name("to") / "results"
    )


def test_a_sound_model_is_exported_as_it_was(exportable: Path) -> None:
    folder = export(exportable)
    stored = torch.load(folder / "fold_0/checkpoint_final.pth", weights_only=True)
    own = torch.load(exportable / "d/random/seed-0/round-1/model.pth", weights_only=True)
    assert {**stored, "network_weights": None} == {**own, "network_weights": None}
    assert stored["network_weights"].keys() == own["network_weights"].keys()
    assert all(
        torch.equal(stored["network_weights"][name], own["network_weights"][name]) for name in own["network_weights"]
    )
    assert json.loads((folder / "plans.json").read_text()) == PLANS
    assert json.loads((folder / "dataset.json").read_text()) == DESCRIPTION


PLANS_KINDS = sorted(hostile_plans(""))


@pytest.mark.parametrize("kind", PLANS_KINDS)
def test_hostile_plans_are_refused_and_nothing_is_written(exportable: Path, kind: str) -> None:
    canary = exportable.with_name("canary")
    store = prepared_in(exportable / "d/_shared/seed-0")
    (store.folder / "nnUNetPlans.json").write_text(json.dumps(hostile_plans(str(canary))[kind]))
    before = sorted(exportable.parent.rglob("*"))
    with pytest.raises(InputError, match=r"nnUNetPlans\.json: "):
        export(exportable)
    assert sorted(exportable.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file_ending", "/../../x"),
        ("file_ending", ""),
        ("labels", {"../x\x1b": 1}),
        ("labels", {"organ": 10**30}),
        ("channel_names", {}),
        ("channel_names", {"../x": "CT"}),
        ("overwrite_image_reader_writer", "os.system"),
        ("regions_class_order", [1]),
    ],
)
def test_hostile_descriptions_are_refused(exportable: Path, key: str, value: Any) -> None:
    store = prepared_in(exportable / "d/_shared/seed-0")
    write_json(store.folder / "dataset.json", changed(DESCRIPTION, key, to=value))
    with pytest.raises(InputError, match=r"dataset\.json: "):
        export(exportable)
    assert not exportable.with_name("to").exists()


def damage_model(path: Path, kind: str) -> None:
    """Put another model, or no model, in place of one."""
    content = torch.load(path, weights_only=True)
    weights = content["network_weights"]
    name = next(iter(weights))
    canary = path.parents[4] / "canary"
    if kind in bombs(canary):
        path.write_bytes(bombs(canary)[kind])
        return
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}." + bytes(10**7))
        return
    if kind == "empty":
        path.write_bytes(b"")
        return
    if kind == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return
    weight = weights[name]
    other: dict[str, Callable[[], object]] = {
        "nan": lambda: weight * float("nan"),
        "shape": lambda: weight[:1],
        "whole numbers": lambda: weight.to(torch.int32),
        "huge": lambda: torch.zeros(1).expand(10**12),
        "no memory": lambda: torch.empty(10**12, device="meta"),
        "sparse": lambda: torch.sparse_coo_tensor(size=(10**9, 10**9), check_invariants=True),
        "text": lambda: "weight",
        "object": lambda: Bomb(canary),
    }
    if kind in other:
        weights[name] = other[kind]()
    elif kind == "another":
        weights["more"] = weight
    elif kind == "lacking":
        del weights[name]
    elif kind == "keys":
        content["optimizer_state"] = {}
    elif kind == "trainer":
        content["trainer_name"] = "../x"
    elif kind == "configuration":
        content["init_args"]["configuration"] = "../../x"
    elif kind == "axes":
        content["inference_allowed_mirroring_axes"] = [10**9]
    elif kind == "list":
        content = [content]
    torch.save(content, path)


MODELS = [
    "pickle", "protocol 0", "torch", "old torch", "npz", "blosc2", "zip", "empty", "half", "nan", "shape", "huge",
    "whole numbers", "no memory", "sparse", "text", "object", "another", "lacking", "keys", "trainer", "configuration",
    "axes", "list",
]  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_hostile_models_are_named_in_one_line(exportable: Path, kind: str) -> None:
    model = exportable / "d/random/seed-0/round-1/model.pth"
    store = prepared_in(exportable / "d/_shared/seed-0")
    damage_model(model, kind)
    sign(exportable)
    for read in (lambda: export(exportable), lambda: read_checkpoint(model, store)):
        with pytest.raises(InputError, match=r"model\.pth: expected a model") as found:
            read()
        assert "\n" not in str(found.value)
    assert not exportable.with_name("canary").exists() and not exportable.with_name("to").exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_model_that_is_no_file_is_refused(exportable: Path, kind: str) -> None:
    model = exportable / "d/random/seed-0/round-1/model.pth"
    store = prepared_in(exportable / "d/_shared/seed-0")
    elsewhere = exportable.with_name("model.pth")
    model.rename(elsewhere)
    if kind == "link":
        model.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(model)
    else:
        model.mkdir()
    for read in (lambda: export(exportable), lambda: read_checkpoint(model, store)):
        with pytest.raises(InputError, match=r"model\.pth"):
            read()
    assert not exportable.with_name("to").exists()


def test_strategies_and_seeds_of_the_command_are_names(exportable: Path) -> None:
    for strategy in ("..", "../random", "_shared/../random", "", "x" * 300, "a\0"):
        with pytest.raises(InputError):
            export_round(
                exportable,
                dataset=None,
                strategy=strategy,
                seed=0,
                round_number=None,
                results=exportable.with_name("to"),
            )
