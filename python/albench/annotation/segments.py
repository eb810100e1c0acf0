"""Segmentations of 3D Slicer and MITK: segments with names, in one layer or several, made one label map."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.annotation.layout import MITK
from albench.data.images import last_line, require_file, require_readable
from albench.data.nnunet_layout import IGNORE
from albench.errors import InputError, is_plain

_KEY = re.compile(r"Segment(\d{1,4})_(Name|LabelValue|Layer|Tags)")
_COMPLETED = re.compile(r"(?:^|\|)Segmentation\.Status:completed(?:\||$)")
_MITK_GROUPS = "org.mitk.multilabel.segmentation.labelgroups"
_REFERENCE = re.compile(r"Reference image geometry\|([^|&]*)")


class SegmentError(InputError):
    """Segments that cannot become one label map."""


@dataclass(frozen=True)
class Segment:
    """One segment, as the header describes it.

    Attributes
    ----------
    value, layer
        Its voxels are those with this value in this layer.
    completed
        Whether the annotator has set its status to completed.
    """

    name: str
    value: int
    layer: int
    completed: bool


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Segments and the layers that they are in.

    Attributes
    ----------
    layers
        (n_layers, k, j, i), any type of whole numbers.
    reference_shape
        Voxels along i, j and k of the image that was segmented, of which the file may hold a part: there are no
        segments in the rest. None where the file does not say.
    offset
        Voxel of that image that is the first one of the file; None where the file does not say.
    """

    path: Path
    segments: tuple[Segment, ...]
    layers: NDArray[Any]
    reference_shape: tuple[int, ...] | None
    offset: tuple[int, ...] | None = None

    @property
    def has_ignore(self) -> bool:
        """Whether there is a segment for what nobody has annotated."""
        return any(segment.name == IGNORE for segment in self.segments)

    def is_completed(self) -> bool:
        """Whether the annotator has set all segments to completed, that for ignored voxels aside."""
        own = [segment for segment in self.segments if segment.name != IGNORE]
        return bool(own) and all(segment.completed for segment in own)

    def merged(self, values: Mapping[str, int]) -> NDArray[np.uint16]:
        """Label map, uint16 (k, j, i), in which each segment has the value of its name; 0 where there is none.

        Parameters
        ----------
        values
            Name to value, that of the ignore label included.

        Raises
        ------
        SegmentError
            A segment that is not empty has a name that is not in `values`, or two have a voxel in common.
        """
        result = np.zeros(self.layers.shape[1:], dtype=np.uint16)
        owner = np.zeros(result.shape, dtype=np.uint16)  # 1 + number of the segment
        for number, segment in enumerate(self.segments):
            inside = self.layers[segment.layer] == segment.value
            if not inside.any():
                continue
            if segment.name not in values:
                raise SegmentError(
                    f"{self.path}: expected segments called {', '.join(values)}, found '{segment.name}' with "
                    f"{int(inside.sum()):,} voxels; rename or remove it"
                )
            taken = owner[inside]
            if taken.any():
                other = self.segments[int(taken[taken > 0][0]) - 1].name
                raise SegmentError(
                    f"{self.path}: expected every voxel in one segment, found {int((taken > 0).sum()):,} in "
                    f"'{segment.name}' and '{other}'; take them out of one of the two"
                )
            owner[inside] = number + 1
            result[inside] = values[segment.name]
        return result


def read_segmentation(path: Path) -> Segmentation:
    """Read a ``.seg.nrrd`` file, or one of MITK.

    Raises
    ------
    InputError
        Missing, damaged, or without segments.
    """
    require_file(path)
    require_readable(path)
    try:
        image = SimpleITK.ReadImage(str(path))
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: unreadable: expected a segmentation, found: {last_line(error)}") from error
    layers = SimpleITK.GetArrayFromImage(image)
    layers = np.moveaxis(layers, -1, 0) if image.GetNumberOfComponentsPerPixel() > 1 else layers[None]
    if image.GetDimension() != 3 or layers.dtype.kind not in "iu":
        raise InputError(f"{path}: expected layers of whole numbers on three axes, found {layers.dtype} {layers.shape}")
    texts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.isascii()}
    describe = _mitk_segments if path.name.lower().endswith(MITK) else _segments
    return Segmentation(path, describe(path, texts, len(layers)), layers, _reference_shape(texts), _offset(texts))


def _segments(path: Path, texts: Mapping[str, str], n_layers: int) -> tuple[Segment, ...]:
    """Segments by number; the layer and value of one are those of Slicer before 4.11 where the header has none."""
    described: dict[int, dict[str, str]] = {}
    for key, text in texts.items():
        if match := _KEY.fullmatch(key):
            described.setdefault(int(match[1]), {})[match[2]] = text
    segments = []
    for number, entry in sorted(described.items()):
        name = entry.get("Name", "").strip()
        value, layer = entry.get("LabelValue", "1"), entry.get("Layer", str(number if n_layers > 1 else 0))
        known = is_plain(name) and re.fullmatch(r"\d{1,9}", value) and re.fullmatch(r"\d{1,9}", layer)
        if not name or not known or int(layer) >= n_layers:
            raise InputError(
                f"{path}: expected name, value and one of {n_layers} layers of segment {number}, found {name!r:.200}, "
                f"{value!r:.50} and {layer!r:.50}"
            )
        segments.append(Segment(name, int(value), int(layer), bool(_COMPLETED.search(entry.get("Tags", "")))))
    if not segments:
        raise InputError(f"{path}: expected a segmentation of 3D Slicer, found no segments in its header")
    return tuple(segments)


def _mitk_segments(path: Path, texts: Mapping[str, str], n_layers: int) -> tuple[Segment, ...]:
    """Return MITK's labels, in its groups: one is one layer. MITK keeps Slicer's keys as they were, true or not."""
    try:
        groups = json.loads(texts.get(_MITK_GROUPS, "[]"))
        segments = [
            Segment(str(label["name"]).strip(), int(label["value"]), layer, completed=False)
            for layer, group in enumerate(groups)
            for label in group["labels"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        segments = []
    if not segments or not all(is_plain(each.name) and each.layer < n_layers for each in segments):
        raise InputError(f"{path}: expected a segmentation of MITK, found no labels in its header")
    return tuple(segments)


def _offset(texts: Mapping[str, str]) -> tuple[int, ...] | None:
    numbers = texts.get("Segmentation_ReferenceImageExtentOffset", "").split()
    if len(numbers) != 3 or not all(re.fullmatch(r"-?\d{1,9}", number) for number in numbers):
        return None
    return tuple(map(int, numbers))


def _reference_shape(texts: Mapping[str, str]) -> tuple[int, ...] | None:
    """Shape by the reference geometry: 16 numbers of a matrix and 6 of an extent."""
    match = _REFERENCE.search(texts.get("Segmentation_ConversionParameters", ""))
    numbers = [number for number in match[1].split(";") if number] if match else []
    if len(numbers) != 22 or not all(re.fullmatch(r"-?\d{1,9}", number) for number in numbers[16:]):
        return None
    extent = [int(number) for number in numbers[16:]]
    return tuple(high - low + 1 for low, high in zip(extent[::2], extent[1::2], strict=True))
