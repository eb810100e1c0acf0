"""The command line: every bad input is one line on standard error and exit status 2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import Dataset
from albench.strategies import strategy_names
from albench.terminal import cli


def call(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.fixture
def copy(phantom_root: Path, tmp_path: Path) -> Path:
    """A copy of the phantom data set that a test may spoil."""
    return Path(shutil.copytree(phantom_root, tmp_path / "spoiled"))


def _truncate(root: Path) -> None:
    path = sorted((root / "imagesTr").iterdir())[1]
    path.write_bytes(path.read_bytes()[:2000])


def _remove(root: Path) -> None:
    sorted((root / "imagesTr").iterdir())[1].unlink()


def _reshape(root: Path) -> None:
    path = sorted((root / "labelsTr").iterdir())[1]
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(path))[1:], str(path))


def _relabel(root: Path) -> None:
    path = sorted((root / "labelsTr").iterdir())[1]
    image = SimpleITK.ReadImage(str(path))
    labels = SimpleITK.GetArrayFromImage(image)
    labels[0, 0, 0] = 7
    spoiled = SimpleITK.GetImageFromArray(labels.astype(np.uint8))
    spoiled.CopyInformation(image)
    SimpleITK.WriteImage(spoiled, str(path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, "_001.nii.gz"),
        (_remove, "_001.nii.gz"),
        (_reshape, "_001.nii.gz"),
        (_relabel, "7"),
    ],
    ids=["truncated image", "missing image", "other shape", "unknown label"],
)
def test_bad_images_are_named_and_nothing_is_written(
    copy: Path, spoil: Callable[[Path], None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copy)
    out = tmp_path / "out"
    arguments = ["run", "--dataset", str(copy), "--out", str(out), "--cache", str(tmp_path / "cache")]
    status, _, error = call(arguments, capsys)
    assert status == 2
    lines = [line for line in error.splitlines() if line.startswith("al-bench:")]
    assert len(lines) == 1
    assert error.splitlines()[-1] == lines[0]
    assert message in lines[0]
    assert "Traceback" not in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "hipocampus"], "unknown data set 'hipocampus'; did you mean hippocampus"),
        (["--dataset", "phantom", "--strategy", "usim"], "unknown strategy 'usim'; did you mean usim-"),
        (
            ["--dataset", "phantom", "--strategy", "random,usim-f+quer=expected"],
            "unknown parameter of usim-f 'quer'; did you mean query?",
        ),
        (
            ["--dataset", "phantom", "--strategy", "usim-f+query=some"],
            "strategy 'usim-f', parameter query: expected one of sampled, expected, got 'some'",
        ),
        (
            ["--dataset", "phantom", "--strategy", "power-bald+beta=-1"],
            "strategy 'power-bald', parameter beta: expected a positive number, got -1.0",
        ),
        (["--dataset", "phantom", "--strategy", "entropy+k=1"], "strategy 'entropy' has no parameters, got 'k=1'"),
        (["strategies", "usim"], "unknown strategy 'usim'; did you mean usim-"),
        (["--dataset", "phantom", "--protocol", "slow"], "unknown protocol 'slow'"),
        (["--dataset", "phantom", "--device", "gpu"], "unknown device 'gpu'"),
        (["--dataset", "phantom", "--start", "typcal"], "unknown start method 'typcal'; did you mean typical"),
        (["--dataset", "phantom", "--seeds", "0"], "--seeds"),
        (["--dataset", "phantom", "--budget", "many"], "--budget"),
        (["--dataset", "phantom", "--set", "training.lr=1"], "unknown setting 'training.lr'"),
        (["plan", "--dataset", "phantom", "--strategy", "usim"], "unknown strategy 'usim'"),
        (["--dataset", ","], "--dataset: expected one or more names"),
        (["run"], "--dataset"),
        (["run", "--datset", "phantom"], "--datset"),
        (["rnu"], "rnu"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, error = call(arguments, capsys)
    assert status == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_data_set_says_where_it_was_looked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--dataset", "hippocampus", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]
    status, _, error = call(arguments, capsys)
    assert status == 2
    assert str(tmp_path) in error
    assert "Task04_Hippocampus" in error


def test_without_arguments_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = call([], capsys)
    assert status == 0
    assert "Usage" in output


def test_lists_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = call(["strategies", "--json"], capsys)
    assert status == 0
    rows = {row["name"]: row for row in json.loads(output)}
    assert list(rows) == strategy_names()
    assert [name for name, row in rows.items() if row["oracle_aided"]] == ["random-fg66", "random-fg33"]
    assert {"summary", "reference", "needs", "description"} <= set(rows["bald"])
    eta, query = rows["usim-f"]["parameters"][:2]
    assert (eta["name"], eta["type"], eta["default"], eta["values"]) == ("eta", "float", 1.0, None)
    assert (query["type"], query["default"], query["values"]) == ("choice", "sampled", ["sampled", "expected"])
    status, output, _ = call(["datasets", "--json"], capsys)
    assert {"hippocampus", "openkbp", "acdc", "phantom"} <= {row["name"] for row in json.loads(output)}


@pytest.mark.slow
def test_a_plan_measures_and_leaves_nothing(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["plan", "--dataset", str(copy), "--strategy", "random,usim-f", "--seeds", "2", "--device", "cpu"]
    arguments += ["--set", "pool.start=10", "--budget", "5", "--cache", str(tmp_path / "cache"), "--out", str(out)]
    arguments += ["--set", "network.base_features=4", "--set", "network.batch_size=4", "--set", "scoring.passes=2"]
    status, output, _ = call([*arguments, "--json"], capsys)
    assert status == 0
    (found,) = json.loads(output)
    assert (found["n_trainings"], found["n_pool_cases"], found["n_test_cases"]) == (2 * (1 + 2 * 3), 6, 2)
    assert found["n_iterations"] == 2 * (600 + 2 * 3 * 350)
    assert all(seconds > 0 for seconds in found["compute_s"].values())
    assert not out.exists()
    assert found["power"]["seeds_needed"]["0.01"] > 2
    status, output, _ = call([*arguments, "--sd", "0.01"], capsys)
    assert "14, 5400 iterations" in output
    assert "0.01 needs 10 seeds, 0.005 needs 34 seeds" in " ".join(output.replace("│", " ").split())


def test_a_data_set_is_prepared_and_verified(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = ["--cache", str(tmp_path / "cache")]
    status, output, _ = call(["datasets", "prepare", str(copy), *cache], capsys)
    assert status == 0
    raw = tmp_path / "cache/nnUNet_raw" / f"Dataset601_{copy.name.replace('-', '_')}"
    assert output.splitlines()[-2:] == [
        f"{copy.name}: 8 cases in {copy}",
        f"for nnU-Net's own commands: nnUNet_raw={raw.parent}, {raw.name}",
    ]
    labels = sorted((raw / "labelsTr").iterdir())
    assert [path.resolve().parent for path in labels] == [copy / "labelsTr"] * 8
    assert call(["datasets", "prepare", str(copy), *cache], capsys)[1] == output, "the same number again"
    assert call(["datasets", "prepare", str(raw), *cache], capsys)[1].endswith(f"nnUNet_raw={raw.parent}, {raw.name}\n")
    assert [path.name for path in raw.parent.glob("Dataset*")] == [raw.name]
    _relabel(copy)
    _truncate(copy)
    status, output, _ = call(["datasets", "verify", str(copy), *cache], capsys)
    assert status == 1
    assert output.splitlines()[-1].endswith("8 cases, 2 problems in 1 of them")
    assert output.splitlines()[:2] == ["channels: phantom", "labels: 0 background, 1 phantom head, 2 phantom tail"]
    status, output, _ = call(["datasets", "verify", str(copy), *cache, "--json"], capsys)
    verdict = json.loads(output)
    assert (verdict["channels"], verdict["labels"]["1"]) == (["phantom"], "phantom head")


def test_a_strategy_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = call(["strategies", "usim-f"], capsys)
    assert status == 0
    assert "Föllmer" in output
    assert "query=sampled  (one of sampled, expected)" in output
    status, output, _ = call(["strategies", "usim-f", "--json"], capsys)
    assert json.loads(output)["name"] == "usim-f"


def test_strategies_are_listed_with_their_parameters_and_marks(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = call(["strategies"], capsys)
    assert status == 0
    assert "usim-f+eta=1+query=sampled+optimizer=lazy+layers=decoder" in output
    assert "random-fg66†" in output
    for name in strategy_names():
        assert f"\n{name}" in f"\n{output}"


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    from albench.errors import InputError

    with pytest.raises(InputError):
        cli.main(["run", "--dataset", "hipocampus", "--debug"])


@pytest.mark.slow
def test_a_full_disk_is_one_line(phantom: Dataset, tmp_path: Path) -> None:
    """A tiny file system of its own, which needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        command = [
            sys.executable, "-m", "albench", "run", "--dataset", str(phantom.root), "--rounds", "1",
            "--strategy", "random", "--out", str(disk / "out"), "--cache", str(tmp_path / "cache"),
        ]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""})
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 2, done.stderr
    assert "no space left" in done.stderr.splitlines()[-1].lower()
    assert "Traceback" not in done.stderr
