"""Inputs as people have them: each goes through `verify` and a short `run` well, or is refused in a line.

Scripts in the folder that ALBENCH_CASES names make them: ``NN_name.py FOLDER``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from albench.terminal import cli

_VARIABLE = "ALBENCH_CASES"
_MAKERS = sorted(Path(os.environ.get(_VARIABLE) or os.devnull).glob("[0-9]*.py"))
REFUSED = ("Dataset111_hdr", "Dataset111_jpg", "Dataset111_mhd", "Dataset133_Parcels", "Task11_mhd", "photos_tiff")
SOUND = (
    "Dataset100_Sound",
    "Dataset101_Flat",
    "Dataset102_labels_only",
    "Dataset102_both",
    "Dataset103_Leftover",
    "Dataset105_NotGzipped",
    "Dataset106_Stacktiff",
    "Dataset110_stars",
    "Dataset112_Singleton",
    "Dataset116_plain_nii",
    "Dataset117_negative",
    "Dataset123_slope",
    "Dataset129_crops",
    "Dataset130_Elsewhere",
    "Dataset132_bitmask",
    "Dataset132_grey16",
    "Dataset132_rgba",
    "Dataset136_members",
    "Task13_Folders",
    "photos_rgb",
    "photos_tif",
    "slicer",
    "печень",
    "肝脏数据",
)
"""Of the others either is right, as long as a refusal is one line."""
_TEN = ["--strategy=random", "--rounds=1", "--set=pool.start=4", "--set=training.first_iterations=10", "--jobs=1"]

pytestmark = pytest.mark.skipif(not _MAKERS, reason=f"{_VARIABLE} names no folder of scripts that make inputs")


def make(maker: Path, folder: Path) -> list[Path]:
    """Data sets that a script made."""
    environment = os.environ | {"PYTHONPATH": str(maker.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, str(maker), str(folder)], check=True, env=environment, timeout=120)
    parents = [folder] if "two_sites" not in maker.name else sorted(folder.iterdir())
    return [root for parent in parents for root in sorted(parent.iterdir()) if root.name != "archive"]


def expected(root: Path, refusals: tuple[int, ...]) -> tuple[int, ...]:
    """Exit statuses that are right for a data set."""
    return refusals if root.name in REFUSED else (0,) if root.name in SOUND else (0, *refusals)


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status, and what was printed, without lines of progress."""
    with pytest.raises(SystemExit) as stop:  # anything else is a traceback
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, out + err


@pytest.mark.parametrize("maker", _MAKERS, ids=lambda maker: maker.stem)
def test_each_is_verified_or_refused_in_a_line_that_names_it(
    maker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for root in make(maker, tmp_path / "made"):
        status, said = call(["datasets", "verify", str(root), "--cache", str(tmp_path / "cache")], capsys)
        assert "Traceback" not in said
        assert status in expected(root, (1, 2)), said
        if status == 2:
            assert sum(line.startswith("al-bench: ") for line in said.splitlines()) == 1
            assert root.name in said
        if status == 1:
            assert f"{root.name}: " in said


@pytest.mark.slow
@pytest.mark.parametrize("maker", _MAKERS, ids=lambda maker: maker.stem)
def test_each_runs_or_is_refused_in_a_line(maker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, root in enumerate(make(maker, tmp_path / "made")):
        out = tmp_path / f"out-{number}"
        status, said = call(
            ["run", "--dataset", str(root), "--device=cpu", f"--out={out}", f"--cache={tmp_path / 'cache'}", *_TEN],
            capsys,
        )
        assert "Traceback" not in said
        assert status in expected(root, (2,)), said
        assert (out / "report" / "index.html").is_file() == (status == 0)
