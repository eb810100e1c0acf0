"""Writing the folder of a query for annotators, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from albench.annotation.annotators import divide
from albench.annotation.anonymise import NAMES, neutral_names
from albench.annotation.case_files import Task, copy_images, write_case
from albench.annotation.gallery import gallery_page, readme
from albench.annotation.label_tables import Label, csv_table, itksnap_table, labels_of, slicer_table
from albench.annotation.layout import MITK, PRISTINE, QUERY, SEGMENTATION, TABLE, TASKS
from albench.annotation.mitk import MitkTask, task_list
from albench.annotation.places import file_grid, placed, unit_title
from albench.annotation.query_table import query_table
from albench.annotation.request import AskedCase, HandOut
from albench.data.nnunet_layout import IGNORE
from albench.data.sums import SUMS
from albench.errors import InputError
from albench.machine.files import build_folder, sha256, write_json
from albench.machine.names import require_names
from albench.machine.spreadsheet import csv_bytes
from albench.results.handed_out import QueriedCase
from albench.results.query import QueriedUnit, Query

_PAGE, _README = "index.html", "README.txt"


def hand_out(request: HandOut, folder: Path) -> Query:
    """Write the folder of a query.

    Parameters
    ----------
    folder
        Appears when all of it is on the disk.

    Returns
    -------
    Query
        As it is in ``query.json``: with places, files and what is in them.

    Raises
    ------
    InputError
        The folder exists or cannot be written; an image cannot be read; labels or predictions do not fit to it; names
        of cases, annotators or files clash.
    """
    if os.path.lexists(folder):
        raise InputError(f"{folder}: expected no file or folder yet, found one; choose another name")
    query = request.query
    if query.ignore is None or not query.units:
        raise ValueError("query: expected units and an ignore label, got none")
    labels = labels_of(query.labels, query.ignore, IGNORE)
    tasks = _tasks(request, folder)
    _require_distinct(tasks)
    written: list[Query] = []

    def fill(temporary: Path) -> None:
        units: list[QueriedUnit] = []
        for task in tasks:
            if request.anonymise:
                copy_images(task, temporary)
            units += write_case(task, temporary, labels, request.filling, request.editors)
        units.sort(key=lambda unit: unit.rank or 0)
        cases = {task.case.name: _case(task, folder) for task in tasks}
        whole = Query(**{**dict(query), "version": 1, "cases": cases, "units": tuple(units)})
        _write_lists(whole, request, labels, tasks, temporary)
        written.append(whole)

    build_folder(folder, fill)
    # a folder that somebody else made in the meantime is left as it is
    if not written or not (folder / QUERY).is_file() or Query.read(folder / QUERY) != written[0]:
        raise InputError(f"{folder}: expected no file or folder yet, found one that another process has just made")
    return written[0]


def _tasks(request: HandOut, folder: Path) -> list[Task]:
    """Cases in the order of their best rank, with grids, names and places."""
    query = request.query
    names = list(dict.fromkeys(unit.case for unit in query.units))
    cases = {case.name: case for case in request.cases}
    if set(cases) != set(names) or len(request.cases) > len(cases):
        raise ValueError(f"cases: expected those of the units, {names}, got {[case.name for case in request.cases]}")
    require_names(folder, "case", names, of_files=True)
    counts = {name: sum(unit.case == name for unit in query.units) for name in names}
    annotator_of = divide(counts, request.annotators) if request.annotators else {}
    neutral = neutral_names(names) if request.anonymise else {}
    ranked = [unit.model_copy(update={"rank": rank}) for rank, unit in enumerate(query.units, start=1)]
    tasks = []
    for name in names:
        case, task_name = cases[name], neutral.get(name, name)
        who = {"annotator": annotator_of[name]} if annotator_of else {}
        place = f"{TASKS}/{annotator_of[name]}" if annotator_of else TASKS
        if not all(image.name.endswith(query.file_ending) for image in case.images):
            raise InputError(f"{case.images[0]}: expected files that end in {query.file_ending}, found another ending")
        images = _images(case, folder)
        if neutral:
            images = tuple(f"{place}/{task_name}_{i:04d}{query.file_ending}" for i in range(len(case.images)))
        grid = file_grid(case.images[0], case.reader)
        units = tuple(placed(unit, grid).model_copy(update=who) for unit in ranked if unit.case == name)
        tasks.append(Task(case, grid, units, task_name, place, query.file_ending, images))
    return tasks


def _images(case: AskedCase, folder: Path) -> tuple[str, ...]:
    """Paths from the query's folder, links on the way resolved, but not an image that is one."""
    here = folder.absolute().parent.resolve() / folder.name
    places = [image.absolute().parent.resolve() / image.name for image in case.images]
    return tuple(Path(os.path.relpath(place, here)).as_posix() for place in places)


def _require_distinct(tasks: Sequence[Task]) -> None:
    """Raise where two files would have one name, also where a file system takes capitals for small letters."""
    owners: dict[str, str] = {}
    for task in tasks:
        files = [task.path(ending) for ending in (*task.endings(("itksnap", "slicer", "mitk")), MITK)]
        for path in (*files, *(image for image in task.images if image.startswith(f"{TASKS}/"))):
            other = owners.setdefault(path.casefold(), task.case.name)
            if other != task.case.name:
                raise InputError(
                    f"cases {other} and {task.case.name}: expected files of different names, found {path} twice; with "
                    "neutral names (--anonymise) there is none"
                )


def _case(task: Task, folder: Path) -> QueriedCase:
    affine = task.grid.affine
    return QueriedCase(
        images=_images(task.case, folder),
        sha256=tuple(sha256(image) for image in task.case.images),
        shape_ijk=task.grid.shape,
        affine_ras=None if affine is None else affine.tolist(),
        orientation=task.grid.orientation,
        task=task.name,
    )


def _write_lists(query: Query, request: HandOut, labels: Sequence[Label], tasks: Sequence[Task], root: Path) -> None:
    """Write what is there once for all cases."""
    query.write(root / QUERY)
    files = {TABLE: query_table(query), _PAGE: gallery_page(query, labels, request.views).encode()}
    if "itksnap" in request.editors:
        files["labels.itksnap.txt"] = itksnap_table(labels)
    if "slicer" in request.editors:
        files["labels.ctbl"] = slicer_table(labels)
    files["labels.csv"] = csv_table(labels)
    editors = request.editors if any(task.has_place for task in tasks) else ()
    images = {task.name: task.images for task in tasks}
    text = readme(query, labels, editors, images, request.filling, neutral=request.anonymise)
    files[_README] = text.encode()
    if request.anonymise:
        rows = sorted((task.name, task.case.name) for task in tasks)
        files[NAMES] = csv_bytes(pd.DataFrame(rows, columns=["name", "case"]))
    for name, content in files.items():
        (root / name).write_bytes(content)
    entries = [_mitk_task(task) for task in tasks if task.has_place]
    if "mitk" in request.editors and entries:
        write_json(root / "mitk-tasks.json", task_list(f"Query {query.id}", entries))
    copies = sorted(path for path in (root / PRISTINE).rglob("*") if path.is_file())
    lines = [f"{sha256(path)}  {path.relative_to(root / PRISTINE).as_posix()}\n" for path in copies]
    (root / PRISTINE / SUMS).write_text("".join(lines), encoding="utf-8")


def _mitk_task(task: Task) -> MitkTask:
    asked = "; ".join(f"#{unit.rank} {unit_title(unit, task.grid.shape)}" for unit in task.units)
    return MitkTask(task.name, asked, task.images[0], task.path(SEGMENTATION), task.path(MITK))
