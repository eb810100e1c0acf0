"""A small project: images, a query that was handed out, an empty raw data set, and an annotator who knows the truth."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.annotation.checks import Taking
from albench.annotation.grid import Grid
from albench.annotation.hand_out import hand_out
from albench.annotation.importing import ImportReport, ImportRequest, import_labels
from albench.annotation.request import AskedCase, HandOut
from albench.annotation.returned import read_label
from albench.data.label_writer import write_label_like
from albench.results.query import QueriedUnit, Query
from tests.support.oriented import DIRECTIONS, image

LABELS = {"background": 0, "organ": 1, "tumour": 2}
IGNORE = 3
SHAPE = (9, 12, 14)
"""Voxels along k, j, i."""
QUERY = "20261129-141502-usim-f-1a2b"


_MADE: dict[str, Project] = {}


@dataclass(eq=False)
class Project:
    """A project's folders, and the truth, (k, j, i) by case."""

    root: Path
    truth: dict[str, NDArray[np.uint8]]
    query: Query
    ending: str

    @property
    def folder(self) -> Path:
        return self.root / "query"

    @property
    def raw(self) -> Path:
        return self.root / "Dataset011_Project"

    @property
    def labels(self) -> Path:
        """What comes back; begins as what was handed out."""
        return self.root / "returned"

    def image(self, case: str) -> Path:
        return self.root / "images" / f"{case}_0000{self.ending}"

    def file(self, case: str) -> Path:
        return next(self.labels.rglob(f"{self.query.cases[case].task}{self.ending}"))

    def handed(self, case: str) -> NDArray[Any]:
        """Labels as handed out, (k, j, i)."""
        file = next(unit.file for unit in self.query.units if unit.case == case and unit.file)
        return read_label(self.folder / file, Grid.of_file(self.image(case))).transpose().copy()

    def answer(self, case: str) -> NDArray[Any]:
        """What a careful annotator returns, (k, j, i): the truth in the asked units, all else as handed out."""
        labels = self.handed(case)
        for unit in self.query.units:
            if unit.case == case:
                box = self.box(unit)
                labels[box] = self.truth[case][box]
        return labels

    def box(self, unit: QueriedUnit) -> tuple[slice, ...]:
        """Index (k, j, i) of a unit's voxels."""
        start, stop = unit.box_ijk(self.query.cases[unit.case].shape_ijk)
        return tuple(slice(low, high) for low, high in zip(start[::-1], stop[::-1], strict=True))

    def save(self, case: str, labels: NDArray[Any]) -> Path:
        """Save labels (k, j, i) as an editor that keeps everything; the file of segments goes."""
        path = self.file(case)
        write_label_like(labels, self.image(case), path)
        path.with_name(f"{self.query.cases[case].task}.seg.nrrd").unlink(missing_ok=True)
        return path

    def annotate(self) -> None:
        """Do all that was asked."""
        for case in self.truth:
            self.save(case, self.answer(case))

    def take(self, **options: Any) -> ImportReport:
        """Import what is in `labels`."""
        taking = Taking(**{name: options.pop(name) for name in ("partial", "unchanged", "outside") if name in options})
        places = {"query": self.folder, "labels": self.labels, "dataset": self.raw}
        return import_labels(ImportRequest(**{**places, **options}, taking=taking))

    def imported(self, case: str) -> NDArray[Any]:
        """Labels in the raw data set, (k, j, i)."""
        path = self.raw / "labelsTr" / f"{case}{self.ending}"
        return read_label(path, Grid.of_file(self.image(case))).transpose()

    def arguments(self, *more: str) -> list[str]:
        """Of the command."""
        places = {"--query": self.folder, "--labels": self.labels, "--dataset": self.raw}
        return ["import-labels", *(str(part) for place in places.items() for part in place), *more]


