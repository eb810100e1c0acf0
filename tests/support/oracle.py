"""An annotator who knows the truth and uses another editor for each case."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import SimpleITK
from numpy.typing import NDArray

from albench.annotation.case_files import PRISTINE
from albench.annotation.hand_out import QUERY, TABLE
from albench.results.query import Query

Save = Callable[[NDArray[np.uint16], Path, Path], None]
"""Saves labels (k, j, i) over the task at the first path, as an editor does; the second is that of its .seg.nrrd."""


def _image(labels: NDArray[Any], like: Path) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(labels)
    image.CopyInformation(SimpleITK.ReadImage(str(like)))
    return image


def as_uint16(labels: NDArray[np.uint16], task: Path, segmentation: Path) -> None:
    SimpleITK.WriteImage(_image(labels, task), str(task))


def turned(labels: NDArray[np.uint16], task: Path, segmentation: Path) -> None:
    """Save axes the other way round and permuted, the world staying as it is."""
    image = SimpleITK.PermuteAxes(SimpleITK.Flip(_image(labels, task), (True, False, True)), (2, 0, 1))
    SimpleITK.WriteImage(image, str(task))


def as_float64(labels: NDArray[np.uint16], task: Path, segmentation: Path) -> None:
    given = nibabel.load(task)
    nibabel.save(nibabel.Nifti1Image(labels.T.astype(np.float64), given.affine), task)


def cropped_segments(labels: NDArray[np.uint16], task: Path, segmentation: Path) -> None:
    """Save segments on the smallest grid around what is not ignored, as 3D Slicer does once that segment is deleted."""
    given = SimpleITK.ReadImage(str(segmentation))
    ignore = int(labels.max())
    kept = np.where(labels == ignore, 0, labels)
    places = np.argwhere(labels != ignore)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    image = _image(kept.astype(np.uint8), segmentation)
    start, size = [int(n) for n in low[::-1]], [int(n) for n in (high - low)[::-1]]
    part = SimpleITK.RegionOfInterest(image, size, start)
    _copy_segments(given, part, skip=ignore)
    part.SetMetaData("Segmentation_ReferenceImageExtentOffset", " ".join(map(str, start)))
    SimpleITK.WriteImage(part, str(segmentation), useCompression=True)


def two_layers(labels: NDArray[np.uint16], task: Path, segmentation: Path) -> None:
    """Save the ignore segment in a layer of its own, as 3D Slicer does where segments overlap for a moment."""
    given = SimpleITK.ReadImage(str(segmentation))
    ignore = int(labels.max())
    layers = [np.where(labels == ignore, 0, labels), (labels == ignore).astype(labels.dtype)]
    image = SimpleITK.Compose([_image(layer.astype(np.uint8), segmentation) for layer in layers])
    _copy_segments(given, image, layers={ignore: (1, 1)})
    SimpleITK.WriteImage(image, str(segmentation), useCompression=True)


def _copy_segments(
    given: SimpleITK.Image,
    image: SimpleITK.Image,
    *,
    skip: int | None = None,
    layers: Mapping[int, tuple[int, int]] | None = None,
) -> None:
    """Describe segments as the task does, without that of the value `skip`, some in other layers under other values."""
    number = 0
    given_keys = given.GetMetaDataKeys()
    while f"Segment{number}_LabelValue" in given_keys:
        number += 1
    kept = [n for n in range(number) if int(given.GetMetaData(f"Segment{n}_LabelValue")) != skip]
    for new, old in enumerate(kept):
        for key in given_keys:
            if key.startswith(f"Segment{old}_"):
                image.SetMetaData(key.replace(f"Segment{old}_", f"Segment{new}_", 1), given.GetMetaData(key))
        value = int(given.GetMetaData(f"Segment{old}_LabelValue"))
        layer, value_there = (layers or {}).get(value, (0, value))
        image.SetMetaData(f"Segment{new}_Layer", str(layer))
        image.SetMetaData(f"Segment{new}_LabelValue", str(value_there))
    for key in given_keys:
        if key.startswith("Segmentation_"):
            image.SetMetaData(key, given.GetMetaData(key))


EDITORS: tuple[Save, ...] = (as_uint16, turned, as_float64, cropped_segments, two_layers)


def annotate(folder: Path, truth: Mapping[str, Path], *, first: int = 0, leave: int = 0) -> list[str]:
    """Draw the asked units of a query's tasks with the true labels, an editor after the other.

    Parameters
    ----------
    truth
        File of the complete labels of each case.
    first
        Editor to begin with.
    leave
        Cases, the last ones, that stay as they are.

    Returns
    -------
    list of str
        The cases that were left.
    """
    query = Query.read(folder / QUERY)
    names = list(query.cases)
    for number, name in enumerate(names[: len(names) - leave]):
        units = [unit for unit in query.units if unit.case == name]
        task = folder / str(units[0].file)
        for pristine in (folder / PRISTINE / task.parent.relative_to(folder)).glob(f"{query.cases[name].task}.*"):
            shutil.copy(pristine, task.parent)
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(task))).astype(np.uint16)
        true = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(truth[name])))
        for unit in units:
            start, stop = unit.box_ijk(query.cases[name].shape_ijk)
            box = tuple(slice(low, high) for low, high in zip(start[::-1], stop[::-1], strict=True))
            labels[box] = true[box]
        segmentation = task.with_name(task.name.removesuffix(query.file_ending) + ".seg.nrrd")
        EDITORS[(first + number) % len(EDITORS)](labels, task, segmentation)
    drawn = set(names[: len(names) - leave])
    table = pd.read_csv(folder / TABLE, dtype=str, keep_default_na=False)
    table.loc[table["case"].isin(drawn), "status"] = "done"
    table.to_csv(folder / TABLE, index=False)
    return names[len(names) - leave :]
