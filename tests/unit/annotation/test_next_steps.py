"""Commands that are printed after an import, and which labelled slices nnU-Net's resampling loses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

from albench.annotation.next_steps import plans_spacing, vanishes
from albench.results.handed_out import AskingModel
from tests.support.annotation_project import make_project

PLANS: dict[str, Any] = {
    "transpose_forward": [1, 0, 2],
    "configurations": {
        "3d_fullres": {"spacing": [0.7, 5.0, 0.9]},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres"},
    },
}


@pytest.mark.parametrize("by_plane", [True, False])
@pytest.mark.parametrize(
    ("n_planes", "n_new"), [(35, 18), (35, 25), (35, 35), (35, 70), (9, 4), (36, 18), (12, 8), (30, 5)]
)
def test_vanishing_is_nnunets(n_planes: int, n_new: int, by_plane: bool) -> None:
    """What nnU-Net's own resampling leaves of one slice among ignored ones."""
    for index in range(n_planes):
        labels = np.full((1, n_planes, 4, 4), 2.0)
        labels[0, index] = 1
        resampled = resample_data_or_seg_to_shape(
            labels, (n_new, 4, 4), (1.0, 1.0, 1.0), (n_planes / n_new, 1.0, 1.0), is_seg=True, order=1, order_z=0,
            force_separate_z=by_plane,
        )  # fmt: skip
        assert vanishes(index, n_planes, n_new) == (not (resampled == 1).any()), index


@given(st.integers(1, 60), st.integers(1, 120), st.data())
def test_finer_grids_lose_nothing(n_planes: int, n_new: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, n_planes - 1))
    if n_new >= n_planes:
        assert not vanishes(index, n_planes, n_new)
    left = sum(not vanishes(each, n_planes, n_new) for each in range(n_planes))
    assert 1 <= left <= n_planes


def test_spacing_of_plans() -> None:
    assert plans_spacing(PLANS, "3d_fullres") == (5.0, 0.7, 0.9)
    assert plans_spacing(PLANS, "3d_cascade_fullres") == (5.0, 0.7, 0.9)
    for plans, name in [(PLANS, "3d_lowres"), ({}, "3d_fullres"), ([], "3d_fullres")]:
        with pytest.raises(ValueError, match="expected the spacing of"):
            plans_spacing(plans, name)
    with pytest.raises(ValueError, match="expected a positive spacing"):
        plans_spacing(PLANS | {"configurations": {"3d": {"spacing": [0, 1, 1]}}}, "3d")


def test_what_is_printed(tmp_path: Path) -> None:
    """Slices are 2.5 mm apart; at 5 mm three of five between them are left."""
    project = make_project(tmp_path, {"a": [1, 2, 3, 4, 5]})
    model = tmp_path / "model with blanks"
    (model / "fold_0").mkdir(parents=True)
    (model / "fold_0/checkpoint_final.pth").write_bytes(b"")
    (model / "plans.json").write_text(json.dumps(PLANS))
    asked = AskingModel(
        folder="../model with blanks", configuration="3d_fullres", folds=(0,), sha256=("0" * 64,), uncertainty="dropout"
    )
    project.query.model_copy(update={"model": asked}).write(project.folder / "query.json")
    project.annotate()
    lines = project.take(unchanged=True).next_steps()
    images = project.image("a").parent
    assert f"al-bench train --dataset {project.raw} --images {images} --out RESULTS --from '{model}'" in lines
    assert lines[1].startswith(f"al-bench query --images {images} --dataset {project.raw} --model RESULTS")
    weights = f"'{model}/fold_0/checkpoint_final.pth'"
    assert f"nnUNetv2_train 11 3d_fullres all -pretrained_weights {weights}" in lines
    gone = sum(vanishes(index, 9, 4) for index in (1, 2, 3, 4, 5))  # 9 planes of 2.5 mm are 4 of 5 mm
    assert f"# {gone} of 5 labelled slices are gone at the spacing of 3d_fullres" in lines[-1]
