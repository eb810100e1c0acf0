"""What 3D Slicer saves once the segment of ignored voxels is deleted and nothing says of which image it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from tests.support.annotation_project import make_project


@pytest.mark.parametrize("direction", ["lps", "ras", "oblique", "permuted"])
def test_a_cropped_segmentation_is_put_back(slicer: Any, direction: str, tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]}, direction=direction, filling="prediction")
    answer = project.answer("a")
    given = SimpleITK.ReadImage(str(project.folder / "tasks/a.seg.nrrd"))
    drawn = SimpleITK.GetImageFromArray(answer.astype(np.uint8))
    drawn.CopyInformation(given)
    for key in given.GetMetaDataKeys():
        if key.startswith("Segment") and key != "Segmentation_ConversionParameters":
            drawn.SetMetaData(key, given.GetMetaData(key))
    path = project.labels / "a.seg.nrrd"
    SimpleITK.WriteImage(drawn, str(path))

    scene, node = slicer.vtkMRMLScene(), slicer.vtkMRMLSegmentationNode()
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    segments = node.GetSegmentation()
    segments.RemoveSegment(segments.GetSegmentIdBySegmentName("ignore"))
    storage.SetCropToMinimumExtent(True)
    assert storage.WriteData(node)
    assert SimpleITK.ReadImage(str(path)).GetSize() < drawn.GetSize()

    report = project.take()
    assert not report.has_errors
    assert (project.imported("a") == answer).all()
