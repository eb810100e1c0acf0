"""What verification has seen of images need not be read again: pools and plans come out the same."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch

from albench.data import Dataset, verify_cases
from albench.training import scan
from albench.training.nnunet import NnunetTrainer
from albench.units.pool import Split
from tests.support.fake_study import fake_protocol
from tests.support.framed_data import make_framed
from tests.support.raw_fixtures import image_of, load, make_raw


def plain(root: Path) -> Dataset:
    return load(make_raw(root))


def nrrd(root: Path) -> Dataset:
    return load(make_raw(root, ending=".nrrd"))


def nii(root: Path) -> Dataset:
    return load(make_raw(root, ending=".nii"))


def framed(root: Path) -> Dataset:
    return make_framed(root, 3, (10, 30, 26))


def hollow(root: Path) -> Dataset:
    """Images with zeros inside of what is not zero, and one of zeros alone."""
    made = make_raw(root)
    for number, values in enumerate((0, 60)):
        image = SimpleITK.ReadImage(str(image_of(made, number)))
        voxels = SimpleITK.GetArrayFromImage(image)
        changed = SimpleITK.GetImageFromArray(np.where(voxels > values, voxels, 0) if number else voxels * 0)
        changed.CopyInformation(image)
        SimpleITK.WriteImage(changed, str(image_of(made, number)))
    return load(made)


def channels(root: Path) -> Dataset:
    made = make_raw(root, channel_names={"0": "T1", "1": "T2"})
    for path in list((made / "imagesTr").iterdir()):
        image = SimpleITK.ReadImage(str(path))
        SimpleITK.WriteImage(image * 0 if "c1" in path.name else image + 1, str(path).replace("_0000", "_0001"))
    return load(made)


@pytest.mark.parametrize("make", [plain, nrrd, nii, framed, hollow, channels])
def test_no_image_is_read_for_the_same_pool(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make(tmp_path / "data")
    facts, split = verify_cases(dataset, n_workers=1).facts, Split(dataset.case_names, ())
    assert set(facts) == set(dataset.case_names)

    def scanned(name: str, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
        trainer = NnunetTrainer(dataset, fake_protocol(), torch.device("cpu"), tmp_path / name, 0, **options)
        pool = trainer.scan(split, lambda: None).pool
        return pool, [asdict(found) for _, found in sorted(trainer._scans.items())]

    expected, expected_scans = scanned("read")
    monkeypatch.setattr(scan, "read_case_images", lambda *_: pytest.fail("an image is read"))
    pool, scans = scanned("known", facts=facts)
    assert pool.units == expected.units and pool.axes == expected.axes
    for name in ("voxel_counts", "border_counts", "starts", "stops"):
        np.testing.assert_array_equal(getattr(pool, name), getattr(expected, name))
    for one, other in zip(scans, expected_scans, strict=True):
        for key in ("shape", "spacing_mm", "box"):
            assert one[key] == other[key]
        for key in ("voxel_counts", "border_counts"):
            assert all(np.array_equal(a, b) for a, b in zip(one[key], other[key], strict=True))
