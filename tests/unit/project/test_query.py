"""Queries of a small pool: what was asked before, labels that say to lie elsewhere, images nobody can train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from albench.annotation.importing import ImportRequest, import_labels
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


def test_what_was_trusted_once_comes_back(pool: Path) -> None:
    """The query remembers it; so the import needs no word of it, and a file with a header of its own is no obstacle."""
    labels, raw = label_elsewhere(pool), pool.parent / "Dataset012_Clinic"
    query = ask(pool, "q", 16, trust_image_geometry=True, prefill="none").query
    assert Query.read(pool.parent / "q/query.json").trust_image_geometry
    labels[:, 10:] = 1
    for case in "ab":
        drawn = np.ones((8, 20, 18), np.uint8) if case == "b" else labels
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(drawn), str(pool.parent / f"q/tasks/{case}.nii.gz"))
    report = import_labels(ImportRequest(pool.parent / "q", pool.parent / "q/tasks", raw))
    assert {(finding.level, finding.kind, finding.case) for finding in report.findings} == {
        ("note", "grid", "a"),
        ("note", "grid", "b"),
    }
    assert "the image's geometry is trusted, not the file's: expected the image's grid" in report.findings[0].message
    assert [entry.state for entry in report.entries] == ["done"] * len(query.units)
    taken = SimpleITK.ReadImage(str(raw / "labelsTr/a.nii.gz"))
    assert (SimpleITK.GetArrayFromImage(taken) == labels).all()
    assert taken.GetSpacing() == (1.0, 1.0, 2.5)
    assert all(line.endswith(" --trust-image-geometry") for line in report.next_steps()[:2])


def test_labels_that_lie_elsewhere_since_the_query(pool: Path) -> None:
    ask(pool, "q", 16, prefill="none")
    labels = label_elsewhere(pool)
    labels[:, 10:] = 0
    task = pool.parent / "q/tasks/a.nii.gz"
    handed = SimpleITK.ReadImage(str(task))
    drawn = SimpleITK.GetImageFromArray(labels)
    drawn.CopyInformation(handed)
    SimpleITK.WriteImage(drawn, str(task))
    asked = ImportRequest(pool.parent / "q", task.parent, pool.parent / "Dataset012_Clinic")
    (problem,) = (finding for finding in import_labels(asked).findings if finding.level == "error")
    assert problem.kind == "image" and problem.message.endswith("--trust-image-geometry takes it voxel by voxel")
    assert not import_labels(replace(asked, trust_image_geometry=True)).is_refused


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
