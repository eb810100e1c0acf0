"""Inputs as people have them, through the commands: ten iterations, or one line that names the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from albench.results.tables import read_results
from albench.terminal import cli
from tests.support.raw_fixtures import ball, image_of, itk, label_of, make_raw, nifti, patch

_TEN = (
    "--strategy=random", "--rounds=1", "--set=pool.start=4", "--set=training.first_iterations=10", "--jobs=1",
    "--device=cpu",
)  # fmt: skip


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit status, and what was printed."""
    with pytest.raises(SystemExit) as stop:
        cli.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, out + err


def far_label(root: Path) -> Path:
    make_raw(root, n=6)
    nifti(label_of(root, 1), ball(1)[1], np.diag([2.0, 2, 2, 1]))
    return root


def test_verify_and_prepare_take_the_images_geometry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, cache = far_label(tmp_path / "own"), f"--cache={tmp_path / 'cache'}"
    status, said = call(capsys, "datasets", "verify", root, cache)
    assert status == 1
    assert "stops" in said
    assert "--trust-image-geometry lays labels over their images" in said
    status, said = call(capsys, "datasets", "verify", root, cache, "--trust-image-geometry")
    assert status == 1
    assert "goes on" in said
    assert "stops" not in said
    status, said = call(capsys, "datasets", "prepare", root, cache)
    assert status == 2
    assert "; --trust-image-geometry takes its image's" in said.splitlines()[-1]
    assert call(capsys, "datasets", "prepare", root, cache, "--trust-image-geometry")[0] == 0


@pytest.mark.parametrize(
    "command", [("datasets", "prepare"), ("run", *_TEN, "--dataset"), ("plan", *_TEN, "--dataset")]
)
def test_what_could_not_be_trained_is_refused_before(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_raw(tmp_path / "own", shape=(3, 4, 4))
    out = () if command[0] == "datasets" else (f"--out={tmp_path / 'out'}",)
    status, said = call(capsys, *command, root, f"--cache={tmp_path / 'cache'}", *out)
    assert status == 2
    assert said.splitlines()[-1].startswith(
        f"al-bench: own: case c0: {image_of(root)}: expected images that nnU-Net can"
    )
    assert not (tmp_path / "out").exists()
    assert call(capsys, "datasets", "verify", root, f"--cache={tmp_path / 'cache'}")[0] == 1


@pytest.mark.parametrize("option", ["--out", "--cache"])
def test_a_folder_that_is_no_text_is_refused(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, folder = make_raw(tmp_path / "own", n=6), os.fsdecode(os.fsencode(tmp_path) + b"/\xfc")
    places = {"--out": tmp_path / "out", "--cache": tmp_path / "cache", option: folder}
    status, said = call(capsys, "run", "--dataset", root, *_TEN, *(f"{key}={value}" for key, value in places.items()))
    assert status == 2
    assert "expected a path of UTF-8" in said.splitlines()[-1]


def _cmyk(root: Path) -> Path:
    """JPEG photographs of four colours under another ending."""
    make_raw(root, n=0, ending=".png", channel_names=dict(enumerate("CMYK")))
    for number in range(6):
        image, label = ball(number, (32, 36))
        for part in ("imagesTr", "labelsTr"):
            (root / part).mkdir(exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype("u1")).convert("CMYK").save(image_of(root, number, ".png"), "JPEG")
        Image.fromarray(label).save(label_of(root, number, ".png"))
    return root


def _slicer(root: Path) -> Path:
    for number in range(6):
        image, label = ball(number)
        itk(root / "images" / f"c{number}.nrrd", image)
        itk(root / "labels" / f"c{number}.seg.nrrd", label)
    return root


def _backwards(root: Path) -> Path:
    make_raw(root, n=6)
    for path in root.glob("*Tr/*"):
        patch(path, (88, np.array([-3], "<f4")), (252, np.array([1, 0], "<i2")))
    return root


def _two_spacings(root: Path) -> Path:
    make_raw(root, n=6)
    for path in root.glob("*Tr/*"):
        patch(path, (88, np.array([3], "<f4")), (280, np.array([2], "<f4")), (252, np.array([0, 1], "<i2")))
    return root


SOUND: dict[str, tuple[Callable[[Path], Path], bool]] = {
    "four colours": (_cmyk, False),
    "of Slicer": (_slicer, True),
    "backwards": (_backwards, True),
    "two spacings": (_two_spacings, True),
    "[odd] *name?": (lambda root: make_raw(root, n=6), True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_what_is_odd_and_sound_runs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, in_mm = SOUND[name]
    root, out = make(tmp_path / name), tmp_path / "out"
    status, said = call(capsys, "run", "--dataset", root, *_TEN, f"--out={out}", f"--cache={tmp_path / 'cache'}")
    assert status == 0, said
    rows = read_results(out)
    assert np.isfinite(rows["dice"]).all()
    assert np.isfinite(rows["hd95"]).all() == in_mm


@pytest.mark.slow
def test_a_run_that_trusts_the_images_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = far_label(tmp_path / "own"), tmp_path / "out"
    places = (f"--out={out}", f"--cache={tmp_path / 'cache'}")
    assert call(capsys, "run", "--dataset", root, *_TEN, *places)[0] == 2
    status, said = call(capsys, "run", "--dataset", root, *_TEN, *places, "--trust-image-geometry")
    assert status == 0, said
    assert json.loads((out / "config.json").read_text())["datasets"]["own"]["trusted_geometry"] == 1
    assert yaml.safe_load((out / "study.yaml").read_text())["trust_image_geometry"] is True
    assert "of 1 case says another position, orientation or spacing" in (out / "report" / "index.html").read_text()
    # voxels are 1 x 1 x 3 mm, whatever a label says: no distance is longer than the image's diagonal
    assert read_results(out)["hd95"].max() <= np.linalg.norm([19, 19, 7 * 3])
