"""Preprocessed images that are taken again are those that would be made anew, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch

from albench.data import Case, Dataset
from albench.training import preprocess
from albench.training.kept import KeptImages, kept_images, recipe_of
from albench.training.nnunet import NnunetTrainer
from albench.units.pool import Split
from tests.support.fake_study import fake_protocol
from tests.support.framed_data import make_framed
from tests.support.hostile import PLANS

CONFIGURATION: dict[str, Any] = next(iter(PLANS["configurations"].values()))
PROPERTIES = {
    "spacing": [1.0, 1.0, 1.0],
    "shape_before_cropping": (4, 4, 4),
    "bbox_used_for_cropping": [(0, 4), (0, 4), (0, 4)],
    "shape_after_cropping_and_before_resampling": (4, 4, 4),
}


def case_of(folder: Path, number: int) -> Case:
    path = folder / f"c{number}_0000.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full((4, 4, 4), number, np.uint8)), str(path))
    return Case(f"c{number}", (path,), None)


def keep(images: KeptImages, case: Case, folder: Path, content: bytes = b"image") -> None:
    (folder / "made.b2nd").unlink(missing_ok=True)  # what is kept has a second name
    (folder / "made.b2nd").write_bytes(content)
    outside = np.zeros((1, 4, 4, 4), bool)
    outside[0, 0] = True
    images.keep(case, folder / "made.b2nd", outside, PROPERTIES)


def test_what_is_kept_comes_back_for_the_same_image_alone(tmp_path: Path) -> None:
    first, second = case_of(tmp_path, 1), case_of(tmp_path, 2)
    images = KeptImages(tmp_path / "kept", "r")
    keep(images, first, tmp_path)
    assert images.find(second) is None
    found = images.find(first)
    assert found is not None and found.image.read_bytes() == b"image"
    assert found.outside.sum() == 16 and found.properties["shape_before_cropping"] == (4, 4, 4)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full((4, 4, 4), 9, np.uint8)), str(first.images[0]))
    assert images.find(first) is None


def test_damaged_ones_are_not_taken_and_unused_ones_go(tmp_path: Path) -> None:
    first, second = case_of(tmp_path, 1), case_of(tmp_path, 2)
    images = KeptImages(tmp_path / "kept", "r")
    keep(images, first, tmp_path)
    keep(images, second, tmp_path, b"other")
    found = images.find(first)
    assert found is not None
    found.image.unlink()
    found.image.write_bytes(b"damage")
    assert images.find(first) is None
    keep(images, first, tmp_path)
    again = KeptImages(tmp_path / "kept", "r")
    assert again.find(first) is not None
    again.drop_unused()
    assert again.find(second) is None and again.find(first) is not None
    assert KeptImages(tmp_path / "kept", "another").find(first) is None
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["another"]


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"spacing": [2.0, 2.0]}, True),
        ({"patch_size": [32, 16]}, True),
        ({"batch_size": 99}, False),
        ({"architecture": {}}, False),
    ],
)
def test_a_recipe_is_what_images_depend_on(change: Mapping[str, Any], is_another: bool) -> None:
    plans = dict(PLANS)
    assert (recipe_of(plans, CONFIGURATION) != recipe_of(plans, CONFIGURATION | change)) == is_another


@pytest.mark.parametrize(("scheme", "is_another"), [("ZScoreNormalization", False), ("CTNormalization", True)])
def test_intensities_count_where_a_normalisation_looks_at_them(scheme: str, is_another: bool) -> None:
    configuration = CONFIGURATION | {"normalization_schemes": [scheme]}
    one, other = (
        {**PLANS, "foreground_intensity_properties_per_channel": {"0": {"mean": mean}}} for mean in (1.0, 2.0)
    )
    assert (recipe_of(one, configuration) != recipe_of(other, configuration)) == is_another


def test_the_same_store_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels change and images are not made again, nor do they differ from those that are made anew."""
    dataset = make_framed(tmp_path / "data", 3, (10, 30, 26))
    kept, split = tmp_path / "kept", Split(("case_0", "case_1", "case_2"), ())

    def files(name: str, of: Dataset, kept: Path | None) -> dict[str, Any]:
        work = tmp_path / name
        trainer = NnunetTrainer(of, fake_protocol(), torch.device("cpu"), work, 0, kept=kept)
        pool = trainer.scan(split, lambda: None).pool
        start = [unit for unit in pool.units if unit.case == "case_1"]
        trainer.preprocess(split, pool, start[1::4], lambda: None)
        found: dict[str, Any] = {}
        for case in split.pool:
            # of arrays: blosc2's threads write equal ones in files that differ
            found[f"{case} image"] = trainer.store.image(case).tobytes()
            found[f"{case} labels"] = trainer.store.reference(case).tobytes()
            found[f"{case} properties"] = trainer.store.properties(case)
        return found

    first = files("first", dataset, kept)
    first_case, *others = dataset.cases
    unlabelled = replace(dataset, cases=(replace(first_case, label=None), *others))
    anew = files("anew", unlabelled, None)
    calls: list[Any] = []
    run_case = preprocess._Preprocessor.run_case

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return run_case(*arguments)

    monkeypatch.setattr(preprocess._Preprocessor, "run_case", counted)
    again = files("again", unlabelled, kept)
    assert again == anew and not calls
    changed = {name for name in first if first[name] != again[name]}
    assert changed == {"case_0 labels"}
    files("others", unlabelled, None)
    assert len(calls) == 3


def test_another_process_that_has_them_is_left_alone(tmp_path: Path) -> None:
    with kept_images(tmp_path, "r") as first, kept_images(tmp_path, "s") as second:
        assert first is not None and second is None
    with kept_images(tmp_path, "s") as third:
        assert third is not None
