"""A model whose reader turns images is asked about the same voxels as one that reads images turned by then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import SimpleITK

from albench.data import Dataset
from albench.results.query import Query
from tests.support.command import al_bench
from tests.support.given_model import PLAIN_DESCRIPTION, given_folder, plain_plans
from tests.support.oriented import DIRECTIONS

pytestmark = pytest.mark.slow
ORIENTATIONS = ("ras", "las", "oblique permuted")


def turned(image: SimpleITK.Image) -> SimpleITK.Image:
    return SimpleITK.DICOMOrient(image, "RAS")


def ask(root: Path, reader: str, images: Path, strategy: str) -> Path:
    """Ask an untrained model of that reader; return the query's folder."""
    model = given_folder(root / reader, plans=plain_plans() | {"image_reader_writer": reader})
    raw = root / reader / "Dataset003_Turned"
    raw.mkdir()
    labels = PLAIN_DESCRIPTION["labels"] | {"ignore": 2}
    (raw / "dataset.json").write_text(json.dumps(PLAIN_DESCRIPTION | {"labels": labels}))
    al_bench(
        "query", "--images", images, "--dataset", raw, "--model", model, "--budget", 6, "--audit", 1, "--strategy",
        strategy, "--name", "turned", "--device", "cpu", "--cache", root / "cache", "--out", root / reader / "q",
    )  # fmt: skip
    return root / reader / "q"


@pytest.mark.parametrize("reader", ["SimpleITKIOWithReorient", "NibabelIOWithReorient"])
def test_the_same_voxels_are_asked(reader: str, phantom: Dataset, tmp_path: Path) -> None:
    stored, straight = tmp_path / "stored", tmp_path / "straight"
    stored.mkdir()
    straight.mkdir()
    for case, direction in zip(phantom.cases, ORIENTATIONS, strict=False):
        image = SimpleITK.ReadImage(str(case.images[0]))
        image.SetDirection(DIRECTIONS[direction].ravel().tolist())
        SimpleITK.WriteImage(image, str(stored / f"{case.name}_0000.nii.gz"))
        SimpleITK.WriteImage(turned(image), str(straight / f"{case.name}_0000.nii.gz"))
    found, expected = ask(tmp_path, reader, stored, "usim-f"), ask(tmp_path, "SimpleITKIO", straight, "usim-f")
    ours, theirs = (Query.read(folder / "query.json") for folder in (found, expected))
    assert [(u.case, u.axis, u.index) for u in ours.units] == [(u.case, u.axis, u.index) for u in theirs.units]
    for name in ours.cases:
        task, straight_task = (SimpleITK.ReadImage(str(f / "tasks" / f"{name}.nii.gz")) for f in (found, expected))
        image = SimpleITK.ReadImage(str(stored / f"{name}_0000.nii.gz"))
        assert task.GetSize() == image.GetSize()
        assert task.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)
        assert (SimpleITK.GetArrayViewFromImage(turned(task)) == SimpleITK.GetArrayViewFromImage(straight_task)).all()
