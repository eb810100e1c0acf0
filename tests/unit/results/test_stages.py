"""Stages run once, and again when what they left is gone or damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from albench.machine.files import atomic_file, read_json, sha256, write_json
from albench.results.stages import load_stage, run_stage


class Work:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = 0

    def __call__(self) -> Mapping[str, Any]:
        self.calls += 1
        with atomic_file(self.folder / "result.txt") as temporary:
            temporary.write_text("42")
        return {"answer": 42}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "stage")


def test_a_finished_stage_is_skipped(work: Work) -> None:
    first = run_stage(work.folder, "think", ["result.txt"], work)
    second = run_stage(work.folder, "think", ["result.txt"], work)
    assert work.calls == 1
    assert first == second
    assert first.notes == {"answer": 42}
    assert first.seconds >= 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "result.txt").unlink(),
        lambda folder: (folder / "result.txt").write_text("43"),
        lambda folder: (folder / "think.stage.json").write_text("{"),
        lambda folder: (folder / "think.stage.json").unlink(),
        lambda folder: write_json(folder / "think.stage.json", {"seconds": 1.0}),
    ],
    ids=["result missing", "result changed", "record cut short", "record missing", "record of another form"],
)
def test_a_damaged_stage_runs_again(work: Work, damage: Callable[[Path], None]) -> None:
    run_stage(work.folder, "think", ["result.txt"], work)
    damage(work.folder)
    assert load_stage(work.folder, "think") is None
    run_stage(work.folder, "think", ["result.txt"], work)
    assert work.calls == 2
    assert load_stage(work.folder, "think") is not None


def test_a_stage_runs_again_where_what_it_read_has_changed(work: Work, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    lines: list[str] = []

    def run() -> None:
        run_stage(work.folder, "think", ["result.txt"], work, inputs=[source], say=lines.append)

    source.write_text("one")
    run()
    assert read_json(work.folder / "think.stage.json")["inputs"] == {"../source.txt": sha256(source)}
    run()
    assert (work.calls, lines) == (1, [])
    source.write_text("two")
    assert load_stage(work.folder, "think") is None
    run()
    assert (work.calls, lines) == (2, [f"stage 'think' runs again: {source} has changed"])
    source.unlink()
    with pytest.raises(FileNotFoundError):
        run()
    assert not (work.folder / "think.stage.json").exists(), "what is there was made of something else"


def test_a_stage_runs_again_that_read_or_wrote_other_files(work: Work, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("one")
    run_stage(work.folder, "think", ["result.txt"], work)
    run_stage(work.folder, "think", ["result.txt"], work, inputs=[source])
    assert work.calls == 2
    (work.folder / "more.txt").write_text("more")
    run_stage(work.folder, "think", ["result.txt", "more.txt"], work, inputs=[source])
    assert work.calls == 3


def test_records_of_version_0_1_say_nothing_of_inputs_and_hold(work: Work, tmp_path: Path) -> None:
    run_stage(work.folder, "think", ["result.txt"], work)
    digest = sha256(work.folder / "result.txt")
    old = {"seconds": 1.5, "notes": {"answer": 42}, "files": {"result.txt": digest}}
    write_json(work.folder / "think.stage.json", old)
    record = run_stage(work.folder, "think", ["result.txt"], work, inputs=[tmp_path / "never read"])
    assert (work.calls, record.seconds, record.inputs) == (1, 1.5, None)
    for changed in (old | {"files": {}}, old | {"seconds": "1.5"}, old | {"seconds": -1.0}, old | {"more": 1}):
        write_json(work.folder / "think.stage.json", changed)
        assert changed["files"] == {} or load_stage(work.folder, "think") is None
        run_stage(work.folder, "think", ["result.txt"], work)
    assert work.calls == 5


def test_a_failed_stage_leaves_no_record(tmp_path: Path) -> None:
    def fail() -> Mapping[str, Any]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        run_stage(tmp_path, "think", [], fail)
    assert load_stage(tmp_path, "think") is None


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_json(path, {"old": True})
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert read_json(path) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.json"]


def test_nan_never_reaches_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())
