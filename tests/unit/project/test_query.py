"""Queries of a small pool: what was asked before, labels that say to lie elsewhere, images nobody can train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from albench.errors import InputError
from albench.machine.files import write_json
from albench.progress import SILENT
from albench.project.query import Answer, make_query
from albench.project.request import QueryRequest
from albench.results.query import Query
from tests.support.given_model import given_folder, plain_plans
from tests.support.hostile import DESCRIPTION


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Folder with images of two cases, eight slices each, and a raw data set."""
    images = tmp_path / "images"
    images.mkdir()
    for number, case in enumerate(("a", "b")):
        voxels = np.random.default_rng(number).normal(100, 10, (8, 20, 18)).astype(np.float32)
        image = SimpleITK.GetImageFromArray(voxels)
        image.SetSpacing((1.0, 1.0, 2.5))
        SimpleITK.WriteImage(image, str(images / f"{case}_0000.nii.gz"))
    write_json(tmp_path / "Dataset012_Clinic" / "dataset.json", dict(DESCRIPTION))
    return images


def ask(pool: Path, out: str, budget: int = 5, **options: Any) -> Answer:
    root = pool.parent
    places = {"dataset": root / "Dataset012_Clinic", "cache": root / "cache"}
    return make_query(
        QueryRequest(pool, root / out, budget, **({"strategy": "random", "device": "cpu"} | places | options)), SILENT
    )


def label_elsewhere(pool: Path) -> np.ndarray:
    """Label half of each slice of a case, and say that it lies a centimetre beside its image; (k, j, i)."""
    image = SimpleITK.ReadImage(str(pool / "a_0000.nii.gz"))
    labels = np.full((8, 20, 18), 2, np.uint8)
    labels[:, :10] = np.random.default_rng(5).integers(0, 2, (8, 10, 18))
    made = SimpleITK.GetImageFromArray(labels)
    made.CopyInformation(image)
    made.SetOrigin((10.0, 0.0, 0.0))
    (pool.parent / "Dataset012_Clinic/labelsTr").mkdir()
    SimpleITK.WriteImage(made, str(pool.parent / "Dataset012_Clinic/labelsTr/a.nii.gz"))
    return labels


def test_labels_may_be_trusted_to_lie_over_their_images(pool: Path) -> None:
    labels = label_elsewhere(pool)
    with pytest.raises(InputError, match=r"expected the image's origin .* --trust-image-geometry takes its image's"):
        ask(pool, "refused")
    answer = ask(pool, "q", 16, trust_image_geometry=True, prefill="none")
    task = SimpleITK.ReadImage(str(pool.parent / "q/tasks/a.nii.gz"))
    assert len(answer.query.units) == 16
    assert (SimpleITK.GetArrayFromImage(task) == labels).all()
    assert task.GetOrigin() == (0.0, 0.0, 0.0)


def test_a_reader_that_goes_by_headers_cannot_trust(pool: Path, tmp_path: Path) -> None:
    label_elsewhere(pool)
    reader = {"image_reader_writer": "SimpleITKIOWithReorient"}
    model = given_folder(tmp_path / "model", plans=plain_plans() | reader)
    with pytest.raises(InputError, match="with the reader SimpleITKIOWithReorient, which turns them by their headers"):
        ask(pool, "q", strategy="entropy", model=model, trust_image_geometry=True)
    assert not (pool.parent / "q").exists()


def test_images_that_no_network_takes_are_not_asked(pool: Path) -> None:
    for name in ("a", "b"):
        image = SimpleITK.ReadImage(str(pool / f"{name}_0000.nii.gz"))
        SimpleITK.WriteImage(image[:4, :4, :3], str(pool / f"{name}_0000.nii.gz"))
    with pytest.raises(InputError, match="expected images that nnU-Net can train on"):
        ask(pool, "q")
    assert not (pool.parent / "q").exists()


def test_a_query_after_another(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ask(pool, "q0").query
    registered = pool.parent / "Dataset012_Clinic" / "albench/queries" / str(first.id) / "query.json"
    assert Query.read(registered) == first
    reads: list[Path] = []
    real = Query.read.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Query], path: Path) -> Query:
        reads.append(path.resolve())
        return real(cls, path)  # type: ignore[no-any-return]

    monkeypatch.setattr(Query, "read", classmethod(counted))
    second = ask(pool, "q1")
    assert reads.count(registered.resolve()) == 1
    assert (first.round, second.query.round) == (0, 1)
    assert second.n_candidates == 16 - 5
    assert not {unit.unit for unit in first.units} & {unit.unit for unit in second.query.units}
