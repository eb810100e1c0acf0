"""A landmark for each unit, so that an editor's "next" leads to it: ITK-SNAP's workspaces, 3D Slicer's markups."""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from albench.annotation.grid import Grid
from albench.annotation.label_tables import Label
from albench.annotation.places import middle, unit_title
from albench.results.query import QueriedUnit

_SCHEMAS = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema"
SCHEMA = f"{_SCHEMAS}/markups-schema-v1.0.3.json#"
"""Of 3D Slicer's markups."""

_HERE = "al-bench"
_PLANES = "ijk"
_HEAD = b"""<?xml version="1.0" encoding="UTF-8" ?>
<!--ITK-SNAP (itksnap.org) Project File-->
<!DOCTYPE registry [
<!ELEMENT registry (entry*,folder*)>
<!ELEMENT folder (entry*,folder*)>
<!ELEMENT entry EMPTY>
<!ATTLIST folder key CDATA #REQUIRED>
<!ATTLIST entry key CDATA #REQUIRED>
<!ATTLIST entry value CDATA #REQUIRED>
]>
"""


def landmark_text(unit: QueriedUnit, grid: Grid) -> str:
    """Return what stands at a unit's landmark, such as ``#3 axial 34/120``."""
    return f"#{unit.rank} {unit_title(unit, grid.shape)}"


def markups(units: Sequence[QueriedUnit], grid: Grid) -> dict[str, Any]:
    """Return 3D Slicer's point list, schema 1.0.3, in RAS: the middle of each unit."""
    points = [
        {
            "id": str(number),
            "label": landmark_text(unit, grid),
            "description": unit.role,
            "associatedNodeID": "",
            "position": list(unit.centre_ras_mm or ()),
            "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            "selected": True,
            "locked": True,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, unit in enumerate(units, start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "RAS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": True,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": points,
    }
    return {"@schema": SCHEMA, "markups": [markup]}


def workspace(
    images: Sequence[str], task: str, labels: Sequence[Label], units: Sequence[QueriedUnit], grid: Grid
) -> bytes:
    """Return an ITK-SNAP workspace: images, the task as segmentation, colours of labels, landmarks.

    ITK-SNAP takes the relative position of files where a workspace has been moved. So it is said to have been saved in
    a folder that is nowhere, and no path of this machine is in it.

    Parameters
    ----------
    images, task
        Paths from the workspace's folder, with forward slashes.
    """
    climbs = max(PurePosixPath(path).parts.count("..") for path in (*images, task))
    here = "/" + "/".join([_HERE] * (climbs + 1))
    layers: dict[str, Any] = {}
    roles = ["MainRole", "SegmentationRole", *["OverlayRole"] * (len(images) - 1)]
    for number, (role, path) in enumerate(zip(roles, [images[0], task, *images[1:]], strict=True)):
        layers[f"Layer[{number:03d}]"] = {"AbsolutePath": posixpath.normpath(f"{here}/{path}"), "Role": role}
    layers["Layer[000]"]["ProjectMetaData"] = {
        "Files": {"Grey": {"Dimensions": _numbers(grid.shape)}},
        "IRIS": {"LabelTable": _label_table([label for label in labels if label.value])},
    }
    marks: dict[str, Any] = {"ArraySize": len(units)}
    marks |= {f"Element[{number}]": _landmark(unit, grid) for number, unit in enumerate(units)}
    annotations = {"Format": "ITK-SNAP Annotation File", "FormatDate": "20150624", "Annotations": marks}
    registry = {"SaveLocation": here, "Version": "20190612", "Annotations": annotations, "Layers": layers}
    root = ET.Element("registry")
    _fill(root, registry)
    ET.indent(root)
    return _HEAD + bytes(ET.tostring(root, encoding="utf-8")) + b"\n"


def _landmark(unit: QueriedUnit, grid: Grid) -> dict[str, Any]:
    # ITK-SNAP counts from the outer edge of the first voxel
    position = [index + 0.5 for index in middle(*unit.box_ijk(grid.shape))]
    return {
        "Color": "1 1 0",
        "Offset": "10 10",
        "Plane": _PLANES.index(unit.file_axis or "k"),
        "Pos": _numbers(position),
        "Selected": 0,
        "Tags": {"ArraySize": 0},
        "Text": landmark_text(unit, grid),
        "Type": "LandmarkAnnotation",
        "VisibleInAllPlanes": int(unit.file_axis is None),
        "VisibleInAllSlices": 0,
    }


def _label_table(labels: Sequence[Label]) -> dict[str, Any]:
    table: dict[str, Any] = {"NumberOfElements": len(labels)}
    for number, label in enumerate(labels):
        seen = int(label.visible)
        table[f"Element[{number}]"] = {
            "Alpha": 255 * seen,
            "Color": _numbers(label.rgb),
            "Flags": f"{seen} {seen}",
            "Index": label.value,
            "Label": label.name,
        }
    return table


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def _fill(folder: ET.Element, content: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if isinstance(value, Mapping):
            _fill(ET.SubElement(folder, "folder", key=key), value)
        else:
            ET.SubElement(folder, "entry", key=key, value=str(value))
