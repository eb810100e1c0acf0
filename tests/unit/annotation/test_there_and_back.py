"""What is handed out, edited with real editors' code and imported: the same labels, byte for byte, whatever the way."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from albench.annotation.checks import Taking
from albench.annotation.importing import ImportRequest, import_labels
from albench.results.query import Query
from tests.support.handed import hand_out_slices, handed

LABELS = {"background": 0, "liver": 1, "vessel_left": 2, "absent": 3}
NAMES = ("liver", "vessel_left", "absent", "ignore")
Array = np.ndarray[Any, Any]


def edited() -> Array:
    """The annotator's: in both slices something of the class that the model found nowhere."""
    values = handed()
    values[1, 0:2, 3:6] = LABELS["absent"]
    values[3, 1:4, 2:5] = LABELS["absent"]
    values[3, 5] = 0
    return values


@pytest.fixture(scope="module", params=["lps", "ras", "las", "oblique", "oblique permuted"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_out_slices(tmp_path_factory.mktemp("handed-out"), request.param, LABELS)


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The label that comes of a file that ITK has saved."""
    root = tmp_path_factory.mktemp("plain")
    (root / "returned").mkdir()
    by_itk(folder, root / "returned")
    content = imported(folder, root / "returned", root / "raw")
    assert (np.asarray(nibabel.load(root / "raw" / "labelsTr" / "c1.nii.gz").dataobj) == edited().T).all()
    return content


def imported(folder: Path, returned: Path, raw: Path) -> bytes:
    """Import what came back; return the label's bytes."""
    raw.mkdir()
    description = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 0, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(description))
    import_labels(ImportRequest(query=folder, labels=returned, dataset=raw, taking=Taking()))
    return (raw / "labelsTr" / "c1.nii.gz").read_bytes()


def by_nibabel(folder: Path, path: Path) -> None:
    """As scripts save: float64, and turned to RAS."""
    task = nibabel.load(folder / "tasks" / "c1.nii.gz")
    changed = nibabel.Nifti1Image(edited().T.astype(np.float64), task.affine)
    nibabel.save(nibabel.as_closest_canonical(changed), path / "c1.nii.gz")


def by_itk(folder: Path, path: Path) -> None:
    changed = SimpleITK.GetImageFromArray(edited().astype(np.int16))
    changed.CopyInformation(SimpleITK.ReadImage(str(folder / "tasks" / "c1.nii.gz")))
    SimpleITK.WriteImage(changed, str(path / "c1.nrrd"))


def by_convert3d(folder: Path, path: Path) -> None:
    picsl_c3d = pytest.importorskip("picsl_c3d")
    by_itk(folder, path)
    with contextlib.redirect_stdout(io.StringIO()):
        picsl_c3d.Convert3D().execute(f"{path / 'c1.nrrd'} -type float -o {path / 'c1.nii.gz'}")
    (path / "c1.nrrd").unlink()


WAYS: dict[str, Callable[[Path, Path], None]] = {"nibabel": by_nibabel, "Convert3D": by_convert3d}


@pytest.mark.parametrize("way", WAYS)
def test_label_maps(folder: Path, expected: bytes, tmp_path: Path, way: str) -> None:
    (tmp_path / "returned").mkdir()
    WAYS[way](folder, tmp_path / "returned")
    assert imported(folder, tmp_path / "returned", tmp_path / "raw") == expected


def test_napari(folder: Path, expected: bytes, tmp_path: Path) -> None:
    """Its plugin for NIfTI shows a label with axes turned to S, A, R, and saves it turned to R, A, S."""
    reader, writer = (pytest.importorskip(f"napari_nifti.{name}") for name in ("_reader", "_writer"))
    ((shown, layer, _),) = reader.reader_function(str(folder / "tasks" / "c1.nii.gz"))
    task = nibabel.load(folder / "tasks" / "c1.nii.gz")

    def turned(labels: Array) -> Array:
        made = nibabel.Nifti1Image(labels.T.astype(np.uint8), task.affine)
        return np.asarray(nibabel.as_closest_canonical(made).dataobj).T

    (tmp_path / "returned").mkdir()
    saved = tmp_path / "returned" / "c1.nii.gz"
    if nibabel.aff2axcodes(task.affine)[2] != "S":  # axes in another order it cannot save
        with pytest.raises(ValueError, match="Unsupported coordinate_system"):
            writer.write_single_image(str(saved), shown, layer)
        return
    assert (shown == turned(handed())).all()
    writer.write_single_image(str(saved), turned(edited()), layer)
    assert nibabel.aff2axcodes(nibabel.load(saved).affine) == ("R", "A", "S")
    assert imported(folder, tmp_path / "returned", tmp_path / "raw") == expected


def geometry(folder: Path) -> Any:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    affine = Query.read(folder / "query.json").cases["c1"].affine_ras
    assert affine is not None
    made = vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            made.SetElement(row, column, affine[row][column])
    return made


class Editor:
    """3D Slicer with the task's segmentation open."""

    def __init__(self, slicer: Any, folder: Path) -> None:
        self._slicer, self._geometry = slicer, geometry(folder)
        self._scene = slicer.vtkMRMLScene()
        self._node, self._storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
        self._scene.AddNode(self._node)
        self._scene.AddNode(self._storage)
        self._storage.SetFileName(str(folder / "tasks" / "c1.seg.nrrd"))
        assert self._storage.ReadData(self._node)
        self.segments = self._node.GetSegmentation()

    def _mask(self, name: str) -> Any:
        from vtkmodules.util.numpy_support import numpy_to_vtk

        mask = edited() == NAMES.index(name) + 1
        made = self._slicer.vtkOrientedImageData()
        made.SetDimensions(*mask.shape[::-1])
        made.SetGeometryFromImageToWorldMatrix(self._geometry)
        made.GetPointData().SetScalars(numpy_to_vtk(mask.astype(np.uint8).ravel(), deep=True))
        return made

    def paint(self, name: str) -> None:
        logic = self._slicer.vtkSlicerSegmentationsModuleLogic
        segment = self.segments.GetSegmentIdBySegmentName(name)
        assert logic.SetBinaryLabelmapToSegment(self._mask(name), self._node, segment, logic.MODE_REPLACE)

    def remove(self, name: str) -> None:
        self.segments.RemoveSegment(self.segments.GetSegmentIdBySegmentName(name))

    def add(self, name: str) -> None:
        self._node.AddSegmentFromBinaryLabelmapRepresentation(self._mask(name), name)

    def save(self, path: Path) -> None:
        self._storage.SetFileName(str(path))
        assert self._storage.WriteData(self._node)


@pytest.mark.parametrize("way", ["painted", "ignore deleted", "a class deleted and added"])
def test_segmentations_of_slicer(slicer: Any, folder: Path, expected: bytes, tmp_path: Path, way: str) -> None:
    (tmp_path / "returned").mkdir()
    editor = Editor(slicer, folder)
    if way != "painted":
        editor.remove("ignore" if way == "ignore deleted" else "absent")
    for name in NAMES:
        if editor.segments.GetSegmentIdBySegmentName(name):
            editor.paint(name)
    if way == "a class deleted and added":
        editor.add("absent")
    editor.save(tmp_path / "returned" / "c1.seg.nrrd")
    if way == "a class deleted and added":
        saved = SimpleITK.ReadImage(str(tmp_path / "returned" / "c1.seg.nrrd"))
        values = {saved.GetMetaData(f"Segment{n}_Name"): saved.GetMetaData(f"Segment{n}_LabelValue") for n in range(4)}
        assert values["absent"] == "5", "numbered anew: only the name tells"
    assert imported(folder, tmp_path / "returned", tmp_path / "raw") == expected
