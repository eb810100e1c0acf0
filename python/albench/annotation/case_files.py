"""The files of one case that annotators get, with copies of them as they were handed out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from albench.annotation.anonymise import copy_without_texts
from albench.annotation.grid import Grid
from albench.annotation.label_tables import Label
from albench.annotation.landmarks import markups, workspace
from albench.annotation.layout import PREDICTIONS, PRISTINE, SEGMENTATION
from albench.annotation.request import AskedCase
from albench.annotation.seg_nrrd import write_seg_nrrd
from albench.annotation.tasks import Filling, Labels, audited_part, fill_task, require_labels
from albench.data.label_writer import write_label_like
from albench.machine.files import write_json
from albench.results.handed_out import Prefill
from albench.results.query import QueriedUnit

WORKSPACE, MARKUPS = ".itksnap", ".mrk.json"
"""Endings of a task's files that only lead to its units."""


@dataclass(frozen=True, eq=False)
class Task:
    """A case with its units, and the names of its files.

    Attributes
    ----------
    units
        In the order of rank, with their places.
    name
        Of its files: the case's or a neutral one.
    folder
        Of its files, from the query's folder.
    ending
        Of images and labels.
    images
        Paths of the images from the query's folder: copies beside the task, or where they are.
    """

    case: AskedCase
    grid: Grid
    units: tuple[QueriedUnit, ...]
    name: str
    folder: str
    ending: str
    images: tuple[str, ...]

    @property
    def has_place(self) -> bool:
        """Whether the images say where they lie: photographs do not, and editors of volumes take none."""
        return self.grid.affine is not None

    def path(self, ending: str) -> str:
        """Return the path of one of the task's files from the query's folder."""
        return f"{self.folder}/{self.name}{ending}"

    def endings(self, editors: Sequence[str]) -> list[str]:
        """Of the files that are handed out, the label first."""
        files = {SEGMENTATION: {"slicer", "mitk"}, WORKSPACE: {"itksnap"}, MARKUPS: {"slicer"}}
        beside = [ending for ending, users in files.items() if users & set(editors)]
        return [self.ending, *beside] if self.has_place else [self.ending]


def write_case(
    task: Task, root: Path, labels: Sequence[Label], filling: Filling, editors: Sequence[str]
) -> list[QueriedUnit]:
    """Write a case's files below `root`, the query's folder; return its units with file and what is in it.

    Raises
    ------
    InputError
        Predictions or labels are on another grid, or have values that no label has.
    """
    values, fillings = _fill(task, root, labels, filling)
    image = task.case.images[0]
    (root / task.folder).mkdir(parents=True, exist_ok=True)
    write_label_like(values, image, root / task.path(task.ending))
    endings = task.endings(editors)
    if SEGMENTATION in endings:
        write_seg_nrrd(values, task.grid, labels, root / task.path(SEGMENTATION))
    if MARKUPS in endings:
        write_json(root / task.path(MARKUPS), markups(task.units, task.grid))
    if WORKSPACE in endings:
        climb = "../" * len(Path(task.folder).parts)
        images = [Path(path).name if is_beside(path, task) else f"{climb}{path}" for path in task.images]
        content = workspace(images, f"{task.name}{task.ending}", labels, task.units, task.grid)
        (root / task.path(WORKSPACE)).write_bytes(content)
    for ending in {task.ending, SEGMENTATION} & set(endings):
        copy = root / PRISTINE / task.path(ending)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / task.path(ending), copy)
    return [
        unit.model_copy(update={"file": task.path(task.ending), "prefill": filled})
        for unit, filled in zip(task.units, fillings, strict=True)
    ]


def is_beside(image: str, task: Task) -> bool:
    """Whether an image is a copy beside the task."""
    return image.startswith(f"{task.folder}/")


def copy_images(task: Task, root: Path) -> None:
    """Copy the images that are to lie beside the task, without the texts of their headers."""
    (root / task.folder).mkdir(parents=True, exist_ok=True)
    for image, path in zip(task.case.images, task.images, strict=True):
        copy_without_texts(image, root / path)


def _fill(task: Task, root: Path, labels: Sequence[Label], filling: Filling) -> tuple[Labels, list[Prefill]]:
    """Values of the task; what the model says of the audit's units is put aside."""
    ignore = labels[-1].value
    allowed = [label.value for label in labels]
    audited = any(unit.role == "audit" for unit in task.units)
    prediction, known = None, None
    if task.case.prediction is not None and (filling == "prediction" or audited):
        prediction = task.case.prediction()
        require_labels(prediction, task.grid, allowed[:-1], f"prediction of {task.case.name}")
    if task.case.known is not None:
        known = task.case.known()
        require_labels(known, task.grid, allowed, f"labels of {task.case.name}")
    if prediction is not None and audited:
        path = root / PRISTINE / PREDICTIONS / f"{task.name}{task.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_like(audited_part(task.units, task.grid, ignore, prediction), task.case.images[0], path)
    return fill_task(task.units, task.grid, ignore, filling, prediction, known)
