"""A label lies on the image's grid whichever way its axes run, or it is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from albench.annotation.grid import Grid, GridError, place
from albench.annotation.returned import read_returned
from albench.errors import InputError
from tests.support.oriented import DIRECTIONS, image

SHAPE = (5, 6, 7)


def grid_of(made: SimpleITK.Image, folder: Path) -> Grid:
    path = folder / "grid.nrrd"
    SimpleITK.WriteImage(made, str(path))
    return Grid.of_file(path)


turns = st.tuples(
    st.permutations([0, 1, 2]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    shape = tuple(draw(st.integers(1, 6)) for _ in range(3))
    spacing = [draw(st.floats(0.1, 9)) for _ in range(3)]
    origin = [draw(st.floats(-500, 500)) for _ in range(3)]
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = origin
    return Grid((shape[0], shape[1], shape[2]), affine)


def turned(grid: Grid, voxels: np.ndarray, axes: list[int], flips: tuple[bool, ...]) -> tuple[Grid, np.ndarray]:
    """The same voxels at the same places, with other axes."""
    assert grid.affine is not None
    there = voxels.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    matrix = np.eye(4)
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        matrix[:3, new] = 0
        matrix[old, new] = -1 if flip else 1
        matrix[old, 3] = grid.shape[old] - 1 if flip else 0
    return Grid((there.shape[0], there.shape[1], there.shape[2]), grid.affine @ matrix), there


@given(grids(), turns, st.data())
def test_axes_are_found_again(grid: Grid, turn: tuple[list[int], tuple[bool, ...]], data: st.DataObject) -> None:
    voxels = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    low = [data.draw(st.integers(0, edge - 1)) for edge in grid.shape]
    high = [data.draw(st.integers(first + 1, edge)) for first, edge in zip(low, grid.shape, strict=True)]
    box = tuple(map(slice, low, high))
    assert grid.affine is not None
    shift = np.eye(4)
    shift[:3, 3] = low
    part = Grid(tuple(np.subtract(high, low).tolist()), grid.affine @ shift)  # type: ignore[arg-type]
    file, there = turned(part, voxels[box], *turn)
    noise = 1 + 1e-7 * np.random.default_rng(0).normal(size=(4, 4))  # as float32 headers have it
    placement = place(Grid(file.shape, file.affine * noise), grid)  # type: ignore[operator]
    found = np.full(grid.shape, -1)
    found[placement.box] = placement.turn(there)
    assert (found[box] == voxels[box]).all()
    assert (found == -1).sum() == voxels.size - voxels[box].size


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_formats_move_nothing(direction: str, ending: str, tmp_path: Path) -> None:
    made = image(DIRECTIONS[direction], SHAPE)
    onto = grid_of(made, tmp_path)
    labels = SimpleITK.GetImageFromArray(np.arange(210, dtype=np.uint8).reshape(SHAPE) % 3)
    labels.CopyInformation(made)
    path = tmp_path / f"label{ending}"
    SimpleITK.WriteImage(labels, str(path))
    returned = read_returned(path, onto, {})
    assert not returned.placement.is_turned and returned.placement.is_whole
    assert (returned.voxels.transpose() == SimpleITK.GetArrayFromImage(labels)).all()


def _moved(made: SimpleITK.Image, **changes: object) -> SimpleITK.Image:
    copy = SimpleITK.Image(made)
    for what, value in changes.items():
        getattr(copy, f"Set{what}")(value)
    return copy


def test_other_grids_are_refused(tmp_path: Path) -> None:
    made = image(np.eye(3), SHAPE)
    onto = grid_of(made, tmp_path)
    x, y, z = made.GetOrigin()
    dx, dy, dz = made.GetSpacing()
    tilt = Rotation.from_euler("z", 3, degrees=True).as_matrix().ravel().tolist()
    wrong = {
        "7 x 6 x 5 voxels of 0.9765625 x 0.7 x 2.5 mm, found 7 x 6 x 5 of 1.953125 x 0.7 x 2.5 mm; export": _moved(
            made, Spacing=(2 * dx, dy, dz)
        ),
        "off by 0.50 voxels": _moved(made, Origin=(x + dx / 2, y, z)),
        "voxels of the image alone, 7 x 6 x 5, found 7 x 6 x 5 from voxel (1, 0, 0) on": _moved(
            made, Origin=(x + dx, y, z)
        ),
        "expected the image's grid": _moved(made, Direction=tilt),
        "from voxel (0, -1, 0) on": _moved(made[:, :3, :], Origin=(x, y - dy, z)),
    }
    for message, file in wrong.items():
        with pytest.raises(GridError) as error:
            place(grid_of(file, tmp_path), onto)
        assert message in str(error.value)
    assert place(grid_of(made[1:5, 2:, :3], tmp_path), onto).start == (1, 2, 0)


def test_files_without_header(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    from PIL import Image

    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path)
    grid = Grid.of_file(path)
    assert grid.shape == (4, 3, 1) and grid.affine is None and grid.spacing_mm == (1, 1, 1)
    assert read_returned(path, grid, {}).voxels[3, 2, 0] == 11
    with pytest.raises(GridError, match=r"expected 4 x 4 x 1 voxels, found 4 x 3 x 1"):
        place(grid, Grid((4, 4, 1), None))


def test_no_more_than_the_image_is_read(tmp_path: Path) -> None:
    """A header is a few bytes, what it declares may be more than any memory holds."""
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 60000 60000 60000\nencoding: gzip\n"
    header += "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
    for name in ("a.nrrd", "a.seg.nrrd"):
        (tmp_path / name).write_bytes(header.encode() + b"x")
        with pytest.raises((GridError, InputError), match="voxels of the image alone"):
            read_returned(tmp_path / name, Grid(SHAPE, np.eye(4)), {})
