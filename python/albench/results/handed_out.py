"""What the file of a query says, beyond its units, once it goes to annotators: the model that asked, and the images."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from albench.errors import is_plain
from albench.machine.names import is_file_name

Version = Literal[1]
"""Of the keys that queries for annotators have beside those of the benchmark's."""

FileAxis = Literal["i", "j", "k"]
"""First, second and third index of a voxel in its file, the first one changing fastest."""

Role = Literal["strategy", "audit"]
"""Who chose a unit: the strategy, or a uniform draw that its model is judged by."""

Prefill = Literal["prediction", "background", "none", "labels"]
"""What a unit's voxels are when it is handed out; `labels` where some of them have been annotated already."""


def _file_name(name: str) -> str:
    if not is_file_name(name):
        raise ValueError(f"expected a name that a file can have, got {name!r:.200}")
    return name


def _relative(path: str) -> str:
    if not path or not is_plain(path) or PurePosixPath(path).is_absolute():
        raise ValueError(f"expected a relative path, got {path!r:.200}")
    return path


def _inside(path: str) -> str:
    if ".." in PurePosixPath(_relative(path)).parts:
        raise ValueError(f"expected a path inside the query's folder, got {path!r:.200}")
    return path


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"expected a time in UTC, such as 2026-01-31T12:00:00Z, got {text!r:.200}")
    return text


FileName = Annotated[str, AfterValidator(_file_name)]
RelativePath = Annotated[str, AfterValidator(_relative)]
"""From the query's folder, with forward slashes."""
InsidePath = Annotated[str, AfterValidator(_inside)]
"""As `RelativePath`, and not out of the folder."""
Moment = Annotated[str, AfterValidator(_moment)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[Finite, Finite, Finite]
"""Millimetres towards right, anterior and superior."""
_Row = tuple[Finite, Finite, Finite, Finite]
_Edge = Annotated[int, Field(ge=1, lt=2**31)]


class AskingModel(BaseModel):
    """The model that scored the units.

    Attributes
    ----------
    folder
        nnU-Net's folder of it, that holds ``plans.json``.
    configuration
        By the name in the plans, such as ``2d``.
    folds
        Numbers, or ``all``.
    sha256
        Of the checkpoints, in the order of `folds`.
    uncertainty
        What it was read from: ``dropout``, ``ensemble``, ``mirroring``.
    """

    model_config = ConfigDict(frozen=True)

    folder: RelativePath
    configuration: FileName
    folds: tuple[int | Literal["all"], ...]
    sha256: tuple[Sha256, ...]
    uncertainty: FileName


class QueriedCase(BaseModel):
    """Images of a case of which something is asked, and where they lie.

    Attributes
    ----------
    images
        One file a channel, or one with all.
    sha256
        Of their bytes.
    shape_ijk
        Voxels along the axes of the file; the third is 1 where there are two.
    affine_ras
        4 x 4: voxel (i, j, k, 1), the centre of the first being 0, to mm in RAS, as ITK reads the header; None for
        photographs, which have none.
    orientation
        Whither i, j and k lead most of all, such as ``LPS``; None for photographs.
    task
        Name of the case's files under ``tasks``: the case's, or a neutral one.
    """

    model_config = ConfigDict(frozen=True)

    images: tuple[RelativePath, ...]
    sha256: tuple[Sha256, ...]
    shape_ijk: tuple[_Edge, _Edge, _Edge]
    affine_ras: tuple[_Row, _Row, _Row, _Row] | None = None
    orientation: Annotated[str, Field(pattern=r"^[RLAPSI]{3}$")] | None = None
    task: FileName
