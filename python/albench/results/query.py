"""The file of a query: the units annotated for a round, in the order they were chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from albench.errors import InputError, is_plain
from albench.results.layout import RoundFolder, RunFolder
from albench.results.sealed import read_sealed, write_sealed
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
    """

    model_config = ConfigDict(frozen=True)

    case: _Name
    index: _Count
    axis: Annotated[int, Field(ge=0, le=2)] | None = None
    start: Bounds | None = None
    stop: Bounds | None = None
    score: _Number = None
    gain: _Number = None

    @model_validator(mode="after")
    def _has_both_bounds(self) -> Self:
        if (self.start is None) != (self.stop is None):
            raise ValueError("expected both bounds of a patch, or none")
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

    def as_json(self) -> dict[str, Any]:
        """Return the values as the file has them."""
        return {"case": self.case, "index": self.index, **self.place, "score": self.score, "gain": self.gain}


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
    """

    model_config = ConfigDict(frozen=True)

    FORMAT: ClassVar[int] = 2
    """Of the files that `write` makes; files without a format, of al-bench 0.1, have the same keys and no digest."""

    dataset: _Name
    strategy: _Name
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    seed: _Count
    round: _Count
    units: tuple[QueriedUnit, ...]

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
        header = {
            "dataset": self.dataset,
            "strategy": self.strategy,
            "parameters": self.parameters,
            "seed": self.seed,
            "round": self.round,
        }
        write_sealed(path, header | {"units": [unit.as_json() for unit in self.units]}, format=self.FORMAT)

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
    """Yield every chain's rounds that have a query, with that; copies of other rounds' folders are passed over.

    Raises
    ------
    InputError
        A query is damaged or of another format.
    """
    for folder in run.rounds():
        if folder.query.is_file():
            query = Query.read(folder.query)
            if query.is_of(folder):
                yield folder, query
