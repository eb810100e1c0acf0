"""From a request to a report, with a trainer that trains nothing."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import albench
from albench.data import Dataset
from albench.errors import InputError
from albench.progress import Silent
from albench.report.inputs import read_inputs
from albench.report.provenance import commands
from albench.results.layout import RunFolder
from albench.results.settings import Settings
from albench.results.tables import RESULT_KEYS
from albench.study import run as run_module
from albench.study.file import STUDY_FILE, read_study
from albench.study.request import RunRequest
from albench.study.run import Resolved
from albench.study.status import read_status
from albench.terminal import cli
from tests.support.fake_study import FakeFactory, fake_study


@pytest.fixture
def request_of(phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    """A request that runs with fake trainings."""

    def resolve(request: RunRequest, reporter: object) -> Resolved:
        return Resolved(request, (fake_study(phantom, request.out),), 1)

    monkeypatch.setattr(run_module, "resolve", resolve)
    return RunRequest((str(phantom.root),), strategy=("random",), out=tmp_path / "out")


def test_a_run_returns_the_report_and_prints_nothing(
    request_of: RunRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    index = albench.run(request_of)
    assert index == request_of.out / "report" / "index.html"
    assert index.is_file()
    assert set(albench.load_results(request_of.out)["strategy"]) == {"random"}
    assert RunRequest(**read_study(request_of.out / STUDY_FILE)) == request_of
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_seeds_of_two_machines_are_those_of_one(request_of: RunRequest, tmp_path: Path) -> None:
    whole = replace(request_of, seeds=3)
    parts = [replace(whole, out=tmp_path / "a", seeds=1), replace(whole, out=tmp_path / "b", first_seed=1)]
    for request in (whole, *parts):
        albench.run(request)
    assert set(albench.load_results(tmp_path / "b")["seed"]) == {1, 2}
    assert [part.seed for part in read_status(tmp_path / "b").parts if part.chain == "random"] == [1, 2]
    together, alone = read_inputs([part.out for part in parts]), read_inputs([whole.out])
    sort = [*RESULT_KEYS, "dice"]
    pd.testing.assert_frame_equal(
        together.results[sort].sort_values(sort, ignore_index=True),
        alone.results[sort].sort_values(sort, ignore_index=True),
    )
    assert "--seeds 3 --first-seed 1" in " ".join(commands(read_inputs([tmp_path / "b"])))


def test_the_command_prints_summary_and_place_and_its_file_runs_it_again(
    request_of: RunRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    out = request_of.out
    with pytest.raises(SystemExit) as stop:
        cli.main(["--dataset", *request_of.dataset, "--strategy", "random", "--out", str(out)])
    first = capsys.readouterr().out
    assert stop.value.code == 0
    assert first.splitlines()[-1] == f"report: {out}/report/index.html"
    assert "random" in first
    (out / "report/index.html").unlink()
    results = (out / "results.csv").read_bytes()
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", str(out / STUDY_FILE)])
    assert stop.value.code == 0
    assert capsys.readouterr().out == first
    assert (out / "results.csv").read_bytes() == results
    with pytest.raises(SystemExit):
        cli.main(["run", str(out / STUDY_FILE), "--fresh"])
    assert (out.with_name("out.old-1") / STUDY_FILE).is_file()


def test_what_is_left_to_the_machine_is_decided(phantom: Dataset, tmp_path: Path) -> None:
    given = RunRequest((str(phantom.root),), strategy=("usim-f+query=sampled", "usim-f"), cache=tmp_path)
    resolved = run_module.resolve(given, Silent()).request
    assert resolved.strategy == ("usim-f",)
    assert resolved.device in ("cpu", "cuda")
    assert resolved.set[-1] in ("scoring.precision=bfloat16", "scoring.precision=float32")
    again = run_module.resolve(resolved, Silent())
    assert again.request == resolved
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        run_module.resolve(RunRequest(("phantom",), device="gpu"), Silent())


@pytest.mark.slow
def test_what_the_report_says_repeats_the_study(
    phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path, a protocol of one's own that is gone by then, settings, and strategies that have other seeds."""
    monkeypatch.setattr(run_module, "NnunetFactory", lambda dataset, config, placement: FakeFactory(dataset))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").symlink_to(phantom.root.parent)
    own = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    own[0].write_text("extends: quick\nrounds: 2\npool: {max_cases: 5, test_share: 0.3}\n")
    own[1].write_text(f"extends: base.yaml\nname: mine\ndatasets: {{{phantom.name}: {{budget: 5}}}}\n")
    given = ["run", "--dataset", f"my data/{phantom.name}", "--protocol", "mine.yaml", "--set", "pool.start=7"]
    given += ["--cache", "cache", "--jobs", "1", "--out", "my out"]
    for strategy, seeds in (("random,full", "1"), ("entropy", "2")):
        with pytest.raises(SystemExit) as stop:
            cli.main([*given, "--strategy", strategy, "--seeds", seeds])
        assert stop.value.code == 0
    for file in own:
        file.unlink()
    lines = commands(read_inputs([Path("my out")]))
    assert [line.partition(" --strategy ")[2].split()[0] for line in lines] == ["entropy", "random,full"]
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "al-bench"
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
    first, again = (Settings.read(RunFolder(Path(out))).study(phantom.name) for out in ("my out", "my out-again"))
    assert again.stored == first.stored
    assert (again.protocol, again.stored["protocol"]["pool"]["start"]) == ("mine", 7)
    pd.testing.assert_frame_equal(albench.load_results(Path("my out-again")), albench.load_results(Path("my out")))
