"""One plan before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from albench.data import CaseFacts, Dataset, Problem, examine
from albench.errors import InputError
from albench.protocols import load_protocol
from albench.training import feasible
from albench.training.feasible import planning_problems
from tests.support.raw_fixtures import ball, image_of, label_of, load, make_raw, nifti

QUICK = load_protocol("quick").network


def found(dataset: Dataset, settings: object = QUICK) -> list[Problem]:
    return planning_problems(dataset, examine(dataset, n_workers=1).facts, settings)  # type: ignore[arg-type]


def test_what_can_be_trained_is_not_mentioned(tmp_path: Path) -> None:
    assert found(load(make_raw(tmp_path / "own"))) == []
    assert found(load(make_raw(tmp_path / "crops", shape=(8, 12, 12)))) == []


@pytest.mark.parametrize("shape", [(3, 4, 4), (8, 6, 6), (1, 1, 40), (8, 6, 200)])
def test_images_too_small_are_named(shape: tuple[int, ...], tmp_path: Path) -> None:
    dataset = load(make_raw(tmp_path / "own", shape=shape))
    (problem,) = found(dataset)
    assert (problem.kind, problem.stops_a_run) == ("untrainable", True)
    assert problem.message.startswith(
        f"{dataset.case(problem.case).images[0]}: expected images that nnU-Net can train on"
    )


def test_what_is_left_of_a_crop_counts(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    for number in range(3):
        image = np.zeros((8, 20, 20), np.float32)
        image[3:6, 8:12, 8:12] = ball(number)[0][3:6, 8:12, 8:12]
        nifti(image_of(root, number), image)
    (problem,) = found(load(root))
    assert "found (3, 4, 4) voxels" in problem.message


@pytest.mark.parametrize("edge", [0.02, 50.0])
def test_a_case_that_resampling_makes_nothing_or_too_much_of_is_named(
    edge: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feasible, "memory_bytes", lambda: 20_000_000)
    root = make_raw(tmp_path / "own")
    for path, array in zip((image_of, label_of), ball(1), strict=True):
        nifti(path(root, 1), array, np.diag([edge, edge, 3 * edge, 1]))
    (problem,) = found(load(root))
    assert (problem.case, problem.kind) == ("c1", "untrainable")
    assert "when it is resampled" in problem.message


def test_a_single_case_leaves_none_to_test_on(tmp_path: Path) -> None:
    (problem,) = found(load(make_raw(tmp_path / "own", n=1)))
    assert "expected 2 cases or more" in problem.message


def test_patches_of_single_slices_are_refused(tmp_path: Path) -> None:
    dataset = load(make_raw(tmp_path / "own", shape=(1, 24, 24)))
    assert found(dataset) == []
    with pytest.raises(InputError, match="expected 2d for images of a single slice"):
        found(dataset, QUICK.model_copy(update={"configuration": "3d_fullres"}))


def test_nothing_is_read(tmp_path: Path) -> None:
    dataset = load(make_raw(tmp_path / "own"))
    facts = examine(dataset, n_workers=1).facts
    for case in dataset.cases:
        for path in case.files:
            path.unlink()
    assert planning_problems(dataset, facts, QUICK) == []
    assert isinstance(next(iter(facts.values())), CaseFacts)
