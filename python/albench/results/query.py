"""The file of a query: the units annotated for a round, in the order they were chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from albench.errors import InputError, is_plain
from albench.results.handed_out import (
    AskingModel,
    FileAxis,
    FileName,
    Finite,
    InsidePath,
    Moment,
    Point,
    Prefill,
    QueriedCase,
    Role,
    Version,
)
from albench.results.layout import RoundFolder, RunFolder
from albench.results.longer import is_of_study
from albench.results.sealed import read_sealed, write_sealed
from albench.results.settings import Settings
from albench.units.pool import Unit

_Count = Annotated[int, Field(ge=0, lt=2**31)]
Bounds = tuple[_Count, _Count, _Count]
"""Voxels along z, y and x."""


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(name: str) -> str:
    if not is_plain(name):
        raise ValueError(f"expected a text without control characters, got {name!r}")
    return name


_Name = Annotated[str, AfterValidator(_plain)]
_Label = Annotated[int, Field(ge=0, lt=2**16)]
_Number = Annotated[float | None, BeforeValidator(_none_if_nan)]


class QueriedUnit(BaseModel):
    """One unit of a query.

    Attributes
    ----------
    case, index
        The unit, see `albench.units.pool.Unit`.
    axis
        Along which it is a slice; None for a patch.
    start, stop
        Bounds of a patch in voxels, `stop` not included; None for a slice.
    score
        The unit's own, by the strategy; None where that has none.
    gain
        What choosing it added to the strategy's objective; None where there is none.
    rank
        Place in the order of choice, from 1. This and all that follows is there only in queries that are handed out to
        annotators.
    role
        Who chose it.
    file_axis, file_index
        Of a slice: the axis of the *file* that it is perpendicular to, and its place there, from 0. The same as `axis`
        and `index` but where nnU-Net's reader turns images.
    file_start, file_stop
        Of a patch: its bounds in voxels (i, j, k) of the file, `file_stop` not included.
    plane
        For people: ``axial``, ``oblique axial 17°``, ``image`` where there is no header.
    centre_ras_mm, corners_ras_mm
        Middle of the unit, and its 4 (slice) or 8 (patch) outer corners, i changing fastest; None and empty where there
        is no header.
    uncertainty
        Of each class, by its name.
    annotator
        Who is asked; None: whoever comes.
    file
        That the annotator fills in.
    prefill
        What is in it.
    """

    model_config = ConfigDict(frozen=True)

    case: _Name
    index: _Count
    axis: Annotated[int, Field(ge=0, le=2)] | None = None
    start: Bounds | None = None
    stop: Bounds | None = None
    score: _Number = None
    gain: _Number = None
    rank: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    role: Role = "strategy"
    file_axis: FileAxis | None = None
    file_index: _Count | None = None
    file_start: Bounds | None = None
    file_stop: Bounds | None = None
    plane: _Name = ""
    centre_ras_mm: Point | None = None
    corners_ras_mm: tuple[Point, ...] = ()
    uncertainty: Mapping[str, Finite] = Field(default_factory=dict)
    annotator: FileName | None = None
    file: InsidePath | None = None
    prefill: Prefill | None = None

    @model_validator(mode="after")
    def _has_both_bounds(self) -> Self:
        if (self.start is None) != (self.stop is None):
            raise ValueError("expected both bounds of a patch, or none")
        if (self.file_start is None) != (self.file_stop is None) or (self.file_axis is None) != (
            self.file_index is None
        ):
            raise ValueError("expected both bounds of a patch in the file, or both axis and index of a slice")
        return self

    @property
    def unit(self) -> Unit:
        """The unit by itself."""
        return Unit(self.case, self.index)

    @property
    def place(self) -> dict[str, Any]:
        """Where it lies, in the words of `albench.units.pool.Pool.place`."""
        if self.start is None or self.stop is None:
            return {"axis": self.axis}
        return {"start": list(self.start), "stop": list(self.stop)}

    def box_ijk(self, shape: Bounds) -> tuple[Bounds, Bounds]:
        """Start and stop, not included, in voxels (i, j, k) of a file of `shape`.

        Raises
        ------
        ValueError
            The unit has no place in a file, or one outside of this.
        """
        if self.file_axis is not None and self.file_index is not None:
            axis = "ijk".index(self.file_axis)
            start, stop = [0, 0, 0], list(shape)
            start[axis], stop[axis] = self.file_index, self.file_index + 1
        elif self.file_start is not None and self.file_stop is not None:
            start, stop = list(self.file_start), list(self.file_stop)
        else:
            raise ValueError("expected a place in a file, found none")
        if not all(low < high <= edge for low, high, edge in zip(start, stop, shape, strict=True)):
            raise ValueError(f"expected a place in a file of {shape} voxels, found {tuple(start)} to {tuple(stop)}")
        return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])

    def box(self, shape: Bounds) -> tuple[slice, slice, slice]:
        """Index (i, j, k) of its voxels in a file of `shape`, as `box_ijk`."""
        start, stop = self.box_ijk(shape)
        return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])

    def as_json(self) -> dict[str, Any]:
        """Return the values as the benchmark's files have them."""
        return {"case": self.case, "index": self.index, **self.place, "score": self.score, "gain": self.gain}

    def handed_out(self) -> dict[str, Any]:
        """Return the values as the files have them that go to annotators."""
        stored = self.model_dump(mode="json")
        unused = ("file_start", "file_stop") if self.file_start is None else ("file_axis", "file_index")
        own = [name for name in stored if name not in ("case", "index", "axis", "start", "stop", "score", "gain")]
        return self.as_json() | {name: stored[name] for name in own if name not in unused}