def truth_of(shape: Sequence[int], seed: int) -> NDArray[np.uint8]:
    """An organ with a tumour in it, off the middle: no flip leaves it as it is."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    labels = ((z + 0.1) ** 2 + (y - 0.2) ** 2 + (x + 0.5) ** 2 < 0.35).astype(np.uint8)
    labels[(z**2 + (y - 0.4) ** 2 + (x + 0.5 - 0.1 * seed) ** 2) < 0.12] = 2
    return labels


def make_project(root: Path, asked: Mapping[str, Sequence[int]], **options: Any) -> Project:
    """Ask for slices (along k) of some cases; see `_make` for the options.

    What is handed out for the same arguments is handed out once a process, and copied.
    """
    if any(name in options for name in ("units", "scribbled")):
        return _make(root, asked, **options)
    key = repr((sorted(asked.items()), sorted(options.items())))
    if key not in _MADE:
        place = Path(tempfile.mkdtemp(prefix="albench-project-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        _MADE[key] = _make(place, asked, **options)
    made = _MADE[key]
    shutil.copytree(made.root, root, symlinks=True, dirs_exist_ok=True)
    return Project(root, made.truth, made.query, made.ending)


def _make(
    root: Path,
    asked: Mapping[str, Sequence[int]],
    *,
    direction: str = "lps",
    ending: str = ".nii.gz",
    shape: tuple[int, int, int] = SHAPE,
    filling: str = "background",
    audited: Sequence[tuple[str, int]] = (),
    known: Mapping[str, Sequence[int]] | None = None,
    scribbled: NDArray[np.uint8] | None = None,
    units: Callable[[str, int], QueriedUnit] = lambda case, index: QueriedUnit(case=case, index=index, axis=0),
    **options: Any,
) -> Project:
    """Make a project.

    Slices of `known` are labelled in the raw data set already, as are voxels of `scribbled`. The model's prediction is
    the truth without tumours, a column of voxels too wide.
    """
    (root / "images").mkdir(parents=True)
    raw = root / "Dataset011_Project"
    raw.mkdir()
    labels = LABELS | ({"ignore": IGNORE} if known else {})
    description: dict[str, Any] = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": len(known or {}),
        "file_ending": ending,
    }
    (raw / "dataset.json").write_text(json.dumps(description))
    truth, cases = {}, []
    for seed, case in enumerate(asked):
        path = root / "images" / f"{case}_0000{ending}"
        if ending == ".png":
            from PIL import Image

            Image.fromarray(np.random.default_rng(seed).integers(0, 255, shape[1:]).astype(np.uint8)).save(path)
        else:
            made = image(DIRECTIONS[direction], shape)
            made = SimpleITK.Add(made, seed)  # no two cases are the same
            SimpleITK.WriteImage(made, str(path), useCompression=True)
        truth[case] = truth_of(shape, seed)
        there = _known(truth[case], (known or {}).get(case)) if scribbled is None else scribbled
        if there is not None:
            for folder in ("imagesTr", "labelsTr"):
                (raw / folder).mkdir(exist_ok=True)
            (raw / "imagesTr" / path.name).symlink_to(Path("../../images") / path.name)
            write_label_like(there, path, raw / "labelsTr" / f"{case}{ending}")
        predicted = np.minimum(np.maximum(truth[case], np.roll(truth[case], 1, -1)), 1)
        cases.append(
            AskedCase(
                case,
                (path,),
                prediction=lambda predicted=predicted: predicted,
                known=None if there is None else lambda there=there: there,
            )
        )
    asks = [
        units(case, index).model_copy(update={"role": "audit" if (case, index) in audited else "strategy"})
        for case, indices in asked.items()
        for index in indices
    ]
    query = Query(
        dataset="Project",
        strategy="usim-f",
        seed=0,
        round=1,
        id=QUERY,
        created="2026-11-29T14:15:02Z",
        labels=LABELS,
        ignore=IGNORE,
        channel_names=("CT",),
        file_ending=ending,
        units=tuple(asks),
    )
    whole = hand_out(HandOut(query, tuple(cases), filling=filling, **options), root / "query")
    shutil.copytree(root / "query" / "tasks", root / "returned")
    return Project(root, truth, whole, ending)


def _known(truth: NDArray[np.uint8], slices: Sequence[int] | None) -> NDArray[np.uint8] | None:
    if slices is None:
        return None
    labels = np.full_like(truth, IGNORE)
    labels[list(slices)] = truth[list(slices)]
    return labels
