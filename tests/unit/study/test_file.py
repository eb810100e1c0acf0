"""A request as a YAML file: round trip, what is refused, what the command line puts over it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from albench.errors import InputError
from albench.progress import Reporter
from albench.protocols import load_protocol
from albench.study import run as run_module
from albench.study.file import STUDY_FILE, own_protocol, read_study, write_study
from albench.study.request import RunRequest
from albench.terminal import cli

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PARTS = st.text(st.sampled_from("aZ9 .-_ü'#:"), min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
PATHS = st.lists(st.one_of(PARTS, st.just("..")), min_size=1, max_size=3).map("/".join).map(Path)
NAMES = st.sampled_from(["phantom", "hippocampus", "acdc", "./own", "more/of it", "/far/away", "../a.tar", "~/b"])
CLAIM = {"strategy": "usim-f+query=expected", "endpoint": "final", "smallest": 0.01, "looks": [8, 16]}


@st.composite
def requests(draw: st.DrawFn) -> RunRequest:
    def maybe(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | values)

    counts = st.integers(1, 10**6)
    return RunRequest(
        dataset=tuple(draw(st.lists(NAMES, min_size=1, unique=True))),
        strategy=tuple(draw(st.lists(st.sampled_from(["random", "usim-f+query=expected", "full"]), min_size=1))),
        protocol=draw(st.sampled_from(["quick", "paper"])),
        seeds=(seeds := draw(counts)),
        first_seed=draw(st.integers(0, seeds - 1)),
        rounds=maybe(counts),
        budget=maybe(counts),
        set=tuple(draw(st.lists(TEXTS))),
        start=maybe(st.sampled_from(["random", "typical"])),
        split_by=maybe(st.sampled_from(["fixed", "seed"])),
        group_by=maybe(TEXTS),
        device=draw(st.sampled_from(["auto", "cpu", "cuda"])),
        data=maybe(PATHS | PATHS.map(Path("/mnt").joinpath)),
        out=draw(PATHS),
        cache=maybe(PATHS | st.just(Path("~/cache"))),
        jobs=maybe(counts),
        resume=draw(st.booleans()),
        tensorboard=draw(st.booleans()),
        gallery=draw(st.integers(0, 99)),
        claims=draw(st.sampled_from([(), (CLAIM,)])),
    )


def place(path: Path | str | None) -> str | None:
    """Where a path leads, for people who stand in the same folder."""
    return None if path is None else str(path) if str(path).startswith("~") else os.path.abspath(path)  # noqa: PTH100


def settled(request: RunRequest) -> RunRequest:
    """The request with every path absolute."""
    names = tuple(place(name) if "/" in name else name for name in request.dataset)
    paths = {name: place(getattr(request, name)) for name in ("data", "out", "cache")}
    return replace(request, dataset=names, **paths)  # type: ignore[arg-type]


@given(request=requests(), elsewhere=st.booleans())
@example(request=RunRequest(("phantom",), set=("\x85", "\u2028", "ü=\n", "no", "1")), elsewhere=False)
def test_what_is_written_is_read_back(
    request: RunRequest, elsewhere: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here, folder = Path.cwd(), tmp_path_factory.mktemp("study") / "a/b/c"  # as deep as paths climb
    folder.mkdir(parents=True)
    os.chdir(folder)
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        file = write_study(request, request.out)
        start = {"resume": True, "join": False, "claim_ttl": 180, "checkpoint_minutes": 10}
        start |= {"scheduler": None, "cluster": None, "scratch": None}
        wanted = replace(settled(request), **start)  # type: ignore[arg-type]
        if elsewhere:
            file = file.absolute()
            os.chdir("/")
        assert settled(RunRequest(**read_study(file))) == wanted
    finally:
        os.chdir(here)


def test_a_folder_may_move_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all/out").mkdir(parents=True)
    (tmp_path / "all/mine.yaml").write_text("extends: quick\n")
    given = RunRequest(("all/scans",), protocol="all/mine.yaml", out=Path("all/out"), data=Path("all/data"))
    write_study(given, given.out, own_protocol(given))
    (tmp_path / "all/mine.yaml").unlink()
    text = (tmp_path / "all/out" / STUDY_FILE).read_text()
    assert str(tmp_path) not in text
    assert "resume" not in text
    (tmp_path / "all").rename(tmp_path / "moved")
    found = RunRequest(**read_study(Path("moved/out") / STUDY_FILE))
    assert (found.dataset, found.protocol) == (("moved/scans",), "moved/out/protocol.yaml")
    assert load_protocol(found.protocol) == load_protocol("quick")
    assert (found.out, found.data) == (Path("moved/out"), Path("moved/data"))


def test_a_folder_beside_the_file_is_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "s.yaml").write_text("dataset: scans,phantom\n")
    assert read_study(tmp_path / "s.yaml")["dataset"] == (str(tmp_path / "scans"), "phantom")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 3", "unknown key 'seed'; did you mean seeds"),
        ("split-by: seed", "unknown key 'split-by'; did you mean split_by"),
        ("3: 4", "unknown key '3'"),
        ("seeds: three", "seeds: expected a whole number from 1 up, got 'three'"),
        ("seeds: 0", "seeds: expected a whole number from 1 up, got 0"),
        ("resume: 'no'", "resume: expected true or false, got 'no'"),
        ("set: {training.initial_lr: 0.1}", "set: expected a list of texts, got {'training.initial_lr': 0.1}"),
        ("out: 3", "out: expected a path, got 3"),
        ("strategy: [random, usim]", "strategy: unknown strategy 'usim'; did you mean usim-"),
        ("protocol: slow", "protocol: unknown protocol 'slow'"),
        ("device: gpu", "device: unknown device 'gpu'; did you mean cpu"),
        ("start: typcal", "start: unknown start method 'typcal'; did you mean typical"),
        ("split_by: patient", "split_by: unknown split 'patient'; known: fixed, seed"),
        ("[1, 2]", "expected options by name, e.g. seeds: 3, got [1, 2]"),
        ("", "expected options by name, e.g. seeds: 3, got None"),
        ("a: [", "expected YAML, found while parsing"),
    ],
)
def test_what_does_not_fit_is_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", str(file)])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith(f"al-bench: {file}: {message}")
    assert error.count("\n") == 1
    with pytest.raises(InputError, match="expected a study file, found none"):
        read_study(tmp_path / "none.yaml")


class StoppedError(Exception):
    """Raised in place of a run."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """Requests that `al-bench run` would have run."""
    found: list[RunRequest] = []

    def stop(request: RunRequest, reporter: Reporter) -> Path:
        found.append(request)
        raise StoppedError

    monkeypatch.setattr(run_module, "run", stop)
    return found


def test_the_command_line_goes_before_the_file_and_that_before_the_environment(
    asked: list[RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.yaml"
    written = {"dataset": "phantom", "seeds": 3, "rounds": 2, "strategy": ["random"], "resume": False}
    file.write_text(yaml.safe_dump(written))
    monkeypatch.setenv("ALBENCH_OUT", "of-the-environment")
    with pytest.raises(StoppedError):
        cli.main(["run", str(file), "--seeds", "1", "--set", "a=1", "--set", "b=2", "--resume"])
    file.write_text(yaml.safe_dump(written | {"out": "of-the-file"}))
    with pytest.raises(StoppedError):
        cli.main(["run", str(file)])
    with pytest.raises(StoppedError):
        cli.main(["--dataset", "acdc", "--split-by=seed"])
    first, second, third = asked
    expected = {"dataset": ("phantom",), "rounds": 2, "strategy": ("random",)}
    assert first == RunRequest(**expected, seeds=1, set=("a=1", "b=2"), out=Path("of-the-environment"))
    assert second == RunRequest(**expected, seeds=3, resume=False, out=tmp_path / "of-the-file")
    assert third == RunRequest(("acdc",), split_by="seed", out=Path("of-the-environment"))


def test_a_file_need_not_name_the_data_set(
    asked: list[RunRequest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text("seeds: 2")
    with pytest.raises(StoppedError):
        cli.main(["run", str(tmp_path / "s.yaml"), "--dataset", "phantom"])
    assert asked[0] == RunRequest(("phantom",), seeds=2)
    for command in ("run", "plan"):
        with pytest.raises(SystemExit) as stop:
            cli.main([command, str(tmp_path / "s.yaml")])
        assert stop.value.code == 2
        assert capsys.readouterr().err == "al-bench: Missing option '--dataset'.\n"
