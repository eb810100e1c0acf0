"""A round of hippocampus annotated in a real browser: drawn with the pen, the server killed, imported, trained on."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from albench.data import load_dataset
from albench.results.query import QueriedUnit, Query
from tests.support.command import al_bench
from tests.support.oracle import annotate

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / "python/page/e2e/annotate.mjs"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
HAS_DRIVER = shutil.which("node") is not None and (ROOT / "python/page/node_modules/playwright-core").is_dir()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian's package, or CHROMIUM names one)"),
    pytest.mark.skipif(not HAS_DRIVER, reason="no playwright-core: npm ci in python/page brings it"),
]
TRAINING = ("training.first_iterations=25", "training.round_iterations=12", "pool.start=12")


def test_what_the_page_does() -> None:
    """Tools, keys, touch, lost connections, second windows, reviewers: before a server of made images."""
    environment = {**os.environ, "CHROMIUM": str(CHROMIUM)}
    done = subprocess.run(
        ["node", str(DRIVER.with_name("behaviour.mjs"))], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.data
def test_a_round_in_the_browser(real_data: Path, tmp_path: Path) -> None:
    hippocampus = load_dataset("hippocampus", data_dir=real_data, cache_dir=tmp_path / "cache")
    settings = [word for setting in TRAINING for word in ("--set", setting)]
    common = ["--device", "cpu", "--seed", 0, "--cache", tmp_path / "cache", "--name", "hippocampus", *settings]
    images, raw = tmp_path / "images", tmp_path / "Dataset012_Ward"
    truth = {case.name: case.reference for case in hippocampus.cases[:12]}
    images.mkdir()
    raw.mkdir()
    for case in hippocampus.cases[:12]:
        shutil.copy(case.images[0], images / f"{case.name}_0000.nii.gz")
    labels = {name: value for value, name in hippocampus.labels.items()} | {"ignore": 3}
    description = {"channel_names": {"0": "MRI"}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(description))
    first, asked = tmp_path / "query-0", tmp_path / "query-1"
    al_bench(
        "query", "--images", images, "--dataset", raw, "--out", first, "--strategy", "random", "--budget", 12, *common
    )
    annotate(first, truth)
    al_bench("import-labels", "--query", first, "--labels", first / "tasks", "--dataset", raw)
    al_bench("train", "--dataset", raw, "--images", images, "--out", tmp_path / "model-0", *common)
    (model,) = (tmp_path / "model-0").glob("Dataset*/nnUNet*")
    al_bench(
        "query", "--images", images, "--dataset", raw, "--model", model, "--out", asked, "--strategy", "usim-f",
        "--budget", 10, *common,
    )  # fmt: skip

    query = Query.read(asked / "query.json")
    actions = ["draw", "draw", "predicted", "fill", "draw", "skip", "predicted", "draw", "draw", "fill"]
    plan: list[dict[str, Any]] = []
    for unit, action in zip(query.units, actions, strict=True):
        step: dict[str, Any] = {"rank": unit.rank, "action": action}
        if action in ("draw", "fill"):
            step["codes"] = base64.b64encode(in_ras(asked, query, unit, truth[unit.case]).tobytes(order="F")).decode()
        plan.append(step)
    (tmp_path / "plan.json").write_text(json.dumps(plan))

    drawn = in_the_browser(asked, tmp_path)
    assert [entry["rank"] for entry in drawn] == [unit.rank for unit in query.units]
    for step, entry in zip(plan, drawn, strict=True):
        if step["action"] == "draw":
            assert entry["codes"] == step["codes"], step["rank"]

    al_bench("import-labels", "--query", asked, "--dataset", raw)
    for unit, step, entry in zip(query.units, plan, drawn, strict=True):
        if step["action"] == "skip":
            continue
        expected = np.frombuffer(base64.b64decode(entry["codes"]), dtype=np.uint8)
        found = in_ras(asked, query, unit, raw / "labelsTr" / f"{unit.case}.nii.gz")
        np.testing.assert_array_equal(found.ravel(order="F"), expected, err_msg=f"unit {unit.rank}")
        assert not (found == query.ignore).any()
    ledger = (raw / "albench" / "ledger.csv").read_text().splitlines()
    assert sum(f",{query.id}," in f",{line}," for line in ledger) == len(query.units)
    al_bench("train", "--dataset", raw, "--images", images, "--out", tmp_path / "model-1", "--from", model, *common)
    assert list((tmp_path / "model-1").glob("Dataset*/nnUNet*/fold_*/checkpoint_final.pth"))
    al_bench("annotations", "--dataset", raw)


def in_the_browser(asked: Path, work: Path) -> list[dict[str, Any]]:
    """Let the browser follow the plan; the server is killed half way and started again on its port."""
    result = work / "result.json"
    with server(asked, 0) as (process, url):
        port = int(re.search(r":(\d+)/", url)[1])  # type: ignore[index]
        command = ["node", str(DRIVER), url, str(work / "plan.json"), str(result)]
        shots = os.environ.get("ALBENCH_SHOTS", str(work / "shots"))
        browser = subprocess.Popen(command, env={**os.environ, "CHROMIUM": str(CHROMIUM), "SHOTS": shots})
        try:
            units = asked / "annotated" / "units"
            end = time.monotonic() + 240
            while len(list(units.glob("*/*/v*.json"))) < 4 and browser.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            assert browser.poll() is None, "the browser ended before the server was killed"
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(2)
            with server(asked, port):
                assert browser.wait(timeout=400) == 0
        finally:
            browser.kill()
            browser.wait()
    entries: list[dict[str, Any]] = json.loads(result.read_text())["units"]
    return entries


@contextmanager
def server(asked: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``al-bench annotate`` until it says where it is."""
    command = [sys.executable, "-m", "albench", "annotate", str(asked), "--port", str(port), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                yield process, found[0]
                break
        else:
            pytest.fail(f"the server ended with {process.wait()}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def in_ras(asked: Path, query: Query, unit: QueriedUnit, label: Path) -> NDArray[np.uint8]:
    """Voxels of a unit's box in a label file, axes to right, anterior and superior as the browser has them."""
    image = nibabel.load(asked / query.cases[unit.case].images[0])
    start, stop = unit.box_ijk(query.cases[unit.case].shape_ijk)
    values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(label))).transpose()
    box = values[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))]
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt("RAS"))
    return np.ascontiguousarray(apply_orientation(box, turn).astype(np.uint8))
