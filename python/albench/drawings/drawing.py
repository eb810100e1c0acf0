"""One annotator's work on one unit: labels, status, comment and time, as a version of it is kept in a file."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Status = Literal["open", "later", "done", "skip"]
"""What the annotator says; `open` until something is said."""

Verdict = Literal["accepted", "returned"]
"""What a reviewer says."""

LONGEST_COMMENT = 1000
MOST_SECONDS = 100 * 3600.0
_Count = Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A version of an annotator's work on a unit.

    Attributes
    ----------
    version
        Counts from 1; 0 is what was handed out, which no file holds.
    labels
        Values of the voxels of the unit's box, axes i, j, k of the file; uint16. The ignore label is what nobody has
        annotated yet.
    seconds
        Active time of all versions together.
    verdict, remark
        Of the reviewer; None and empty where nobody reviewed this version.
    saved
        When, UTC; empty for what was handed out.
    by
        Who saved this version: the annotator, or the reviewer with a verdict.
    """

    version: int
    labels: NDArray[np.uint16]
    status: Status = "open"
    comment: str = ""
    seconds: float = 0.0
    verdict: Verdict | None = None
    remark: str = ""
    saved: str = ""
    by: str = ""

    def encoded(self) -> dict[str, Any]:
        """Return the content of its file."""
        data = base64.b64encode(zlib.compress(self.labels.astype("<u2").tobytes(order="F"), 6)).decode()
        return {
            "format": 1,
            "version": self.version,
            "saved": self.saved,
            "by": self.by,
            "status": self.status,
            "comment": self.comment,
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict,
            "remark": self.remark,
            "shape": list(self.labels.shape),
            "labels": data,
        }

    def with_changes(self, **changes: Any) -> Drawing:
        """Return a copy in which some attributes are others."""
        return replace(self, **changes)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    version: Annotated[int, Field(ge=1, lt=2**31)]
    saved: Annotated[str, Field(max_length=64)]
    by: Annotated[str, Field(max_length=255)]
    status: Status
    comment: Annotated[str, Field(max_length=LONGEST_COMMENT)]
    seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
    verdict: Verdict | None
    remark: Annotated[str, Field(max_length=LONGEST_COMMENT)]
    shape: tuple[_Count, _Count, _Count]
    labels: str


def decoded(content: Any, shape: Sequence[int]) -> Drawing:
    """Read the content of a drawing's file.

    Parameters
    ----------
    shape
        Voxels of the unit's box along i, j and k.

    Raises
    ------
    ValueError
        Something else, or of another shape.
    """
    file = _File.model_validate(content)
    if file.shape != tuple(shape):
        raise ValueError(f"expected {tuple(shape)} voxels, found {file.shape}")
    n_bytes = 2 * int(np.prod(shape, dtype=np.int64))
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(base64.b64decode(file.labels, validate=True), n_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"expected compressed labels, found {error}") from None
    if len(data) != n_bytes or not stream.eof:
        raise ValueError(f"expected {n_bytes} bytes of labels, found {'more' if len(data) > n_bytes else 'fewer'}")
    labels = np.frombuffer(data, dtype="<u2").astype(np.uint16).reshape(tuple(shape), order="F")
    said = file.model_dump(include={"version", "saved", "by", "status", "comment", "seconds", "verdict", "remark"})
    return Drawing(labels=labels, **said)
