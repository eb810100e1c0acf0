"""Queries of a small pool, without a model: what was asked before is read once, and not asked again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.machine.files import write_json
from albench.progress import SILENT
from albench.project.query import Answer, make_query
from albench.project.request import QueryRequest
from albench.results.query import Query
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


def ask(pool: Path, out: str) -> Answer:
    root = pool.parent
    return make_query(
        QueryRequest(
            pool,
            root / out,
            5,
            strategy="random",
            dataset=root / "Dataset012_Clinic",
            device="cpu",
            cache=root / "cache",
        ),
        SILENT,
    )


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
