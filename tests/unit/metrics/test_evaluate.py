from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from albench.config import EvaluationSettings
from albench.data import Case, Dataset
from albench.data.images import write_image
from albench.errors import InputError
from albench.metrics.evaluate import EVALUATION_COLUMNS, SurfaceSettings, dice_score, evaluate, surface_settings
from albench.training.reading import read_label


@settings(deadline=None)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(*[hnp.arrays(np.bool_, n)] * 2)))
def test_dice_is_twice_the_overlap_over_the_sizes(masks: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = ({int(i) for i in np.flatnonzero(mask)} for mask in masks)
    found = dice_score(*masks)
    if a or b:
        assert found == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
        assert found == dice_score(*masks[::-1])
    else:
        assert np.isnan(found)


def test_dice_of_masks_by_hand() -> None:
    reference = np.zeros((2, 3, 4), dtype=bool)
    prediction = reference.copy()
    reference[0, :2, :3], prediction[0, 1:, :3] = True, True  # 6 and 6 voxels, 3 in common
    assert dice_score(prediction, reference) == 0.5
    assert dice_score(reference, reference) == 1
    assert dice_score(~reference, reference) == 0
    assert dice_score(np.zeros_like(reference), reference) == 0


def test_dice_of_two_empty_masks_is_not_a_number() -> None:
    empty = np.zeros((3, 3), dtype=bool)
    assert np.isnan(dice_score(empty, empty))


def test_dice_counts_beyond_what_a_byte_holds() -> None:
    mask = np.ones((70, 70, 70), dtype=bool)
    assert dice_score(mask, mask) == 1


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1), (1, 2), (6,)])
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="prediction: expected the reference's shape"):
        dice_score(np.ones(shape, dtype=bool), np.ones((3, 2), dtype=bool))


class StoredModel:
    """Label maps of two cases, as predicted and as they are."""

    maps: ClassVar = {"p": ([1, 1, 0, 2], [1, 0, 0, 2]), "q": ([0, 0, 0, 0], [0, 0, 2, 0])}

    def predict(self, case: str) -> Any:
        return np.array(self.maps[case][0], dtype=np.uint8)

    def reference(self, case: str) -> Any:
        return np.array(self.maps[case][1], dtype=np.uint8)


def test_every_foreground_class_of_every_case_gets_a_row() -> None:
    calls: list[None] = []
    labels = {2: "tail", 0: "background", 1: "head"}
    table = evaluate(StoredModel(), ["q", "p"], labels, lambda: calls.append(None))  # type: ignore[arg-type]
    assert list(table.columns) == EVALUATION_COLUMNS
    rows = list(table.itertuples(index=False, name=None))
    assert [row[:3] for row in rows] == [("q", 1, "head"), ("q", 2, "tail"), ("p", 1, "head"), ("p", 2, "tail")]
    np.testing.assert_allclose([row[3] for row in rows], [np.nan, 0, 2 / 3, 1])
    assert len(calls) == 2
    assert table[["nsd", "hd95"]].isna().all(axis=None), "distances were not asked for"


def test_distances_are_measured_where_the_spacing_is_known() -> None:
    settings = SurfaceSettings(lambda case: (2.0,) if case == "p" else None, 1.0)
    labels = {0: "background", 1: "head", 2: "tail", 3: "nowhere"}
    table = evaluate(StoredModel(), ["p", "q"], labels, surfaces=settings).set_index(["case", "label"])  # type: ignore[arg-type]
    # head of p: voxels 0 and 1 against 0; one voxel is 2 mm
    assert table.loc[("p", 1), "nsd"] == pytest.approx(2 / 3)
    assert table.loc[("p", 1), "hd95"] == pytest.approx(0.95 * 2)
    assert tuple(table.loc[("p", 2), ["nsd", "hd95"]]) == (1, 0)
    assert table.loc[("p", 3), ["dice", "nsd", "hd95"]].isna().all()
    assert table.loc["q", ["nsd", "hd95"]].isna().all(axis=None)


def test_a_prediction_of_another_shape_names_its_case() -> None:
    class Cropped(StoredModel):
        def predict(self, case: str) -> Any:
            return super().predict(case)[:3]

    with pytest.raises(InputError, match=r"case p: expected a prediction of the reference's shape \(4,\), got \(3,\)"):
        evaluate(Cropped(), ["p"], {0: "background", 1: "head"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "own", "expected"),
    [({}, 3.0, 3.0), ({"tolerance_mm": 2.0}, 3.0, 2.0), ({"tolerance_mm": 2.0}, None, 2.0), ({}, None, None)],
)
def test_the_tolerance_is_the_data_sets_unless_the_protocol_has_one(
    tmp_path: Path, changes: dict[str, float], own: float | None, expected: float | None
) -> None:
    settings = surface_settings(make_dataset(tmp_path, own), EvaluationSettings(**changes))
    assert settings is not None
    assert settings.tolerance_mm == expected
    assert settings.spacing_mm("a") == pytest.approx((5.0, 0.5, 0.7))


def test_distances_can_be_switched_off_and_a_lost_spacing_gives_none(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, 3.0)
    assert surface_settings(dataset, EvaluationSettings(surface_metrics=False)) is None
    lost = surface_settings(replace(dataset, spacing_is_true=False), EvaluationSettings())
    assert lost is not None
    assert lost.spacing_mm("a") is None


def make_dataset(folder: Path, tolerance_mm: float | None) -> Dataset:
    """One case, spacing (5, 0.5, 0.7) mm along (z, y, x)."""
    array = np.zeros((3, 8, 6), dtype=np.uint8)
    for name in ("image", "label"):
        write_image(array, folder / f"{name}.nii.gz", spacing_mm=(5.0, 0.5, 0.7), note="test")
    case = Case("a", (folder / "image.nii.gz",), folder / "label.nii.gz")
    return Dataset(
        "d",
        "d",
        folder,
        ("MRI",),
        {0: "background", 1: "x"},
        ".nii.gz",
        (case,),
        "patients",
        "0" * 64,
        nsd_tolerance_mm=tolerance_mm,
    )


def test_dice_equals_that_of_nnunets_own_evaluation(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    reference = rng.integers(0, 4, size=(5, 20, 24)).astype(np.uint8)
    reference[reference == 3] = 0  # class 3 is absent from both, class 4 from the prediction
    prediction = np.where(rng.random(reference.shape) < 0.3, rng.permutation(reference), reference)
    reference[0, 0, :7] = 4
    files = tmp_path / "reference.nii.gz", tmp_path / "prediction.nii.gz"
    for array, file in zip((reference, prediction), files, strict=True):
        write_image(array, file, spacing_mm=(3.0, 1.0, 1.0), note="test")
    theirs = compute_metrics(*map(str, files), SimpleITKIO(), [1, 2, 3, 4])["metrics"]

    class FromFiles:
        def predict(self, case: str) -> Any:
            return read_label(files[1])

        def reference(self, case: str) -> Any:
            return read_label(files[0])

    labels = {0: "background", 1: "a", 2: "b", 3: "c", 4: "d"}
    ours = evaluate(FromFiles(), ["case"], labels).set_index("label")["dice"]  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, [theirs[label]["Dice"] for label in (1, 2, 3, 4)], atol=1e-6, rtol=0)
    assert np.isnan(ours[3])
    assert ours[4] == 0
    assert 0.5 < ours[1] < 1, "a comparison of something"


def test_no_cases_give_an_empty_table() -> None:
    table = evaluate(StoredModel(), [], {0: "background", 1: "head"})  # type: ignore[arg-type]
    assert list(table.columns) == EVALUATION_COLUMNS
    assert table.empty
