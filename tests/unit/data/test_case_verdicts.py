"""After a change the cases that did not change are not read again, and the verdict is that of reading all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import Case, Dataset, examine, load_dataset, verify_cases
from albench.data import case_verdicts as module
from albench.data.case_check import CaseCheck, check_case
from albench.errors import InputError
from tests.support.raw_fixtures import image_of, label_of, make_raw


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of cases, as they are read."""
    names: list[str] = []

    def counted(case: Case, dataset: Dataset) -> CaseCheck:
        names.append(case.name)
        return check_case(case, dataset)

    monkeypatch.setattr(module, "check_case", counted)
    return names


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def change(path: Path, value: float, *, dtype: type = np.uint8) -> None:
    image = SimpleITK.ReadImage(str(path))
    voxels = SimpleITK.GetArrayFromImage(image).astype(dtype)
    voxels[0, 0, 0] = value
    changed = SimpleITK.GetImageFromArray(voxels)
    changed.CopyInformation(image)
    SimpleITK.WriteImage(changed, str(path))


def test_only_what_changed_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    root = make_raw(tmp_path / "own", 4)
    image_of(root, 3).write_bytes(image_of(root, 2).read_bytes())  # a twin, which no case knows of by itself
    first = verify_cases(load(root), n_workers=2)
    assert sorted(reads) == ["c0", "c1", "c2", "c3"]
    reads.clear()
    change(label_of(root, 1), 1)
    second = verify_cases(load(root), n_workers=2)
    assert reads == ["c1"]
    assert second == first == examine(load(root), n_workers=1)
    assert [problem.kind for problem in second.problems] == ["duplicate"]
    reads.clear()
    change(image_of(root, 0), np.inf, dtype=np.float32)
    for _ in range(2):  # what stops a run is read again
        with pytest.raises(InputError, match=r"c0.*expected finite intensities"):
            verify_cases(load(root), n_workers=2)
    assert reads == ["c0", "c0"]


def test_another_description_is_another_check(tmp_path: Path, reads: list[str]) -> None:
    root = make_raw(tmp_path / "own", 2)
    verify_cases(load(root), n_workers=1)
    reads.clear()
    description = (root / "dataset.json").read_text()
    (root / "dataset.json").write_text(description.replace('"ball": 1', '"ball": 1, "box": 2'))
    (remark,) = verify_cases(load(root), n_workers=1).problems
    assert (remark.kind, sorted(reads)) == ("absent class", ["c0", "c1"])


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "null"])
def test_a_damaged_memory_is_none(content: str, tmp_path: Path, reads: list[str]) -> None:
    root = make_raw(tmp_path / "own", 2)
    expected = verify_cases(load(root), n_workers=1)
    (memory,) = (tmp_path / "cache" / "verified-cases").iterdir()
    whole = memory.read_text()
    for damaged in (content, whole.replace('"n_axes"', '"axes"')):
        memory.write_text(damaged)
        change(label_of(root, 1), 1 if damaged is content else 0)
        reads.clear()
        assert verify_cases(load(root), n_workers=1) == expected
        assert sorted(reads) == ["c0", "c1"]
