"""A query's folder, as it was handed out: what was asked, and pristine copies of the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from albench.annotation.grid import Grid, GridError
from albench.annotation.layout import PREDICTIONS, PRISTINE, QUERY, SEGMENTATION
from albench.annotation.returned import read_label
from albench.data.nnunet_layout import IGNORE
from albench.data.sums import SUMS
from albench.errors import InputError, unknown_name
from albench.machine.files import sha256
from albench.machine.text import read_text
from albench.results.query import QueriedUnit, Query


@dataclass(frozen=True, eq=False)
class HandedOut:
    """A query's folder.

    Attributes
    ----------
    folder
        Paths in the query count from here.
    trust_image_geometry
        Whether labels lie over their images voxel by voxel, whatever their headers say.
    """

    folder: Path
    query: Query
    trust_image_geometry: bool = False

    @classmethod
    def read(cls, folder: Path, *, trust_image_geometry: bool = False) -> HandedOut:
        """Read what was asked; geometry is trusted where the query was asked so, too.

        Raises
        ------
        InputError
            No query there, a damaged one, or one of the benchmark, which nobody was handed.
        """
        if not (folder / QUERY).is_file():
            above = f"; {folder.parent} is one" if (folder.parent / QUERY).is_file() else ""
            raise InputError(f"{folder}: expected a query's folder, which has {QUERY}, found none{above}")
        query = Query.read(folder / QUERY)
        if query.version is None:
            raise InputError(f"{folder / QUERY}: expected a query for annotators, found one of `al-bench run`")
        return cls(folder, query, trust_image_geometry or query.trust_image_geometry)

    @property
    def id(self) -> str:
        """Name of the query."""
        return self.query.id or ""

    @property
    def ignore(self) -> int:
        """Value of what nobody has annotated."""
        return self.query.ignore or 0

    @cached_property
    def values(self) -> dict[str, int]:
        """Name to value of every label, ascending, the ignore label last."""
        return dict(sorted(self.query.labels.items(), key=lambda entry: entry[1])) | {IGNORE: self.ignore}

    @property
    def class_names(self) -> dict[int, str]:
        """Value to name of the foreground classes, ascending."""
        return {value: name for name, value in self.values.items() if value not in (0, self.ignore)}

    @cached_property
    def units(self) -> Mapping[str, tuple[QueriedUnit, ...]]:
        """Units by case, both in the order of choice."""
        units: dict[str, list[QueriedUnit]] = {}
        for unit in self.query.units:
            units.setdefault(unit.case, []).append(unit)
        return {case: tuple(of_case) for case, of_case in units.items()}

    @cached_property
    def by_rank(self) -> Mapping[int, QueriedUnit]:
        """Units by rank, which all of them have."""
        return {unit.rank: unit for unit in self.query.units if unit.rank is not None}

    def shape(self, rank: int) -> tuple[int, int, int]:
        """Voxels of a unit's box along i, j and k of the file.

        Raises
        ------
        KeyError
            There is no unit of that rank.
        """
        unit = self.by_rank[rank]
        start, stop = unit.box_ijk(self.query.cases[unit.case].shape_ijk)
        return stop[0] - start[0], stop[1] - start[1], stop[2] - start[2]

    def task_name(self, case: str) -> str:
        """Name of a case's files, the case's or a neutral one."""
        return self.query.cases[case].task

    def cases_called(self, names: Iterable[str]) -> list[str]:
        """Return the cases of these names, their own or those of their files, in the order of the query.

        Raises
        ------
        InputError
            One is none of the query's.
        """
        by_name = {name: case for case in self.units for name in (self.task_name(case), case)}
        chosen = set()
        for name in names:
            if name not in by_name:
                raise unknown_name(f"case of query {self.id}", name, by_name)
            chosen.add(by_name[name])
        return [case for case in self.units if case in chosen]

    def images(self, case: str) -> tuple[Path, ...]:
        """Images of a case, one file a channel or one with all."""
        return tuple(self.folder / path for path in self.query.cases[case].images)

    def require_images(self, case: str) -> None:
        """Raise where an image is not the one that was asked about.

        Raises
        ------
        InputError
            It is gone, or has other bytes.
        """
        described = self.query.cases[case]
        for path, digest in zip(self.images(case), described.sha256, strict=True):
            if not path.is_file():
                raise InputError(f"{path}: expected the image that was asked about, found none")
            if sha256(path) != digest:
                raise InputError(f"{path}: expected the image that was asked about, found another: changed since")

    def grid(self, case: str) -> Grid:
        """Grid of a case's images, from the file."""
        first = self.images(case)[0]
        try:
            grid = Grid.of_file(first)
        except GridError as error:
            raise InputError(f"{first}: {error}") from None
        if grid.shape != self.query.cases[case].shape_ijk:
            raise InputError(f"{first}: expected {self.query.cases[case].shape_ijk} voxels, found {grid.shape}")
        return grid

    def pristine(self, case: str) -> dict[str, Path]:
        """Return copies of a case's files by ending: the data set's, and that of segmentations."""
        file = PurePosixPath(self.units[case][0].file or "")
        label = self.folder / PRISTINE / file
        segmentation = label.with_name(f"{self.task_name(case)}{SEGMENTATION}")
        copies = {self.query.file_ending: label}
        return copies | ({SEGMENTATION: segmentation} if segmentation.is_file() else {})

    def handed(self, case: str, grid: Grid) -> NDArray[Any]:
        """Labels of a case as they were handed out, axes i, j, k.

        Raises
        ------
        InputError
            The copy is gone, damaged, or another than was handed out.
        """
        copy = self.pristine(case)[self.query.file_ending]
        name = copy.relative_to(self.folder / PRISTINE).as_posix()
        digest = self._sums.get(name)
        if digest is None or not copy.is_file() or sha256(copy) != digest:
            raise InputError(f"{copy}: expected what was handed out, as {SUMS} lists it, found another file or none")
        return read_label(copy, grid)

    @cached_property
    def _sums(self) -> dict[str, str]:
        """SHA-256 of each copy, by its path from the folder of copies."""
        lines = [line.split(None, 1) for line in read_text(self.folder / PRISTINE / SUMS).splitlines()]
        return {parts[1]: parts[0] for parts in lines if len(parts) == 2}

    def prediction(self, case: str, grid: Grid) -> NDArray[Any] | None:
        """Labels of the asking model for a case with audited units, axes i, j, k; None where it was not asked."""
        path = self.folder / PRISTINE / PREDICTIONS / f"{self.task_name(case)}{self.query.file_ending}"
        return read_label(path, grid) if path.is_file() else None
