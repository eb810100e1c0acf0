"""Values that do not belong where they are put."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np

from tests.support.core_attack.functions import N
from tests.support.core_attack.harness import SANITIZED

# fmt: off
TYPES = ("f2", "f8", "g", "?", "i1", "u2", "i4", "u8", "F", "O", "U3", "S3", "M8[s]", "m8[s]", "V4", ">f4", ">i8")
NUMBERS = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e308, 1e300, 1e-45, 5e-324, -0.0, -1.0, 0.0, 2**63, 10**400)
SCALARS = (
    -1, 0, 1, 2, N - 1, N, N + 1, 10**6, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**400, 10**5000,
    True, False, 0.5, 1.0, -0.5, 0.0, -0.0, np.nan, np.inf, -np.inf, 1e308, 1e300, 1e200, 5e-324, 5e-309, 1e-200, 0.999,
    np.int8(2), np.uint64(2**63), np.float16(0.5), np.float32(1e38), np.longdouble("1e4000"), np.bool_(True), 1j,
    Decimal(2), None, Ellipsis,
)
WORDS = (
    "", "lazy", "LAZY", "lazy\0", "lazier", "naive", "stochastic", "dot", "rbf", "euclidean", "keep", "inverse", "log",
    "\ud800", "\x1b[2J", "x" * 5000, b"lazy", np.str_("lazy"), np.array("lazy"), memoryview(b"abc"),
)
LISTS = (
    [2], {2: 3}, {1, 2}, range(3), [-1], [0, 0], [0, N], [N + 1], [2**63], [-(2**63)], [10**30], [0.0, 1.0], ["0"],
    [None], [True, False], [[0, 1]], np.array(2), np.array([2]), np.arange(N)[::-1], np.arange(N, dtype=np.uint64),
    np.arange(N, dtype=">i4"), np.ma.arange(3),
)
CALLABLES = (object, max, lambda *_: False, lambda *_: 1 / 0)
# fmt: on


class Hostile:
    """Raises whatever it is asked."""

    def __array__(self, *_: object, **__: object) -> None:
        raise KeyError("no array here")

    def __repr__(self) -> str:
        raise ZeroDivisionError("no words either")

    def __len__(self) -> int:
        raise ValueError("nor a length")


class OwnArray(np.ndarray):
    """A subclass that changes what is sliced from it."""

    def __array_finalize__(self, other: object) -> None:
        self.note = other

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, int) else np.zeros(3)

    def max(self, *_: object, **__: object) -> Any:
        return "large"


def arrays(base: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Arrays that differ from a good one, (rows, cols) or (length,), in layout, type, shape or values."""
    wide = np.zeros(tuple(3 * n for n in base.shape), base.dtype)
    wide[tuple(slice(None, None, 3) for _ in base.shape)] = base
    raw = bytearray(base.nbytes + 1)
    unaligned = np.frombuffer(raw, base.dtype, base.size, 1).reshape(base.shape)
    unaligned[...] = base
    record = np.zeros(base.shape, np.dtype([("a", "u1"), ("b", base.dtype)]))
    record["b"] = base
    read_only = base.copy()
    read_only.flags.writeable = False
    ones = np.ones_like(base)
    found: dict[str, Any] = {
        "Fortran": np.asfortranarray(base),
        "negative strides": base[tuple(slice(None, None, -1) for _ in base.shape)],
        "wide strides": wide[tuple(slice(None, None, 3) for _ in base.shape)],
        "no strides": np.broadcast_to(base[:1], base.shape),
        "unaligned": unaligned,
        "a field": record["b"],
        "records": record,
        "read-only": read_only,
        "byte-swapped": base.astype(base.dtype.newbyteorder()),
        "transposed": base.T,
        "a list": base.tolist(),
        "a ragged list": [[1.0, 2.0], [3.0]],
        "a matrix object": base.view(OwnArray),
        "np.matrix": np.asmatrix(base),
        "masked, nothing": np.ma.MaskedArray(base),
        "masked, all": np.ma.MaskedArray(base, mask=True),
        "masked rows in a list": [np.ma.MaskedArray(row, mask=False) for row in np.atleast_2d(base)],
        "a mask in a list": [[1.0, np.ma.masked], [2.0, 3.0]],
        "twice as many": np.concatenate([base, base]),
        "one fewer": base[:-1],
        "none": base[:0],
        "scalar": base.reshape(-1)[0],
        "zero-dimensional": np.array(base.reshape(-1)[0]),
        "one more dimension": base[..., None],
        "flat": base.reshape(-1),
        "empty": np.zeros((0, 0), np.float32),
        "no columns": np.zeros((5, 0), np.float32),
        "one": np.ones((1, 1), np.float32),
    }
    for kind in TYPES:
        with suppress(TypeError, ValueError):
            found[f"dtype {kind}"] = base.astype(kind)
    for value in NUMBERS:
        said = "10**400" if value == 10**400 else f"{value:.3g}"
        for kind in ("f4", "f8", "O"):
            with np.errstate(all="ignore"), suppress(OverflowError):
                found[f"{said} as {kind}"] = (ones * value).astype(kind)
                one = ones.astype(kind)
                one.reshape(-1)[-1] = value
                found[f"one {said} as {kind}"] = one
    if not SANITIZED:  # which ends the process where an allocation is refused
        for n in (2**31, 2**40, 2**60):
            with suppress(ValueError):
                found[f"{n} rows"] = np.broadcast_to(base[:1], (n, *base.shape[1:]))
    return found


OTHERS: dict[str, Any] = {
    f"other {place}, {type(value).__name__}": value
    for place, value in enumerate((*SCALARS, *WORDS, *LISTS, *CALLABLES, Hostile()))
}