class Query(BaseModel):
    """What was annotated for one round of a chain.

    Attributes
    ----------
    strategy
        Label of the strategy.
    parameters
        Of the strategy, each by name.
    round
        Number of the round whose model is the first to be trained on the units.
    units
        In the order of choice.
    version
        Of this and all further keys, which a query for annotators has; None in the benchmark's, which have none.
    id
        Unique name, also a folder's.
    created
        When; ISO 8601, UTC.
    albench
        Version of al-bench that asked.
    model
        That was asked; None where there was none.
    labels
        Name to value, background among them, without `ignore`.
    ignore
        Value of voxels that nobody has annotated.
    channel_names, file_ending
        Of the data set.
    cases
        By name: those of the units.
    n_candidates
        Units that could have been chosen: what the units of an audit were drawn from.
    trust_image_geometry
        Whether labels of the data set lie over their images voxel by voxel, whatever their headers say.
    """

    model_config = ConfigDict(frozen=True)

    FORMAT: ClassVar[int] = 2
    """Of the files that `write` makes; files without a format, of al-bench 0.1, have the same keys and no digest."""

    dataset: _Name
    strategy: _Name
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    seed: _Count
    round: _Count
    version: Version | None = None
    id: FileName | None = None
    created: Moment | None = None
    albench: _Name = ""
    model: AskingModel | None = None
    labels: Mapping[_Name, _Label] = Field(default_factory=dict)
    ignore: _Label | None = None
    channel_names: tuple[_Name, ...] = ()
    file_ending: _Name = ""
    cases: Mapping[FileName, QueriedCase] = Field(default_factory=dict)
    n_candidates: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    trust_image_geometry: bool = False
    units: tuple[QueriedUnit, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.version is None:
            return self
        empty = [
            name
            for name in ("id", "created", "labels", "ignore", "channel_names", "file_ending", "cases")
            if getattr(self, name) in (None, {}, (), "")
        ]
        if empty:
            raise ValueError(f"expected {', '.join(empty)} in a query of version {self.version}, found none")
        for number, unit in enumerate(self.units):
            if unit.case not in self.cases:
                raise ValueError(f"expected the case of units.{number} among the cases, found {unit.case!r}")
            if unit.rank is None or unit.file is None or unit.prefill is None:
                raise ValueError(f"expected rank, file and prefill of units.{number}, found none")
            unit.box_ijk(self.cases[unit.case].shape_ijk)
        return self

    @property
    def chosen(self) -> list[Unit]:
        """The units by themselves, in order."""
        return [unit.unit for unit in self.units]

    def is_of(self, folder: RoundFolder) -> bool:
        """Whether it was made for this round: not so in a copy of another round's folder."""
        return (self.dataset, self.strategy, self.seed, self.round) == (
            folder.dataset,
            folder.strategy,
            folder.seed,
            folder.number,
        )

    def write(self, path: Path) -> None:
        """Write the query as JSON.

        Raises
        ------
        InputError
            No space left, or no permission.
        """
        write_sealed(path, self.as_json(), format=self.FORMAT)

    def as_json(self) -> dict[str, Any]:
        """Return the values as the file has them."""
        header = {
            "dataset": self.dataset,
            "strategy": self.strategy,
            "parameters": self.parameters,
            "seed": self.seed,
            "round": self.round,
        }
        units = [unit.as_json() for unit in self.units]
        if self.version is not None:
            stored = self.model_dump(mode="json", exclude={"units"})
            header |= {name: value for name, value in stored.items() if name not in header}
            units = [unit.handed_out() for unit in self.units]
        return header | {"units": units}

    @classmethod
    def read(cls, path: Path) -> Query:
        """Read a query; keys beyond those known are left alone.

        Raises
        ------
        InputError
            The file is missing, damaged, changed since it was written, or of another format.
        """
        stored = read_sealed(path, format=cls.FORMAT)
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            if first["type"] == "missing" and len(first["loc"]) == 1:
                message = f"expected key '{place}', found {', '.join(stored) or 'none'}"
            else:
                message = f"expected the units of a query, found {place}: {first['msg']}"
            raise InputError(f"{path}: {message}") from None


def queried_rounds(run: RunFolder) -> Iterator[tuple[RoundFolder, Query]]:
    """Yield every chain's rounds that have a query, with that.

    Passed over are copies of other rounds' folders, and rounds that the settings do not ask for.

    Raises
    ------
    InputError
        A query is damaged or of another format, or the settings are missing or damaged.
    """
    asked = {settings.dataset: settings for settings in Settings.read(run).studies}
    for folder in run.rounds():
        settings = asked.get(folder.dataset)
        if settings is not None and folder.query.is_file() and is_of_study(folder, settings):
            query = Query.read(folder.query)
            if query.is_of(folder):
                yield folder, query
