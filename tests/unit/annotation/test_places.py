"""Where units lie in files: as ITK has it, whatever the orientation, and as nnU-Net's reader has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIOWithReorient
from scipy.spatial.transform import Rotation

from albench.annotation.places import FileGrid, file_grid, middle, placed, plane_name, point_ras
from albench.results.query import QueriedUnit
from tests.support.oriented import DIRECTIONS, SHAPE, SPACING, write


def slice_of(index: int, axis: int = 0) -> QueriedUnit:
    return QueriedUnit(case="c", index=index, axis=axis)


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    mirrored=st.booleans(),
    spacing=st.tuples(*[st.floats(0.01, 50)] * 3),
    origin=st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    box=st.tuples(*[st.tuples(st.integers(0, 300), st.integers(1, 300))] * 3),
)
def test_the_centre_is_where_itk_has_it(
    tmp_path_factory: pytest.TempPathFactory,
    angles: tuple[float, ...],
    mirrored: bool,
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    box: tuple[tuple[int, int], ...],
) -> None:
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * (1, 1, -1 if mirrored else 1)
    path = tmp_path_factory.mktemp("place") / "a.mha"
    made = SimpleITK.Image(2, 2, 2, SimpleITK.sitkUInt8)
    made.SetSpacing(spacing)
    made.SetOrigin(origin)
    made.SetDirection(direction.ravel().tolist())
    SimpleITK.WriteImage(made, str(path))
    affine = file_grid(path).affine
    assert affine is not None
    start, stop = [low for low, _ in box], [low + size for low, size in box]
    index = middle(start, stop)
    expected = SimpleITK.ReadImage(str(path)).TransformContinuousIndexToPhysicalPoint(index)
    np.testing.assert_allclose(point_ras(affine, index), np.array(expected) * (-1, -1, 1), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("axis", range(3))
def test_the_corners_of_a_slice_span_its_edges(tmp_path: Path, name: str, axis: int) -> None:
    write(tmp_path / "a.nrrd", DIRECTIONS[name])
    found = placed(slice_of(2, axis), file_grid(tmp_path / "a.nrrd"))
    assert (found.file_axis, found.file_index) == ("kji"[axis], 2)
    corners = np.array(found.corners_ras_mm)
    np.testing.assert_allclose(corners.mean(axis=0), found.centre_ras_mm)
    edges = [SHAPE[::-1][a] * SPACING[a] for a in range(3) if a != 2 - axis]
    assert np.allclose(np.linalg.norm(corners[[1, 2]] - corners[0], axis=1), edges)


@pytest.mark.parametrize(
    ("reader", "ending"),
    [(NibabelIOWithReorient, ".nii"), (NibabelIOWithReorient, ".nii.gz"), (SimpleITKIOWithReorient, ".nii.gz"),
     (SimpleITKIOWithReorient, ".mha")],
)  # fmt: skip
@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_reader_that_turns_is_followed(tmp_path: Path, name: str, reader: type, ending: str) -> None:
    path = tmp_path / f"a_0000{ending}"
    write(path, DIRECTIONS[name])
    seen, _ = reader().read_images((str(path),))
    stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T
    grid = file_grid(path, reader.__name__)
    assert (grid.as_stored(seen[0]) == stored.T).all()
    for axis in range(3):
        unit = placed(slice_of(1, axis), grid)
        start, stop = unit.box_ijk(grid.shape)
        box = stored[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))]
        assert sorted(box.ravel()) == sorted(seen[0].take(1, axis=axis).ravel())
    patch = placed(QueriedUnit(case="c", index=0, start=(0, 1, 2), stop=(2, 5, 3)), grid)
    assert patch.file_start is not None
    assert patch.file_stop is not None
    box = stored[tuple(slice(low, high) for low, high in zip(patch.file_start, patch.file_stop, strict=True))]
    assert sorted(box.ravel()) == sorted(seen[0][0:2, 1:5, 2:3].ravel())
    assert len(patch.corners_ras_mm) == 8


@pytest.mark.parametrize(
    ("name", "planes", "orientation"),
    [
        ("lps", ("sagittal", "coronal", "axial"), "LPS"),
        ("ras", ("sagittal", "coronal", "axial"), "RAS"),
        ("permuted", ("coronal", "axial", "sagittal"), "PIL"),
        ("oblique", ("oblique sagittal 9°", "oblique coronal 19°", "oblique axial 18°"), "LPS"),
    ],
)
def test_planes_have_names(tmp_path: Path, name: str, planes: tuple[str, ...], orientation: str) -> None:
    write(tmp_path / "a.nrrd", DIRECTIONS[name])
    grid = file_grid(tmp_path / "a.nrrd")
    assert grid.affine is not None
    assert tuple(plane_name(grid.affine, axis) for axis in range(3)) == planes
    assert grid.orientation == orientation


@pytest.mark.parametrize(
    ("degrees", "name"), [(0.4, "axial"), (17.2, "oblique axial 17°"), (50, "oblique coronal 40°")]
)
def test_a_tilt_is_told(degrees: float, name: str) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix() * (0.5, 0.5, 8)
    assert plane_name(affine, 2) == name


def test_a_file_of_two_axes_is_one_slice(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", DIRECTIONS["lps"], (6, 7))
    found = placed(slice_of(0), file_grid(tmp_path / "a.nii.gz"))
    assert (found.file_axis, found.file_index, found.plane) == ("k", 0, "axial")
    assert len(found.corners_ras_mm) == 4


def test_a_photograph_has_no_place_in_the_body() -> None:
    found = placed(slice_of(0), FileGrid((7, 6, 1), None))
    assert (found.plane, found.centre_ras_mm, found.corners_ras_mm) == ("image", None, ())


@pytest.mark.parametrize(
    "unit",
    [slice_of(5), slice_of(9), QueriedUnit(case="c", index=0, start=(0, 0, 0), stop=(6, 1, 1))],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_outside_is_refused(unit: QueriedUnit, backwards: bool) -> None:
    grid = FileGrid(SHAPE[::-1], np.eye(4), ((2, backwards), (1, False), (0, False)))
    with pytest.raises(ValueError, match="expected a"):
        placed(unit, grid)
