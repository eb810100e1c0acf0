"""Labels as the page has them: a byte a voxel, numbered without gaps, compressed."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.annotate.turned import Turn
from albench.annotation.label_tables import labels_of
from albench.data.nnunet_layout import IGNORE
from albench.errors import InputError

_MOST = 256


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of a query's labels: 0 is background, then classes in the order of their values, last what is ignored.

    Attributes
    ----------
    labels
        Name to value, background among them.
    ignore
        Value of what nobody has annotated.
    """

    labels: Mapping[str, int]
    ignore: int

    def __post_init__(self) -> None:
        if len(self.values) > _MOST:
            raise InputError(f"labels: expected at most {_MOST - 1} to draw in the browser, got {len(self.values) - 1}")

    @property
    def values(self) -> tuple[int, ...]:
        """Value of each code."""
        return (0, *sorted({value for value in self.labels.values() if value not in (0, self.ignore)}), self.ignore)

    @property
    def ignore_code(self) -> int:
        """Code of what nobody has annotated."""
        return len(self.values) - 1

    def described(self) -> list[dict[str, Any]]:
        """Return code, value, name and colour of background and classes."""
        rows = {label.value: label for label in labels_of(self.labels, self.ignore, IGNORE)[:-1]}
        return [
            {"code": code, "value": value, "name": rows[value].name, "color": f"#{bytes(rows[value].rgb).hex()}"}
            for code, value in enumerate(self.values[:-1])
        ]

    def encoded(self, labels: NDArray[np.integer], turn: Turn) -> str:
        """Return labels (i, j, k) of a box as text: codes, x fastest, deflated, in base64.

        Raises
        ------
        InputError
            A value that no label has.
        """
        values = np.array(self.values)
        order = np.argsort(values)  # the ignore label is the last code, whatever its value
        codes = order[np.minimum(np.searchsorted(values, labels, sorter=order), len(values) - 1)]
        if not np.array_equal(values[codes], labels):
            unknown = sorted({*np.unique(labels).tolist()} - {*self.values})
            raise InputError(f"expected labels {', '.join(map(str, self.values))}, found {unknown[:5]}")
        data = turn.turned(codes.astype(np.uint8)).tobytes(order="F")
        return base64.b64encode(zlib.compress(data, 1)).decode()

    def decoded(self, text: str, shape: Sequence[int], turn: Turn) -> NDArray[np.uint16]:
        """Read what `encoded` wrote, at most as many bytes as belong there.

        Parameters
        ----------
        shape
            Voxels of the box along i, j and k.

        Returns
        -------
        ndarray
            uint16 (i, j, k), values.

        Raises
        ------
        InputError
            No such text, another number of voxels, or a code that no label has.
        """
        n_voxels = math.prod(shape)
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(base64.b64decode(text, validate=True), n_voxels + 1)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise InputError(f"labels: expected base64 of deflated bytes, got something else ({error})") from None
        if len(data) != n_voxels or not stream.eof or stream.unused_data:
            raise InputError(f"labels: expected {n_voxels} voxels, got {'more' if len(data) > n_voxels else 'others'}")
        codes = np.frombuffer(data, dtype=np.uint8)
        if codes.size and int(codes.max()) > self.ignore_code:
            raise InputError(f"labels: expected codes up to {self.ignore_code}, got {int(codes.max())}")
        values = np.array(self.values, dtype=np.uint16)[codes].reshape(turn.triple(shape), order="F")
        return np.ascontiguousarray(turn.back(values))
