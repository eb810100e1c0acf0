"""What editors make of the files: readers of 3D Slicer, ITK-SNAP, Convert3D and slicerio; skipped where absent."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from albench.results.query import Query
from tests.support.handed import hand_out_slices, handed
from tests.support.oriented import DIRECTIONS

LABELS = {"background": 0, "left_kidney": 1, 'tumour, "left"': 2, "absent": 3}
NAMES = ("left_kidney", 'tumour, "left"', "absent", "ignore")


@pytest.fixture(scope="module", params=sorted(DIRECTIONS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_out_slices(tmp_path_factory.mktemp("handed-out"), request.param, LABELS)


def matrix(found: Any) -> np.ndarray:
    return np.array([[found.GetElement(row, column) for column in range(4)] for row in range(4)])


class Segmentation:
    """A segmentation that 3D Slicer has opened."""

    def __init__(self, slicer: Any, path: Path) -> None:
        scene = slicer.vtkMRMLScene()
        self._node, self._storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
        scene.AddNode(self._node)
        scene.AddNode(self._storage)
        self._scene = scene
        self._storage.SetFileName(str(path))
        assert self._storage.ReadData(self._node)
        self.segments = self._node.GetSegmentation()

    def save(self, path: Path) -> Path:
        self._storage.SetFileName(str(path))
        assert self._storage.WriteData(self._node)
        return path


def labels_by_name(path: Path, names: Sequence[str] = NAMES) -> np.ndarray:
    """Labels (k, j, i) of a saved segmentation of one layer, by the names of its segments."""
    image = SimpleITK.ReadImage(str(path))
    stored = SimpleITK.GetArrayFromImage(image)
    found = np.zeros(stored.shape, dtype=int)
    for number in range(100):
        if not image.HasMetaDataKey(f"Segment{number}_Name"):
            break
        name = image.GetMetaData(f"Segment{number}_Name")
        found[stored == int(image.GetMetaData(f"Segment{number}_LabelValue"))] = names.index(name) + 1
    return found


def test_slicer_opens_a_segmentation_and_saves_the_same(slicer: Any, folder: Path, tmp_path: Path) -> None:
    task = folder / "tasks" / "c1.seg.nrrd"
    opened = Segmentation(slicer, task)
    segments = [opened.segments.GetNthSegment(n) for n in range(opened.segments.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == list(NAMES), "every class, the absent one too"
    assert [segment.GetLabelValue() for segment in segments] == [1, 2, 3, 4]
    np.testing.assert_allclose(segments[0].GetColor(), np.array([213, 94, 0]) / 255, atol=1e-5)
    saved = opened.save(tmp_path / "saved.seg.nrrd")
    assert (labels_by_name(saved) == handed()).all()
    before, after = SimpleITK.ReadImage(str(task)), SimpleITK.ReadImage(str(saved))
    np.testing.assert_allclose(after.GetOrigin(), before.GetOrigin(), rtol=1e-12)
    np.testing.assert_allclose(after.GetDirection(), before.GetDirection(), atol=1e-12)
    assert [after.GetMetaData(f"Segment{n}_Tags").split("|")[0] for n in range(4)] == [
        "Segmentation.Status:notstarted"
    ] * 4


@pytest.mark.parametrize("gone", [("ignore",), ("ignore", "absent"), ("left_kidney",)])
def test_slicer_keeps_the_grid_where_segments_are_deleted(
    slicer: Any, folder: Path, tmp_path: Path, gone: tuple[str, ...]
) -> None:
    opened = Segmentation(slicer, folder / "tasks" / "c1.seg.nrrd")
    for name in gone:
        opened.segments.RemoveSegment(opened.segments.GetSegmentIdBySegmentName(name))
    saved = opened.save(tmp_path / "saved.seg.nrrd")
    expected = handed()
    for name in gone:
        expected[expected == NAMES.index(name) + 1] = 0
    assert (labels_by_name(saved) == expected).all()


def test_slicer_leads_to_the_units(slicer: Any, folder: Path) -> None:
    scene = slicer.vtkMRMLScene()
    points, storage = slicer.vtkMRMLMarkupsFiducialNode(), slicer.vtkMRMLMarkupsJsonStorageNode()
    scene.AddNode(points)
    scene.AddNode(storage)
    storage.SetFileName(str(folder / "tasks" / "c1.mrk.json"))
    assert storage.ReadData(points)
    units = Query.read(folder / "query.json").units
    assert points.GetNumberOfControlPoints() == points.GetNumberOfDefinedControlPoints() == len(units)
    for number, unit in enumerate(units):
        np.testing.assert_allclose(points.GetNthControlPointPositionWorld(number), unit.centre_ras_mm, atol=1e-9)
        assert points.GetNthControlPointLabel(number).startswith(f"#{unit.rank} ")


@pytest.mark.parametrize("name", ["c1_0000.nii.gz", "q/tasks/c1.nii.gz"])
def test_slicer_sees_image_and_task_where_the_query_says(slicer: Any, folder: Path, name: str) -> None:
    scene = slicer.vtkMRMLScene()
    volume, storage = slicer.vtkMRMLScalarVolumeNode(), slicer.vtkMRMLVolumeArchetypeStorageNode()
    scene.AddNode(volume)
    scene.AddNode(storage)
    storage.SetFileName(str(folder.parent / name))
    assert storage.ReadData(volume)
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    seen = vtkMatrix4x4()
    volume.GetIJKToRASMatrix(seen)
    case = Query.read(folder / "query.json").cases["c1"]
    expected = np.array(case.affine_ras)
    if np.linalg.det(expected) < 0:  # 3D Slicer turns left-handed volumes round, along k
        turn = np.diag([1.0, 1.0, -1.0, 1.0])
        turn[2, 3] = case.shape_ijk[2] - 1
        expected = expected @ turn
    np.testing.assert_allclose(matrix(seen), expected, atol=1e-4)
    assert volume.GetImageData().GetDimensions() == case.shape_ijk


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("labels.csv", ["background", "left_kidney", "tumour, 'left'", "absent", "ignore"]),
        # its reader makes blanks of underscores
        ("labels.ctbl", ["background", "left kidney", 'tumour, "left"', "absent", "ignore"]),
    ],
)
def test_slicer_reads_the_tables_of_colours(slicer: Any, folder: Path, name: str, names: list[str]) -> None:
    scene = slicer.vtkMRMLScene()
    table, storage = slicer.vtkMRMLColorTableNode(), slicer.vtkMRMLColorTableStorageNode()
    scene.AddNode(table)
    scene.AddNode(storage)
    storage.SetFileName(str(folder / name))
    assert storage.ReadData(table)
    assert [table.GetColorName(number) for number in range(table.GetNumberOfColors())] == names
    color = [0.0] * 4
    table.GetColor(2, color)
    np.testing.assert_allclose(color, np.array([86, 180, 233, 255]) / 255, atol=1e-6)


def test_slicerio_finds_every_segment(folder: Path) -> None:
    slicerio = pytest.importorskip("slicerio")
    found = slicerio.read_segmentation(str(folder / "tasks" / "c1.seg.nrrd"))
    assert [(each["name"], each["labelValue"]) for each in found["segments"]] == list(
        zip(NAMES, (1, 2, 3, 4), strict=True)
    )
    assert all(each["status"] == "notstarted" for each in found["segments"])
    assert (found["voxels"] == handed().T).all()


def test_convert3d_lays_the_task_on_the_image(folder: Path, tmp_path: Path) -> None:
    picsl_c3d = pytest.importorskip("picsl_c3d")
    convert = picsl_c3d.Convert3D()
    image, task = folder.parent / "c1_0000.nii.gz", folder / "tasks" / "c1.nii.gz"
    with contextlib.redirect_stdout(io.StringIO()):
        convert.execute(f"{image} {task} -copy-transform -o {tmp_path / 'copied.nii.gz'}")
        convert.execute(f"{task} -o {tmp_path / 'saved.nii.gz'}")
    for name in ("copied.nii.gz", "saved.nii.gz"):
        saved, expected = SimpleITK.ReadImage(str(tmp_path / name)), SimpleITK.ReadImage(str(image))
        assert (SimpleITK.GetArrayFromImage(saved) == handed()).all()
        np.testing.assert_allclose(saved.GetOrigin(), expected.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(saved.GetDirection(), expected.GetDirection(), atol=1e-6)


def test_itksnap_s_own_reader_of_workspaces_finds_the_files(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itksnap = pytest.importorskip("itksnap_dss.itksnap_ws")
    workspace = itksnap.WorkspaceWrapper(str(folder / "tasks" / "c1.itksnap"))
    found = {
        role: Path(workspace.get_layer_actual_path(workspace.find_layer_by_role(role)))
        for role in ("MainRole", "SegmentationRole")
    }
    assert found == {
        "MainRole": folder.parent / "c1_0000.nii.gz",
        "SegmentationRole": folder / "tasks" / "c1.nii.gz",
    }
    main = workspace.registry.folder("Layers.Layer[000].ProjectMetaData")
    read = itksnap.Registry()
    itksnap.load_color_label_file_to_registry(str(folder / "labels.itksnap.txt"), read)
    kept = main.folder("IRIS.LabelTable")
    for number, name in enumerate(NAMES):
        in_table, in_workspace = read.folder(f"Element[{number}]"), kept.folder(f"Element[{number}]")
        assert in_table["Label"].get_string() == name.replace('"', "'")
        assert in_workspace["Label"].get_string() == name
        for key in ("Index", "Color", "Alpha", "Flags"):
            assert in_table[key].get_string() == in_workspace[key].get_string()
